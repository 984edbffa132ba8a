/*
 * SPDX-License-Identifier: ISC
 *
 * Whether the processors are busy, by what /proc/stat said twice.
 */
#include <config.h>

#include "processors.h"

#include "tap.h"

static void test_judgement(void)
{
    struct processors processors = {0};

    ok(!processors_busy_by(&processors, "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"),
       "at the first look nobody can tell");
    ok(processors_busy_by(&processors, "cpu  170 5 120 819 0 1 1 1 0 0\n"), "19 of 117 ticks were idle: busy");
    ok(processors_busy_by(&processors, "cpu  170 5 120 828 0 1 1 1 0 0\n"), "9 ticks later they still are");
    ok(!processors_busy_by(&processors, "cpu  246 5 120 839 0 1 1 1 0 0\n"), "20 of 96 ticks were idle: not busy");
    ok(!processors_busy_by(&processors, "cpu  326 5 120 841 18 1 1 1 0 0\n"), "waiting for a disk is idle, too");
    ok(processors_busy_by(&processors, "cpu  326 5 120 841 18 1 1 91 0 0\n"),
       "what another machine of the host took is not idle");
}

static void test_what_cannot_be_told(void)
{
    struct processors processors = {0};

    ok(!processors_busy_by(&processors, "cpu  100 0 100 800 0 0 0 0\n") &&
           processors_busy_by(&processors, "cpu  200 0 100 800 0 0 0 0\n"),
       "busy");
    ok(!processors_busy_by(&processors, "") && !processors_busy_by(&processors, "cpu  1 2 3\n"),
       "nothing that can be read is no reason to rest");
    ok(processors_busy_by(&processors, "cpu  300 0 100 800 0 0 0 0\n"), "and is forgotten");
    ok(!processors_busy_by(&processors, "cpu  20 0 10 80 0 0 0 0\n"), "counters that went back begin anew");
    ok(processors_busy_by(&processors, "cpu  60 0 10 80 0 0 0 0\n"), "and count from there");
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
    test_what_cannot_be_told();
    test_this_machine();
    return done();
}
