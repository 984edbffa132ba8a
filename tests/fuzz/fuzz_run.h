/*
 * SPDX-License-Identifier: ISC
 *
 * What all fuzzers share: a promise that aborts, and without libFuzzer the running of bytes and of files.
 */
#ifndef CANDHOOK_FUZZ_RUN_H
#define CANDHOOK_FUZZ_RUN_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

#ifndef CANDHOOK_FUZZING

/* A copy of exactly that length, so that a tool for memory errors sees a step too far. */
static void fuzz_run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    must(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void fuzz_file(const char *path)
{
    FILE *stream = fopen(path, "rb");
    uint8_t *bytes = malloc(1 << 24);
    size_t size;

    must(stream != NULL && bytes != NULL);
    size = fread(bytes, 1, 1 << 24, stream);
    fclose(stream);
    fuzz_run(bytes, size);
    free(bytes);
}

#endif

#endif
