/*
 * SPDX-License-Identifier: ISC
 *
 * Whether the processors are busy, by two readings of /proc/stat.
 */
#include <config.h>

#include "work/processors.h"

#include "tap.h"

static void test_judgement(void)
{
    struct processors processors = {0};

    ok(!processors_busy_by(&processors, "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n", 2),
       "the first reading tells nothing");
    ok(processors_busy_by(&processors, "cpu  150 5 123 819 0 1 1 1 0 0\n", 2), "of two, 0.38 were idle: busy");
    ok(processors_busy_by(&processors, "cpu  150 5 123 828 0 1 1 1 0 0\n", 2), "9 ticks later they still are");
    ok(!processors_busy_by(&processors, "cpu  230 5 123 839 0 1 1 1 0 0\n", 2), "0.4 were idle: not busy");
    ok(!processors_busy_by(&processors, "cpu  310 5 123 841 18 1 1 1 0 0\n", 2), "waiting for a disk is idle, too");
    ok(processors_busy_by(&processors, "cpu  310 5 123 841 18 1 1 91 0 0\n", 2),
       "what another machine of the host took is not idle");
}

static void test_how_many(void)
{
    struct processors many = {0}, one = {0};

    processors_busy_by(&many, "cpu  100 0 100 800 0 0 0 0\n", 20);
    ok(!processors_busy_by(&many, "cpu  198 0 100 802 0 0 0 0\n", 20) &&
           processors_busy_by(&many, "cpu  297 0 100 803 0 0 0 0\n", 20),
       "of twenty, a fiftieth of all is 0.4");
    processors_busy_by(&one, "cpu  100 0 100 800 0 0 0 0\n", 1);
    ok(!processors_busy_by(&one, "cpu  160 0 100 840 0 0 0 0\n", 1) &&
           processors_busy_by(&one, "cpu  221 0 100 879 0 0 0 0\n", 1),
       "and of one, two fifths");
}

static void test_what_cannot_be_told(void)
{
    struct processors processors = {0};

    ok(!processors_busy_by(&processors, "cpu  900 0 100 0 0 0 0 0\n", 2) &&
           processors_busy_by(&processors, "cpu  1000 0 100 0 0 0 0 0\n", 2),
       "a first reading never finds them busy");
    ok(!processors_busy_by(&processors, "", 2) && !processors_busy_by(&processors, "cpu  1 2 3\n", 2),
       "nothing that can be read is no reason to rest");
    ok(processors_busy_by(&processors, "cpu  1100 0 100 0 0 0 0 0\n", 2), "and is forgotten");
    ok(!processors_busy_by(&processors, "cpu  20 0 10 0 0 0 0 0\n", 2), "counters that went back begin anew");
    ok(processors_busy_by(&processors, "cpu  60 0 10 0 0 0 0 0\n", 2), "and count from there");
    ok(processors_busy_by(&processors, "cpu  99 0 10 1 0 0 0 0\n", 2) &&
           !processors_busy_by(&processors, "cpu  199 0 10 0 0 0 0 0\n", 2),
       "time at rest that became less, as waiting for a disk may, is no reason to rest");
}

static void test_this_machine(void)
{
    struct processors processors = {0};

    processors_busy(&processors);
    ok(processors.all > 0 && processors.idle <= processors.all, "/proc/stat of this machine can be read");
}

int main(void)
{
    test_judgement();
    test_how_many();
    test_what_cannot_be_told();
    test_this_machine();
    return done();
}
