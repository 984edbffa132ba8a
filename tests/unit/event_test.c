/*
 * SPDX-License-Identifier: ISC
 *
 * What makes a body an event, the columns that it is taken apart into, and the reason that is given when it is none.
 */
#include <config.h>

#include "event/event.h"

#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>

#include "tap.h"

#define CONTEXT "\"context\":{\"originCommunityId\":\"G0\",\"userId\":\"U1\",\"communityId\":\"G1\",\"profileId\":null}"
#define START "{\"module\":\"MOIM\",\"type\":\"product.created\","
#define EVENT START CONTEXT ",\"payload\":{\"id\":\"CP:AK290DKFJD\"}}"
#define WITH(payload) START CONTEXT ",\"payload\":{\"x\":" payload "}}"
#define A4 "\303\244\303\244\303\244\303\244"
#define A16 A4 A4 A4 A4
#define D10 "1234567890"
#define D100 D10 D10 D10 D10 D10 D10 D10 D10 D10 D10
#define PLAIN "{\"module\":\"M\",\"type\":\"t\",\"context\":{},\"payload\":{}"

struct sample {
    const char *name, *text;
    const char *reason; /* NULL: it is an event */
};

static const struct sample samples[] = {
    {"the documented event", EVENT, NULL},
    {"white space around", " \t\r\n" EVENT "\n ", NULL},
    {"a BOM", "\xef\xbb\xbf" EVENT, NULL},
    {"a BOM and white space", "\xef\xbb\xbf\n" EVENT, NULL},
    {"an empty context and payload", "{\"module\":\"M\",\"type\":\"t\",\"context\":{},\"payload\":{}}", NULL},
    {"context ids that are null", START "\"context\":{\"userId\":null,\"communityId\":null},\"payload\":{}}", NULL},
    {"members that nobody knows",
     "{\"new\":[1,2,{\"a\":true}]," CONTEXT ",\"type\":\"t\",\"payload\":{},\"module\":\"M\"}", NULL},
    {"any order", "{\"payload\":{},\"type\":\"t\"," CONTEXT ",\"module\":\"M\"}", NULL},
    {"names in other cases beside the right ones",
     "{\"Module\":1,\"TYPE\":2,\"Payload\":3,\"CONTEXT\":4,\"module\":\"M\",\"type\":\"t\"," CONTEXT ",\"payload\":{}}",
     NULL},
    {"the last of equal names counts, and is right",
     "{\"module\":1,\"type\":\"\",\"context\":0,\"payload\":[],\"module\":\"M\","
     "\"type\":\"t\",\"context\":{\"userId\":1,\"userId\":\"U\"},\"payload\":{}}",
     NULL},
    {"a name with escapes", "{\"mod\\u0075le\":\"M\",\"type\":\"t\"," CONTEXT ",\"payload\":{}}", NULL},
    {"numbers of every form", WITH("[0,-0,1,-1,10,0.5,-0.25,1e3,1E+3,1e-3,1.5E03,0e0,-1.0e400,1e-400,1e0000000000400]"),
     NULL},
    {"a number of a hundred digits", WITH(D100), NULL},
    {"a decimal of two hundred digits", WITH("-" D100 "." D100 "e1"), NULL},
    {"a number before each of the ends", WITH("[1 ,1\t,1\r,1\n,[1],{\"y\":1}]"), NULL},
    {"what looks like numbers in strings", WITH("\"1e999 01 +1 -\""), NULL},
    {"an escaped quote before a number in a string", WITH("\"\\\"1e999\""), NULL},
    {"a surrogate pair", WITH("\"\\ud83d\\ude00\""), NULL},
    {"a context id of 255 bytes",
     START "\"context\":{\"userId\":\"" D100 D100 D10 D10 D10 D10 D10 "12345\"},\"payload\":{}}", NULL},

    {"characters of every length", WITH("\"\x7f\u00e9\303\251\342\202\254\360\237\230\200\364\217\277\277\""), NULL},
    {"escapes of every kind", WITH("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u001f\\uABcd\""), NULL},
    {"what looks like a NUL behind a backslash", WITH("\"\\\\u0000\""), NULL},

    {"nothing", "", "the body is empty"},
    {"white space", " \n", "the body is not a JSON object"},
    {"a BOM alone", "\xef\xbb\xbf", "the body is not a JSON object"},
    {"two BOMs", "\xef\xbb\xbf\xef\xbb\xbf" EVENT, "the body is not a JSON object"},
    {"an array", "[" EVENT "]", "the body is not a JSON object"},
    {"a string", "\"x\"", "the body is not a JSON object"},
    {"null", "null", "the body is not a JSON object"},
    {"a form", "module=MOIM", "the body is not a JSON object"},
    {"an object cut off", "{\"module\":\"M\"", "not JSON from byte"},
    {"a string cut off", "{\"module\":\"M", "not JSON from byte"},
    {"braces that do not match", "{\"a\":[1}", "not JSON from byte 8 on"},
    {"a comma too many", "{\"a\":1,}", "not JSON from byte"},
    {"no colon", "{\"a\" 1}", "not JSON from byte"},
    {"single quotes", "{'a':1}", "not JSON from byte"},
    {"a name without quotes", "{a:1}", "not JSON from byte"},
    {"a comment", "{/**/\"a\":1}", "not JSON from byte"},
    {"NaN", WITH("NaN"), "not JSON from byte"},
    {"an unknown escape", WITH("\"\\x\""), "not JSON from byte"},
    {"a lone low surrogate", WITH("\"\\udc00\""), "not JSON from byte"},
    {"a high surrogate without its low one", WITH("\"\\ud800x\""), "not JSON from byte"},
    {"a high surrogate alone", WITH("\"\\ud800\""), "not JSON from byte"},
    {"two high surrogates", WITH("\"\\ud800\\ud800\""), "not JSON from byte"},
    {"surrogates the wrong way round", WITH("\"\\udc00\\ud800\""), "not JSON from byte"},
    {"a high surrogate before half an escape", WITH("\"\\ud800\\\""), "not JSON from byte"},
    {"a surrogate in a name", PLAIN ",\"\\udc00\":1}", "not JSON from byte"},
    {"an escape without digits", WITH("\"\\u\""), "not JSON from byte 146 on"},
    {"an escape of three digits", WITH("\"\\u123\""), "not JSON from byte 146 on"},
    {"an escape with a letter too far", WITH("\"\\u12g4\""), "not JSON from byte 146 on"},
    {"an escape with a sign", WITH("\"\\u+123\""), "not JSON from byte 146 on"},
    {"an escape with a great U", WITH("\"\\U0041\""), "not JSON from byte"},
    {"an escape cut off", "{\"a\":\"\\u00", "not JSON from byte 7 on"},
    {"a backslash at the end", "{\"a\":\"\\", "not JSON from byte"},
    {"an escaped NUL", WITH("\"a\\u0000\""), "a NUL character (\\u0000) at byte 147"},
    {"an escaped NUL in a name", PLAIN ",\"\\u0000\":1}", "a NUL character (\\u0000) at byte 53"},
    {"an escaped NUL in a module that does not count",
     "{\"module\":\"\\u0000\",\"module\":\"M\",\"type\":\"t\"," CONTEXT ",\"payload\":{}}",
     "a NUL character (\\u0000) at byte 12"},
    {"a control character in a string", WITH("\"\x1f\""), "a control character at byte 146"},
    {"a line end in a string", WITH("\"a\n\""), "a control character at byte 147"},
    {"a tab in a module", "{\"module\":\"\t\",\"type\":\"t\"," CONTEXT ",\"payload\":{}}",
     "a control character at byte 12"},
    {"a line end behind a backslash", WITH("\"\\\n\""), "not JSON from byte"},
    {"a form feed between members", PLAIN "\f}", "a control character at byte 51"},
    {"a control character behind the object", PLAIN "}\v", "a control character at byte 52"},
    {"a control character in front", "\v" PLAIN "}", "the body is not a JSON object"},
    {"a DEL between members", PLAIN "\x7f}", "not JSON from byte"},
    {"a hard space between members", PLAIN "\302\240}", "not JSON from byte"},
    {"ISO 8859-1", WITH("\"\351\""), "not UTF-8 at byte 146"},
    {"ISO 8859-1 in a module that does not count",
     "{\"module\":\"\351\",\"module\":\"M\",\"type\":\"t\"," CONTEXT ",\"payload\":{}}", "not UTF-8 at byte 12"},
    {"what is no UTF-8 behind the object", PLAIN "}\377", "not UTF-8 at byte 52"},
    {"text behind", EVENT "x", "text after the object, at byte 163"},
    {"a second event behind", EVENT "\n" EVENT, "text after the object, at byte 164"},
    {"a BOM behind", EVENT "\xef\xbb\xbf", "text after the object, at byte 163"},
    {"the number of a byte counts a BOM in front", "\xef\xbb\xbf" EVENT "x", "text after the object, at byte 166"},

    {"a number with a zero in front", WITH("01"), "not JSON: a number at byte 145"},
    {"a negative one with a zero in front", WITH("-01"), "not JSON: a number at byte 145"},
    {"a number that ends in a point", WITH("1."), "not JSON: a number at byte 145"},
    {"a number that begins with a point", WITH(".5"), "not JSON from byte"},
    {"a number with a plus", WITH("+1"), "not JSON from byte"},
    {"a minus alone", WITH("-"), "not JSON: a number at byte 145"},
    {"an exponent without digits", WITH("1e"), "not JSON: a number at byte 145"},
    {"an exponent with a sign alone", WITH("1e+"), "not JSON: a number at byte 145"},
    {"a subtraction", WITH("1-2"), "not JSON: a number at byte 145"},
    {"two points", WITH("1.2.3"), "not JSON: a number at byte 145"},
    {"hexadecimal", WITH("0x10"), "not JSON: a number at byte 145"},
    {"a number before a string", WITH("1\"a\""), "not JSON: a number at byte 145"},
    {"a number behind a word", WITH("true1"), "not JSON from byte"},
    {"-Infinity", WITH("-Infinity"), "not JSON: a number at byte 145"},
    {"two numbers", WITH("1 2"), "not JSON from byte"},
    {"an exponent too large", WITH("1e401"), "the number at byte 145 has an exponent beyond 400"},
    {"an exponent too small", WITH("[0,1e-401]"), "the number at byte 148 has an exponent beyond 400"},
    {"the exponent that makes 128 KiB of digits", WITH("1e131071"), "exponent beyond 400"},
    {"an exponent beyond every integer", WITH("1E99999999999999999999999"), "exponent beyond 400"},
    {"such a number outside of the payload", "{\"new\":1e999," CONTEXT "}", "exponent beyond 400"},

    {"no module", "{\"type\":\"t\"," CONTEXT ",\"payload\":{}}", "module is missing"},
    {"a module by another case", "{\"Module\":\"M\",\"type\":\"t\"," CONTEXT ",\"payload\":{}}", "module is missing"},
    {"a module that is null", "{\"module\":null,\"type\":\"t\"," CONTEXT ",\"payload\":{}}", "module is not a string"},
    {"a module that is a number", "{\"module\":1,\"type\":\"t\"," CONTEXT ",\"payload\":{}}", "module is not a string"},
    {"an empty module", "{\"module\":\"\",\"type\":\"t\"," CONTEXT ",\"payload\":{}}", "module is empty"},
    {"no type", "{\"module\":\"M\"," CONTEXT ",\"payload\":{}}", "type is missing"},
    {"a type that is an object", "{\"module\":\"M\",\"type\":{}," CONTEXT ",\"payload\":{}}", "type is not a string"},
    {"an empty type", "{\"module\":\"M\",\"type\":\"\"," CONTEXT ",\"payload\":{}}", "type is empty"},
    {"a type of 300 bytes", "{\"module\":\"M\",\"type\":\"" D100 D100 D100 "\"," CONTEXT ",\"payload\":{}}",
     "type is longer than 255 bytes"},
    {"a module of 256 bytes in 128 letters",
     "{\"type\":\"t\"," CONTEXT ",\"payload\":{},\"module\":\"" A16 A16 A16 A16 A16 A16 A16 A16 "\"}",
     "module is longer than 255 bytes"},
    {"no context", START "\"payload\":{}}", "context is missing"},
    {"a context that is an array", START "\"context\":[],\"payload\":{}}", "context is not an object"},
    {"a context that is null", START "\"context\":null,\"payload\":{}}", "context is not an object"},
    {"no payload", START CONTEXT "}", "payload is missing"},
    {"a payload that is a string", START CONTEXT ",\"payload\":\"{}\"}", "payload is not an object"},
    {"the last of equal names counts, and is wrong", START CONTEXT ",\"payload\":{},\"payload\":null}",
     "payload is not an object"},
    {"the last of equal names counts in the context",
     START "\"context\":{\"userId\":\"U\",\"userId\":7},\"payload\":{}}",
     "context.userId is neither a string nor null"},
    {"an origin that is a number", START "\"context\":{\"originCommunityId\":1},\"payload\":{}}",
     "context.originCommunityId is neither a string nor null"},
    {"a community that is false", START "\"context\":{\"communityId\":false},\"payload\":{}}",
     "context.communityId is neither a string nor null"},
    {"a profile that is an object", START "\"context\":{\"profileId\":{}},\"payload\":{}}",
     "context.profileId is neither a string nor null"},
    {"a context id of 256 bytes",
     START "\"context\":{\"userId\":\"" D100 D100 D10 D10 D10 D10 D10 "123456\"},\"payload\":{}}",
     "context.userId is longer than 255 bytes"},
};

struct columns {
    const char *name, *body;
    const char *wanted; /* all columns in the order of struct event, joined by bars */
};

static const struct columns column_samples[] = {
    {"the documented event", EVENT,
     "MOIM|product.created|G0|U1|G1|null|{\"id\":\"CP:AK290DKFJD\"}|{\"context\":{\"profileId\":null}}"},
    {"all ids",
     START "\"context\":{\"profileId\":\"P\",\"communityId\":\"\",\"userId\":\"U\",\"originCommunityId\":\"O\"},"
           "\"payload\":{}}",
     "MOIM|product.created|O|U||P|{}|null"},
    {"nothing but what must be", PLAIN "}", "M|t|null|null|null|null|{}|null"},
    {"a BOM and white space everywhere",
     "\xef\xbb\xbf \n{ \"module\" : \"M\" ,\t\"type\"\r\n:\"t\", \"payload\" : { \"a\" : 1 } ,\"context\" : { "
     "\"userId\" : \"U\" } } \n",
     "M|t|null|U|null|null|{ \"a\" : 1 }|null"},
    {"texts are decoded",
     "{\"module\":\"\\u00e9\303\251\\ud83d\\ude00\",\"type\":\"\\\"\\\\\\/"
     "\\n\",\"context\":{\"userId\":\"\\u0055\"},\"payload\":{}}",
     "\303\251\303\251\360\237\230\200|\"\\/\n|null|U|null|null|{}|null"},
    {"names are decoded",
     "{\"mod\\u0075le\":\"M\",\"\\u0074ype\":\"t\",\"conte\\u0078t\":{\"user\\u0049d\":\"U\"},\"payl\\u006fad\":{"
     "\"\\u0061\":1}}",
     "M|t|null|U|null|null|{\"\\u0061\":1}|null"},
    {"every digit of the payload",
     START "\"context\":{},\"payload\":{\"a\":1.10,\"b\":[-0,1E+3,12345678901234567890.0123456789]}}",
     "MOIM|product.created|null|null|null|null|{\"a\":1.10,\"b\":[-0,1E+3,12345678901234567890.0123456789]}|null"},
    {"a payload with brackets and quotes in its strings",
     "{\"payload\":{\"}\":\"{\\\"}\",\"a\":[\"]\\\\\",{}]},\"module\":\"M\",\"context\":{},\"type\":\"t\"}",
     "M|t|null|null|null|null|{\"}\":\"{\\\"}\",\"a\":[\"]\\\\\",{}]}|null"},
    {"the last of equal names counts",
     "{\"payload\":1,\"module\":1,\"context\":{\"userId\":\"X\"},\"module\":\"M\",\"type\":\"t\",\"payload\":{\"a\":1},"
     "\"context\":{\"userId\":{},\"userId\":\"U\"},\"p\\u0061yload\":{\"a\":2}}",
     "M|t|null|U|null|null|{\"a\":2}|null"},
    {"extra, every digit", PLAIN ",\"n\":1.10,\"more\" : [ 1e400 , {} ]}",
     "M|t|null|null|null|null|{}|{\"n\":1.10,\"more\" : [ 1e400 , {} ]}"},
    {"extra of every kind",
     "{\"a\":true,\"module\":\"M\",\"b\":null "
     ",\"type\":\"t\",\"c\":\"}\\\"\",\"context\":{},\"d\":-1,\"payload\":{},\"\":[[]]}",
     "M|t|null|null|null|null|{}|{\"a\":true,\"b\":null,\"c\":\"}\\\"\",\"d\":-1,\"\":[[]]}"},
    {"names in other cases are extra", PLAIN ",\"Module\":1,\"userId\":\"U\",\"\\u0050ayload\":2}",
     "M|t|null|null|null|null|{}|{\"Module\":1,\"userId\":\"U\",\"\\u0050ayload\":2}"},
    {"equal names in extra stay", PLAIN ",\"a\":1,\"a\":2}", "M|t|null|null|null|null|{}|{\"a\":1,\"a\":2}"},
    {"extra of the context",
     "{\"module\":\"M\",\"type\":\"t\",\"context\":{\"x\" : 1.0,\"userId\":\"U\",\"module\":\"N\"},\"payload\":{}}",
     "M|t|null|U|null|null|{}|{\"context\":{\"x\" : 1.0,\"module\":\"N\"}}"},
    {"extra at both levels",
     "{\"a\":1,\"module\":\"M\",\"type\":\"t\",\"context\":{\"communityId\":\"C\",\"context\":{}},\"payload\":{},\"b\":"
     "2}",
     "M|t|null|null|C|null|{}|{\"a\":1,\"b\":2,\"context\":{\"context\":{}}}"},
    {"ids that are null",
     "{\"module\":\"M\",\"type\":\"t\",\"payload\":{},\"context\":{\"originCommunityId\":null,\"userId\":null,"
     "\"communityId\":null,\"profile\\u0049d\": null}}",
     "M|t|null|null|null|null|{}|{\"context\":{\"originCommunityId\":null,\"userId\":null,\"communityId\":null,"
     "\"profile\\u0049d\": null}}"},
    {"an id that was null before",
     "{\"module\":\"M\",\"type\":\"t\",\"payload\":{},\"context\":{\"userId\":null,\"userId\":\"U\",\"profileId\":null}"
     "}",
     "M|t|null|U|null|null|{}|{\"context\":{\"profileId\":null}}"},
    {"an id that is null in the end",
     "{\"module\":\"M\",\"type\":\"t\",\"payload\":{},\"context\":{\"userId\":\"U\",\"userId\":null}}",
     "M|t|null|null|null|null|{}|{\"context\":{\"userId\":\"U\",\"userId\":null}}"},
    {"a context that does not count leaves nothing",
     "{\"context\":{\"x\":1},\"module\":\"M\",\"type\":\"t\",\"context\":{},\"payload\":{},\"y\":{}}",
     "M|t|null|null|null|null|{}|{\"y\":{}}"},
};

/* Not UTF-8: bytes that are missing or misplaced, overlong forms, surrogates, above U+10FFFF. */
static const char *const not_utf8[] = {
    "\200",
    "\277",
    "\300\200",
    "\301\277",
    "\302",
    "\302\303",
    "\337x",
    "\340\240",
    "\340\237\277",
    "\342\202x",
    "\355\240\200",
    "\355\277\277",
    "\360\220\200",
    "\360\217\277\277",
    "\364\220\200\200",
    "\365\200\200\200",
    "\376",
    "\377",
};

/* Returns what event_read returns, without the columns. */
static enum result judge(const char *body, size_t length, struct err *why)
{
    struct event event;
    enum result result = event_read(body, length, &event, why);

    event_free(&event);
    return result;
}

/* Judges a copy of exactly that length, so that ASan and valgrind see a read behind it. */
static enum result check(const char *text, size_t length, struct err *why)
{
    char *copy = malloc(length > 0 ? length : 1);
    enum result result;

    if (length > 0)
        memcpy(copy, text, length);
    result = judge(copy, length, why);
    free(copy);
    return result;
}

static void check_sample(const struct sample *sample)
{
    struct err why = {""};
    enum result result = check(sample->text, strlen(sample->text), &why);
    bool right = sample->reason == NULL ? result == RESULT_OK
                                        : result == RESULT_FAIL && strstr(why.text, sample->reason) != NULL;

    if (!ok(right, "%s: %s", sample->name, sample->reason != NULL ? sample->reason : "an event"))
        printf("# got: %s\n", result == RESULT_OK ? "an event" : why.text);
}

static const char *or_null(const char *text)
{
    return text != NULL ? text : "null";
}

static char *join(const struct event *event)
{
    char *text;
    int length =
        asprintf(&text, "%s|%s|%s|%s|%s|%s|%.*s|%s", event->module, event->type,
                 or_null(event->context_ids[EVENT_ORIGIN_COMMUNITY_ID]), or_null(event->context_ids[EVENT_USER_ID]),
                 or_null(event->context_ids[EVENT_COMMUNITY_ID]), or_null(event->context_ids[EVENT_PROFILE_ID]),
                 (int)event->payload_length, event->payload, or_null(event->extra));

    return length < 0 ? NULL : text;
}

static void check_columns(const struct columns *columns)
{
    size_t length = strlen(columns->body);
    char *body = malloc(length), *got = NULL;
    struct event event;
    struct err why = {""};

    memcpy(body, columns->body, length);
    if (event_read(body, length, &event, &why) == RESULT_OK)
        got = join(&event);
    is_text(got != NULL ? got : why.text, columns->wanted, columns->name);
    event_free(&event);
    free(got);
    free(body);
}

static void check_no_columns(void)
{
    static const char text[] = PLAIN ",\"x\":1,\"payload\":7}";
    struct event event;
    struct err why = {""};

    memset(&event, 'x', sizeof event);
    ok(event_read(text, sizeof text - 1, &event, &why) == RESULT_FAIL && event.module == NULL &&
           event.payload == NULL && event.extra == NULL,
       "what is no event has no columns");
    event_free(&event);
    event_free(NULL);
}

/* At every offset in a machine word, since utf8_span reads words. */
static void check_utf8(const char *bytes)
{
    bool right = true;

    for (int before = 0; before < 17; before++) {
        struct err why = {""};
        char text[200], reason[50];

        snprintf(text, sizeof text, "%s,\"x\":\"%.*s%s%.*s\"}", PLAIN, before, D10 D10, bytes, before / 2, D10);
        snprintf(reason, sizeof reason, "not UTF-8 at byte %d", (int)(sizeof PLAIN + strlen(",\"x\":\"")) + before);
        right = right && check(text, strlen(text), &why) == RESULT_FAIL && strcmp(why.text, reason) == 0;
    }
    ok(right, "no UTF-8: %02x…", (unsigned char)*bytes);
}

static void check_nul(void)
{
    static const char behind[] = EVENT "\0", inside[] = WITH("\"a\0b\"");
    struct err why = {""};

    ok(check(behind, sizeof behind - 1, &why) == RESULT_FAIL, "a NUL behind the object");
    is_text(why.text, "a NUL byte at byte 163", "has its reason");
    ok(check(inside, sizeof inside - 1, &why) == RESULT_FAIL, "a NUL in a string");
    is_text(why.text, "a NUL byte at byte 147", "has its reason");
    ok(check("\0", 1, &why) == RESULT_FAIL, "a NUL alone");
}

/* DEPTH counts the outermost object and the payload. */
static enum result check_nested(unsigned depth, const char *open, const char *close, struct err *why)
{
    size_t length = 0, room = 1000 + depth * (strlen(open) + strlen(close));
    char *text = malloc(room);
    enum result result;

    length += (size_t)sprintf(text, START CONTEXT ",\"payload\":{\"x\":");
    for (unsigned i = 2; i < depth; i++)
        length += (size_t)sprintf(text + length, "%s", open);
    length += (size_t)sprintf(text + length, "0");
    for (unsigned i = 2; i < depth; i++)
        length += (size_t)sprintf(text + length, "%s", close);
    length += (size_t)sprintf(text + length, "}}");
    result = check(text, length, why);
    free(text);
    return result;
}

static void check_depth(void)
{
    struct err why = {""};

    ok(check_nested(1000, "[", "]", &why) == RESULT_OK, "1,000 deep in arrays");
    ok(check_nested(1000, "{\"a\":", "}", &why) == RESULT_OK, "1,000 deep in objects");
    ok(check_nested(1001, "[", "]", &why) == RESULT_FAIL, "1,001 deep");
    ok(strstr(why.text, "nested more than 1000 deep") == why.text, "has its reason");
    ok(check_nested(1000000, "[", "]", &why) == RESULT_FAIL, "a million deep");
    ok(check_nested(1000000, "{\"a\":", "}", &why) == RESULT_FAIL, "a million deep in objects");
}

static void check_prefixes(void)
{
    struct err why = {""};
    size_t length = strlen(EVENT);
    bool none = true;

    for (size_t cut = 0; cut < length; cut++)
        none = none && check(EVENT, cut, &why) == RESULT_FAIL && *why.text != '\0';
    ok(none, "an event cut off anywhere is none");
}

static void check_body_is_left_alone(void)
{
    static const char text[] = WITH("[1,2,1e999]");
    char copy[sizeof text];
    struct err why = {""};

    memcpy(copy, text, sizeof text);
    ok(judge(copy, sizeof copy - 1, &why) == RESULT_FAIL && memcmp(copy, text, sizeof text) == 0,
       "the body is not written to");
}

static void check_value(const char *path, const char *wanted)
{
    static const char object[] =
        "{\"a\":{\"b\":[1.10,\"x\",{\"c\":null}]},\"a.b\":1,\"s\":\"\\u00e9\",\"t\":true,\"s2\":\"-1\","
        "\"e\":1,\"e\":[-0,1e400]}";
    char *got = event_value(object, path);

    is_text(got, wanted, path);
    free(got);
}

static void check_values(void)
{
    check_value("a.b.0", "1.10");
    check_value("a.b.1", "x");
    check_value("a.b", "[1.10,\"x\",{\"c\":null}]");
    check_value("a.b.2.c", NULL);
    check_value("a.b.3", NULL);
    check_value("a.b.x", NULL);
    check_value("s", "\303\251");
    check_value("s2", "-1");
    check_value("t", "true");
    check_value("e", "[-0,1e400]");
    check_value("t.x", NULL);
    check_value("", NULL);
}

static void check_change(const char *assignment, const char *wanted)
{
    char copy[100], *assignments[] = {copy}, *got;
    struct err err = {""};

    snprintf(copy, sizeof copy, "%s", assignment);
    if (event_change("{\"n\":1.10,\"a\":[0]}", assignments, 1, &got, &err) != RESULT_OK)
        ok(wanted == NULL && got == NULL && strstr(err.text, assignment) != NULL, "%s is refused", assignment);
    else
        is_text(got, wanted, assignment);
    free(got);
}

static void check_changes(void)
{
    static const char *const no_json[] = {"007", "-01",      "00",   "+1",    "1.",    ".5",    "-.5",
                                          "1e",  "1e+",      "0x10", "-",     "--1",   "1-2",   "1 2",
                                          "NaN", "Infinity", "-Inf", "1,",    "[01]",  "[1.]",  "True",
                                          "nul", "nulll",    "[1",   "{a:1}", "1e5.5", "1E5e5", "- 1"};
    struct err err;
    char *got;

    check_change("n=2", "{\"n\":2,\"a\":[0]}");
    check_change("x.y=z", "{\"n\":1.10,\"a\":[0],\"x\":{\"y\":\"z\"}}");
    check_change("a.0=null", "{\"n\":1.10,\"a\":[null]}");
    check_change("a.1=[1.10,{\"b\":12345678901234567890}]",
                 "{\"n\":1.10,\"a\":[0,[1.10,{\"b\":12345678901234567890}]]}");
    check_change("n=2026-01-02", "{\"n\":\"2026-01-02\",\"a\":[0]}");
    check_change("n=", "{\"n\":\"\",\"a\":[0]}");
    check_change("n=a=b", "{\"n\":\"a=b\",\"a\":[0]}");
    for (size_t i = 0; i < sizeof no_json / sizeof *no_json; i++) {
        char assignment[32], wanted[64];

        snprintf(assignment, sizeof assignment, "n=%s", no_json[i]);
        snprintf(wanted, sizeof wanted, "{\"n\":\"%s\",\"a\":[0]}", no_json[i]);
        check_change(assignment, wanted);
    }
    check_change("n= -0.5E+7\r\n", "{\"n\":-0.5E+7,\"a\":[0]}");
    check_change("n=1e999", "{\"n\":1e999,\"a\":[0]}");
    check_change("n=\"\\u00e9\\ud83d\\ude00\\\"\"", "{\"n\":\"\303\251\360\237\230\200\\\"\",\"a\":[0]}");
    check_change("n=[\"a\tb\"]", "{\"n\":\"[\\\"a\\tb\\\"]\",\"a\":[0]}");
    check_change("n=\v1", "{\"n\":\"\\u000b1\",\"a\":[0]}");
    check_change("n=\"a\\u0000b\"", NULL);
    check_change("n=\"\\u12\"", NULL);
    check_change("n=\"a\tb\"", NULL);
    check_change("n=\"\\ud800\"", NULL);
    check_change("n=\"", "{\"n\":\"\\\"\",\"a\":[0]}");
    check_change("n=\"a\\", "{\"n\":\"\\\"a\\\\\",\"a\":[0]}");
    check_change("n=\xff", NULL);
    check_change("\xc3=1", NULL);
    ok(event_change("{\"a\":007}", NULL, 0, &got, &err) == RESULT_FAIL && got == NULL, "no JSON cannot be changed");
    check_change("n", NULL);
    check_change("=1", NULL);
    check_change("n.x=1", NULL);
    check_change("n.x.y=1", NULL);
    check_change("a.2=1", NULL);
    check_change("a.x=1", NULL);
    ok(event_change("[1]", NULL, 0, &got, &err) == RESULT_FAIL && got == NULL, "an array cannot be changed");
    ok(event_change("{} x", NULL, 0, &got, &err) == RESULT_FAIL && got == NULL, "nor text after an object");
}

int main(void)
{
    struct err why = {""};

    setlocale(LC_ALL, ""); /* a decimal comma must make no difference */
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        check_sample(&samples[i]);
    for (size_t i = 0; i < sizeof column_samples / sizeof column_samples[0]; i++)
        check_columns(&column_samples[i]);
    for (size_t i = 0; i < sizeof not_utf8 / sizeof not_utf8[0]; i++)
        check_utf8(not_utf8[i]);
    check_no_columns();
    ok(judge(NULL, 0, &why) == RESULT_FAIL, "no body at all");
    check_nul();
    check_depth();
    check_prefixes();
    check_body_is_left_alone();
    check_values();
    check_changes();
    return done();
}
