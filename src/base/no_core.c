/* SPDX-License-Identifier: ISC */
#include <config.h>

#include "base/no_core.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS_ARE_TRACED
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define LEAKS_ARE_TRACED
#endif

void no_core(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
#ifndef LEAKS_ARE_TRACED
    prctl(PR_SET_DUMPABLE, 0); /* the limit does not hold where cores are written by a pipe */
#endif
}
