/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "tool/doctor.h"

#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 5, 0))) static void print_check(const struct doctor *doctor, const char *word,
                                                              const char *colour, const char *subject,
                                                              const char *format, va_list args)
{
    fprintf(doctor->out, "%s%-6s%s %-14s ", doctor->colour ? colour : "", word, doctor->colour ? "\033[0m" : "",
            subject);
    vfprintf(doctor->out, format, args);
    putc('\n', doctor->out);
}

void doctor_ok(struct doctor *doctor, const char *subject, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!doctor->quiet)
        print_check(doctor, "ok", "\033[32m", subject, format, args);
    va_end(args);
}

void doctor_note(struct doctor *doctor, const char *subject, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!doctor->quiet)
        print_check(doctor, "note", "\033[33m", subject, format, args);
    va_end(args);
}

void doctor_wrong(struct doctor *doctor, const char *subject, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    doctor->wrong++;
    print_check(doctor, "WRONG", "\033[31m", subject, format, args);
    va_end(args);
}

void doctor_free(struct doctor *doctor)
{
    store_free_facts(&doctor->facts);
    store_free(doctor->store);
    secrets_free(doctor->secrets);
    inspect_close(&doctor->spool);
}
