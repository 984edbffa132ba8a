/*
 * SPDX-License-Identifier: ISC
 *
 * A ceiling of the benchmark: how fast PostgreSQL takes the rows that candhook records, from a client that does nothing
 * else. All arrays are made before the clock starts; then each batch is one prepared statement in a transaction of its
 * own that unnests them into candhook.event and, for one handler, candhook.delivery or candhook.outcome: the same rows
 * and indexes.
 *
 *     ceiling CONNINFO EVENTS BATCH delivery|outcome      prints the events a second
 */
#include <config.h>

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define COLUMNS 8
#define BODY 300 /* bytes of an event as the load generator sends it */

#define INSERT_EVENTS                                                                                                  \
    "with fresh as ("                                                                                                  \
    "    insert into candhook.event"                                                                                   \
    "           (id, received_at, module, type, origin_community_id, user_id, community_id, profile_id, payload)"      \
    "    select * from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], "         \
    "$7::text[],"                                                                                                      \
    "                         $8::text[], $9::jsonb[])"                                                                \
    "    returning id, received_at, origin_community_id)"

static const char insert_deliveries[] =
    INSERT_EVENTS " insert into candhook.delivery (event_id, received_at, handler, origin_community_id)"
                  " select id, received_at, 'ceiling', origin_community_id from fresh";
static const char insert_outcomes[] =
    INSERT_EVENTS " insert into candhook.outcome (event_id, received_at, handler, attempt, result, detail, started_at,"
                  " finished_at)"
                  " select id, received_at, 'look', 1, 'ok', 'ok', clock_timestamp(), clock_timestamp() from fresh";

struct array {
    char *text;
    size_t length, size;
};

static void append(struct array *array, const char *text)
{
    size_t length = strlen(text);

    if (array->length + length + 2 > array->size) {
        array->size = 2 * (array->length + length + 2);
        array->text = realloc(array->text, array->size);
        if (array->text == NULL)
            abort();
    }
    memcpy(array->text + array->length, text, length + 1);
    array->length += length;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* One event's value in each array: ids that grow with time, as candhook's do. */
static void add_event(struct array *arrays, uint64_t number, const char *separator, const char *filler)
{
    static const char *const same[] = {"MOIM", "product.created", NULL, "UAKDIJ23KD", "G0IZUDWCL", "UAKDIJ23KE"};
    char text[512];
    uint64_t ms = (uint64_t)(now() * 1000);
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;

    for (int i = 0; i <= COLUMNS; i++)
        append(&arrays[i], separator);
    snprintf(text, sizeof text, "%08" PRIx64 "-%04" PRIx64 "-7%03" PRIx64 "-8000-%012" PRIx64, ms >> 16, ms & 0xffff,
             number >> 12 & 0xfff, number);
    append(&arrays[0], text);
    gmtime_r(&seconds, &utc);
    snprintf(text, sizeof text, "\"%04d-%02d-%02d %02d:%02d:%02d.%03dZ\"", utc.tm_year + 1900, utc.tm_mon + 1,
             utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, (int)(ms % 1000));
    append(&arrays[1], text);
    for (int i = 0; i < 6; i++) {
        snprintf(text, sizeof text, "G%09d", (int)(number % 100) + 1);
        append(&arrays[2 + i], same[i] != NULL ? same[i] : text);
    }
    snprintf(text, sizeof text, "\"{\\\"id\\\":\\\"ceiling-%010" PRIu64 "\\\",\\\"text\\\":\\\"%s\\\"}\"", number,
             filler);
    append(&arrays[COLUMNS], text);
}

static void fail(PGconn *connection)
{
    fprintf(stderr, "ceiling: %s", PQerrorMessage(connection));
    exit(EX_SOFTWARE);
}

int main(int argc, char **argv)
{
    uint64_t events = argc == 5 ? strtoull(argv[2], NULL, 10) : 0, batch = argc == 5 ? strtoull(argv[3], NULL, 10) : 0;
    uint64_t batches = batch > 0 ? (events + batch - 1) / batch : 0;
    struct array(*arrays)[COLUMNS + 1] = calloc(batches + 1, sizeof *arrays);
    char filler[BODY] = "";
    const char *insert;
    PGconn *connection;
    double begun;

    if (batches == 0 || arrays == NULL) {
        fputs("usage: ceiling CONNINFO EVENTS BATCH delivery|outcome\n", stderr);
        free(arrays);
        return EX_USAGE;
    }
    memset(filler, 'a', 90);
    for (uint64_t i = 0; i < events; i++)
        add_event(arrays[i / batch], i, i % batch == 0 ? "{" : ",", filler);
    connection = PQconnectdb(argv[1]);
    if (PQstatus(connection) != CONNECTION_OK)
        fail(connection);
    insert = strcmp(argv[4], "outcome") == 0 ? insert_outcomes : insert_deliveries;
    if (PQresultStatus(PQprepare(connection, "insert", insert, 0, NULL)) != PGRES_COMMAND_OK)
        fail(connection);
    begun = now();
    for (uint64_t i = 0; i < batches; i++) {
        const char *values[COLUMNS + 1];
        PGresult *result;

        for (int column = 0; column <= COLUMNS; column++) {
            append(&arrays[i][column], "}");
            values[column] = arrays[i][column].text;
        }
        result = PQexecPrepared(connection, "insert", COLUMNS + 1, values, NULL, NULL, 0);
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            fail(connection);
        PQclear(result);
    }
    printf("%.1f\n", (double)events / (now() - begun));
    PQfinish(connection);
    return 0;
}
