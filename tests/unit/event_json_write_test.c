/*
 * SPDX-License-Identifier: ISC
 *
 * What json_write makes: every kind of value, in order, escaped, nested.
 */
#include <config.h>

#include "event/json_write.h"

#include <stdlib.h>

#include "tap.h"

static void is_json(struct json_writer *writer, const char *wanted, const char *name)
{
    char *got = json_write_finish(writer);

    is_text(got, wanted, name);
    free(got);
}

int main(void)
{
    struct json_writer *writer = json_write_new();

    is_json(writer, "{}", "an empty object");

    writer = json_write_new();
    json_write_text(writer, "text", "a\"\\\n\x01\303\251");
    json_write_text(writer, "none", NULL);
    json_write_text(writer, "bad", "\351t\303\251");
    json_write_integer(writer, "big", INT64_MAX);
    json_write_integer(writer, "small", INT64_MIN);
    json_write_bool(writer, "yes", true);
    json_write_bool(writer, "no", false);
    json_write_null(writer, "null");
    json_write_json(writer, "json", "[1.10, {}]");
    json_write_text(writer, "a \"name\"", "");
    is_json(
        writer,
        "{\"text\":\"a\\\"\\\\\\n\\u0001\303\251\",\"none\":null,\"bad\":\"?t\303\251\",\"big\":9223372036854775807,"
        "\"small\":-9223372036854775808,\"yes\":true,\"no\":false,\"null\":null,\"json\":[1.10, {}],"
        "\"a \\\"name\\\"\":\"\"}",
        "every kind of value");

    writer = json_write_new();
    json_write_array(writer, "list");
    json_write_integer(writer, NULL, 1);
    json_write_object(writer, NULL);
    json_write_text(writer, "in", "it");
    json_write_close(writer);
    json_write_array(writer, NULL);
    json_write_close(writer);
    json_write_close(writer);
    json_write_object(writer, "last");
    json_write_bool(writer, "open", true);
    is_json(writer, "{\"list\":[1,{\"in\":\"it\"},[]],\"last\":{\"open\":true}}", "nested, closed by the end");
    return done();
}
