/*
 * SPDX-License-Identifier: ISC
 *
 * Options of AddressSanitizer and UBSan in the programs of a build with --enable-asan. They are compiled in, since
 * fronts start programs with an environment of their own. A program that lies in DIR/bin with a folder DIR/sanitizer
 * beside it (as the rig of the tests has it) writes its reports there, one file a process; any other writes them to
 * stderr.
 *
 * The sanitizers ask before they are set up, so nothing here may call a function that they intercept.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Without llvm-symbolizer, binutils finds the lines. */
#define COMMON_OPTIONS "print_stacktrace=1:allow_addr2line=1"
#define REPORTS "/sanitizer"

const char *__asan_default_options(void);
const char *__lsan_default_options(void);
const char *__ubsan_default_options(void);
extern const int candhook_sanitizer_options;

/* The linker is told to want this name, or it would leave this file in the library. */
const int candhook_sanitizer_options = 1;

#define UNCHECKED __attribute__((no_sanitize("address", "undefined")))

/* Appends a text. Returns the new end, NULL when it does not fit. */
UNCHECKED static char *append_text(char *end, const char *limit, const char *text)
{
    for (; end != NULL && *text != '\0'; text++) {
        if (end + 1 == limit)
            return NULL;
        *end++ = *text;
    }
    if (end != NULL)
        *end = '\0';
    return end;
}

/* Cuts the last two parts off a path: the program and its folder. */
UNCHECKED static char *cut_program(const char *path, char *end)
{
    for (int parts = 0; parts < 2 && end > path;)
        if (*--end == '/')
            parts++;
    *end = '\0';
    return end;
}

UNCHECKED static const char *find_options(void)
{
    static char options[PATH_MAX + 256];
    const char *limit = options + sizeof options;
    char *path = append_text(options, limit, COMMON_OPTIONS ":log_path="), *end;
    long length = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", path, (size_t)PATH_MAX);

    if (length > 0) {
        end = append_text(cut_program(path, path + length), limit, REPORTS);
        if (syscall(SYS_faccessat, AT_FDCWD, path, W_OK) == 0 && append_text(end, limit, REPORTS) != NULL)
            return options;
    }
    return COMMON_OPTIONS;
}

UNCHECKED const char *__asan_default_options(void)
{
    return find_options();
}

UNCHECKED const char *__lsan_default_options(void)
{
    return find_options();
}

UNCHECKED const char *__ubsan_default_options(void)
{
    return find_options();
}
