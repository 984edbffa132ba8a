/*
 * SPDX-License-Identifier: ISC
 *
 * Sample events. The table is generated from the fixtures of this folder by build-aux/embed-samples.
 */
#include <config.h>

#include "event/sample.h"

#include <string.h>

const struct sample *sample_find(const char *type)
{
    for (const struct sample *sample = samples; sample->type != NULL; sample++)
        if (strcmp(sample->type, type) == 0)
            return sample;
    return NULL;
}
