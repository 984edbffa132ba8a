/*
 * SPDX-License-Identifier: ISC
 *
 * What the fuzzers of texts share. Each defines LLVMFuzzerTestOneInput, which aborts when a promise is broken, and the
 * array fuzz_seeds. Built for libFuzzer with --enable-fuzzing; else this is the main of a test, which runs the files
 * given, or the seeds and many small changes of them, the same ones every time, and what is kept in corpus/NAME.
 */
#ifndef CANDHOOK_FUZZ_H
#define CANDHOOK_FUZZ_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_run.h"
#include "tap.h"

#ifndef CANDHOOK_FUZZING

#define FUZZ_CHANGES 500 /* of each seed */
#define FUZZ_BYTES 4096  /* longest seed, changed */

static uint32_t fuzz_random(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)*state * below) >> 32);
}

/* One small change: a byte set, one taken out, one put in, a stretch doubled, or the end cut off. */
static size_t fuzz_change(uint8_t *text, size_t size, uint32_t *state)
{
    static const char bytes[] = "{}[]\",:\\\n\r\t #;=-+.eE019utfn/?\0\x7f\xff\xc3\xef\xbb\xbf";
    uint32_t at = fuzz_random(state, (uint32_t)size + 1), stretch = fuzz_random(state, 16);
    uint8_t byte = (uint8_t)bytes[fuzz_random(state, sizeof bytes - 1)];

    switch (fuzz_random(state, 6)) {
    case 0:
        return at;
    case 1:
        if (at == size)
            return size;
        memmove(text + at, text + at + 1, size - at - 1);
        return size - 1;
    case 2:
        if (at + stretch > size || size + stretch > FUZZ_BYTES)
            return size;
        memmove(text + at + stretch, text + at, size - at);
        return size + stretch;
    case 3:
        if (size == FUZZ_BYTES)
            return size;
        memmove(text + at + 1, text + at, size - at);
        text[at] = byte;
        return size + 1;
    default:
        if (at < size)
            text[at] = byte;
        return size;
    }
}

static void fuzz_seed(const char *seed)
{
    uint8_t text[FUZZ_BYTES];
    uint32_t state = 1;

    must(strlen(seed) <= sizeof text);
    fuzz_run((const uint8_t *)seed, strlen(seed));
    for (int i = 0; i < FUZZ_CHANGES; i++) {
        size_t size = strlen(seed);

        memcpy(text, seed, size);
        for (uint32_t changes = 1 + fuzz_random(&state, 4); changes > 0; changes--)
            size = fuzz_change(text, size, &state);
        fuzz_run(text, size);
    }
}

/* Runs what fuzzers have found that covers more: the files of tests/fuzz/corpus/NAME, of the program NAME.t. */
static void fuzz_corpus(const char *program)
{
    const char *top = getenv("top_srcdir"), *slash = strrchr(program, '/');
    const char *name = slash != NULL ? slash + 1 : program;
    char path[4096];
    struct dirent *entry;
    int count = 0;
    DIR *folder;

    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%.*s", top != NULL ? top : ".", (int)strcspn(name, "."), name);
    folder = opendir(path);
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char file[sizeof path + 300];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        fuzz_file(file);
        count++;
    }
    if (folder != NULL)
        closedir(folder);
    ok(top == NULL || count > 0, "%d files of the corpus", count);
}

static int fuzz_main(int argc, char **argv, const char *const *seeds, size_t count)
{
    for (int i = 1; i < argc; i++) {
        fuzz_file(argv[i]);
        ok(1, "%s", argv[i]);
    }
    for (size_t i = 0; argc == 1 && i < count; i++) {
        fuzz_seed(seeds[i]);
        ok(1, "seed %zu and %d changes of it", i + 1, FUZZ_CHANGES);
    }
    if (argc == 1)
        fuzz_corpus(argv[0]);
    return done();
}

#define FUZZ_MAIN                                                                                                      \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        return fuzz_main(argc, argv, fuzz_seeds, sizeof fuzz_seeds / sizeof fuzz_seeds[0]);                            \
    }

#else

#define FUZZ_MAIN __attribute__((unused)) static const char *const *const fuzz_seeds_are_for_the_test = fuzz_seeds;

#endif

#endif
