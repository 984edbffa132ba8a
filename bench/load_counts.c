/*
 * SPDX-License-Identifier: ISC
 *
 * What the load generator counts.
 */
#include <config.h>

#include "load_counts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

void histogram_add(struct histogram *histogram, int64_t value)
{
    uint64_t v = value > 0 ? (uint64_t)value : 0;
    int shift = v >= 2 * STEPS ? 63 - __builtin_clzll(v) - 6 : 0;

    histogram->buckets[shift * STEPS + (int)(v >> shift)]++;
    histogram->count++;
    histogram->sum += (double)v;
    if (value > histogram->largest)
        histogram->largest = value;
}

/* The latency, in ms, that so large a part of all stays below. */
static double histogram_part(const struct histogram *histogram, double part)
{
    uint64_t wanted = (uint64_t)ceil((double)histogram->count * part), seen = 0;

    for (int i = 0; i < BUCKETS && histogram->count > 0; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted) {
            int shift = i < 2 * STEPS ? 0 : i / STEPS - 1;
            double upper = ldexp(i - shift * STEPS + 1, shift);

            return (upper < (double)histogram->largest ? upper : (double)histogram->largest) / 1e6;
        }
    }
    return 0;
}

void counts_print(const struct counts *counts, double seconds, const char *more)
{
    const struct histogram *latency = &counts->latency;
    uint64_t answers = 0;
    const char *comma = "";

    printf("{\"answers\":{");
    for (int i = 0; i < STATUSES; i++) {
        if (counts->statuses[i] > 0) {
            printf("%s\"%d\":%" PRIu64, comma, i, counts->statuses[i]);
            comma = ",";
        }
        answers += counts->statuses[i];
    }
    printf("},\"acknowledged\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"broken\":%" PRIu64
           ",\"late\":%" PRIu64 ",\"seconds\":%.3f,\"answers_per_second\":%.1f,\"acknowledged_per_second\":%.1f",
           latency->count, counts->sent, counts->refused, counts->broken, counts->late, seconds,
           (double)answers / seconds, (double)latency->count / seconds);
    printf(",\"mean_ms\":%.3f,\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f",
           latency->count > 0 ? latency->sum / (double)latency->count / 1e6 : 0, histogram_part(latency, 0.5),
           histogram_part(latency, 0.9), histogram_part(latency, 0.99), histogram_part(latency, 0.999),
           (double)latency->largest / 1e6);
    printf("%s}\n", more);
    fflush(stdout);
}
