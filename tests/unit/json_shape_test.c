/*
 * SPDX-License-Identifier: ISC
 *
 * Which bodies are visibly one whole object.
 */
#include <config.h>

#include "base/json_shape.h"

#include <stdlib.h>

#include "tap.h"

struct sample {
    const char *text;
    int whole;
};

static const struct sample samples[] = {
    {"{}", 1},
    {" \t\r\n{} \t\r\n", 1},
    {"\xef\xbb\xbf{}", 1},
    {"\xef\xbb\xbf \n{}\n", 1},
    {"{\"a\":{\"b\":[1,{}]},\"c\":\"}\"}", 1},
    {"{\"a\":\"{[\"}", 1},
    {"{\"a\":\"\\\"}\"}", 1},
    {"{\"a\":\"\\\\\"}", 1},
    {"{\"a\":\"\\\\\\\"}\"}", 1},
    {"{\"\\\"\\\"\":\"\"}", 1},
    {"{\"a\":\"\",\"b\":\"\"}", 1},
    {"{not json, but whole}", 1},
    {"{[}}", 1}, /* kinds are not its business; the parser refuses it */

    {"", 0},
    {" ", 0},
    {"\xef\xbb\xbf", 0},
    {"\xef\xbb", 0},
    {"\xef\xbb\xbf\xef\xbb\xbf{}", 0},
    {" \xef\xbb\xbf{}", 0},
    {"{}\xef\xbb\xbf", 0},
    {"{", 0},
    {"}", 0},
    {"{]", 0},
    {"[]", 0},
    {"[{}]", 0},
    {"\"{}\"", 0},
    {"null", 0},
    {"{}{}", 0},
    {"{} {}", 0},
    {"{}}", 0},
    {"{},", 0},
    {"x{}", 0},
    {"{}x", 0},
    {"\v{}", 0},
    {"{}\f", 0},
    {"{\"a\":1", 0},
    {"{\"a\":[1}", 0},
    {"{\"a\":\"}", 0},
    {"{\"a\":\"\\\"}", 0},
    {"{\"a\":\"\\\\\\\"}", 0},
    {"{\"a\":\"b\\", 0},
    {"{\"", 0},
    {"{\"\\", 0},
    {"'{}'", 0},
    {"module=MOIM&type=x", 0},
};

/* Gives the function a copy of exactly that length, so that a tool for memory errors sees a step too far. */
static int judge(const char *text, size_t length)
{
    char *copy = malloc(length > 0 ? length : 1);
    int whole;

    if (length > 0)
        memcpy(copy, text, length);
    whole = json_shape_is_object(copy, length);
    free(copy);
    return whole;
}

static void check_prefixes(void)
{
    static const char event[] =
        "{\"module\":\"MOIM\",\"type\":\"a\\\"}{\\\\\",\"context\":{\"userId\":null},\"payload\":"
        "{\"purchases\":[{\"id\":\"CU:3F21DTP4WGNUD\",\"x\":[[],{}]}],\"n\":-1.5e3}}";
    size_t length = sizeof event - 1;
    int none = 1;

    ok(judge(event, length), "an event is whole");
    for (size_t cut = 0; cut < length; cut++)
        none = none && !judge(event, cut);
    ok(none, "cut off anywhere it is not");
    for (size_t cut = 1; cut < length; cut++)
        none = none && !judge(event + cut, length - cut);
    ok(none, "nor with anything cut off in front");
}

static void check_large(void)
{
    size_t length = 4 * 1024 * 1024;
    char *body = malloc(length);

    memset(body, '[', length);
    body[0] = '{';
    ok(!judge(body, length), "four million brackets that open");
    memset(body + length / 2, ']', length / 2);
    body[length - 1] = '}';
    ok(judge(body, length), "and as many that close");
    memset(body, '\\', length);
    memcpy(body, "{\"", 2);
    memcpy(body + length - 2, "\"}", 2);
    ok(judge(body, length), "four million backslashes, an even number");
    memcpy(body + length - 3, "\"} ", 3);
    ok(!judge(body, length), "and an odd one");
    free(body);
}

int main(void)
{
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const struct sample *sample = &samples[i];

        if (!ok(judge(sample->text, strlen(sample->text)) == sample->whole, "sample %zu is %s", i,
                sample->whole ? "whole" : "not whole"))
            printf("# %s\n", sample->text);
    }
    ok(!judge("{}\0", 3), "a NUL behind it is text");
    ok(judge("{\"a\":\"\0\"}", 9), "a NUL inside is the parser's business");
    ok(!json_shape_is_object(NULL, 0), "no body at all");
    check_prefixes();
    check_large();
    return done();
}
