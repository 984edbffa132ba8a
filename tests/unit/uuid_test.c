/*
 * SPDX-License-Identifier: ISC
 *
 * Ids: their layout, their order, also when the clock steps back. Linked with a fake clock_gettime.
 */
#include <config.h>

#include "base/uuid.h"

#include "base/clock.h"

#include <string.h>
#include <time.h>

#include "tap.h"

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

static struct timespec fake;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (fake.tv_sec == 0)
        return __real_clock_gettime(clock, now);
    *now = fake;
    return 0;
}

static void test_layout(void)
{
    struct timespec now;
    uint8_t id[UUID_BYTES];

    fake = (struct timespec){1700000000, 123456789};
    uuid_new(id);
    ok(uuid_milliseconds(id) == 1700000000123, "the time of an id is the clock's, in milliseconds");
    ok(id[0] == 0x01 && id[1] == 0x8b && id[2] == 0xcf && id[3] == 0xe5 && id[4] == 0x68 && id[5] == 0x7b,
       "it stands in the first 48 bits, the highest first");
    ok(id[6] >> 4 == 7 && id[8] >> 6 == 2, "version and variant are those of RFC 9562");
    fake.tv_sec = 0;
    clock_gettime(CLOCK_REALTIME, &now);
    uuid_new(id);
    ok(uuid_milliseconds(id) / 1000 - (uint64_t)now.tv_sec <= 1, "an id made now is of now");
}

/* Makes ids and looks whether each is greater than the one before. */
static int all_grow(int count, uint8_t last[UUID_BYTES])
{
    uint8_t id[UUID_BYTES];

    while (count-- > 0) {
        uuid_new(id);
        if (memcmp(id, last, UUID_BYTES) <= 0 || id[6] >> 4 != 7 || id[8] >> 6 != 2)
            return 0;
        memcpy(last, id, UUID_BYTES);
    }
    return 1;
}

static void test_order(void)
{
    uint8_t last[UUID_BYTES] = {0};

    ok(all_grow(20000, last), "ids grow");
    fake = (struct timespec){(time_t)(uuid_milliseconds(last) / 1000) + 10, 0};
    ok(all_grow(20000, last), "within one millisecond, too, beyond what its counter holds");
    ok(uuid_milliseconds(last) - (uint64_t)fake.tv_sec * 1000 <= 5, "and hardly run ahead of the clock");
    fake.tv_sec -= 3;
    ok(all_grow(5000, last), "when the clock steps back a little, too");
    fake.tv_sec = 0;
}

/* A clock that was ahead by a year is set right: an event's received_at must not be wrong until the program ends. */
static void test_clock_set_back(void)
{
    uint8_t ahead[UUID_BYTES], id[UUID_BYTES], again[UUID_BYTES];

    fake = (struct timespec){1800000000, 0};
    uuid_new(ahead);
    fake.tv_sec -= 365 * 86400;
    uuid_new(id);
    ok(uuid_milliseconds(id) == (uint64_t)fake.tv_sec * 1000,
       "after a clock that was far ahead, ids have its new time");
    memcpy(again, id, sizeof again);
    ok(all_grow(5000, again), "and grow from there");
    fake.tv_sec += 365 * 86400;
    uuid_new(again);
    ok(uuid_milliseconds(again) == uuid_milliseconds(ahead) && memcmp(again + 8, ahead + 8, 8) != 0,
       "of a millisecond that comes twice, no id comes twice");
    fake.tv_sec = 0;
}

static void test_text(void)
{
    static const char text[] = "018bcfe5-687b-7abc-8def-0123456789af";
    static const char *const wrong[] = {"",
                                        "018bcfe5-687b-7abc-8def-0123456789a",
                                        "018bcfe5-687b-7abc-8def-0123456789aff",
                                        "018bcfe5-687b-7abc-8def-0123456789ag",
                                        "018bcfe5+687b-7abc-8def-0123456789af",
                                        "018bcfe5-687b-7abc-8def 0123456789af",
                                        "018bcfe56-87b-7abc-8def-0123456789af"};
    uint8_t id[UUID_BYTES], again[UUID_BYTES];
    char written[UUID_TEXT];

    ok(uuid_parse(text, id) && id[0] == 0x01 && id[15] == 0xaf, "the text form is read");
    is_text(uuid_text(id, written), text, "and written in lower case");
    ok(uuid_parse("018BCFE5-687B-7ABC-8DEF-0123456789AF", again) && memcmp(id, again, UUID_BYTES) == 0,
       "upper case is read as the same");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ok(!uuid_parse(wrong[i], id), "\"%s\" is refused", wrong[i]);
}

static void test_time_texts(void)
{
    char text[CLOCK_TEXT_BYTES];

    is_text(clock_text(1704067199987, text), "2023-12-31T23:59:59.987Z", "a time as a text");
    is_text(clock_text_seconds(INT64_MAX, text), "292278994-08-17T07:12:55Z", "the last one that can be");
}

int main(void)
{
    test_layout();
    test_order();
    test_clock_set_back();
    test_text();
    test_time_texts();
    return done();
}
