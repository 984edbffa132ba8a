/*
 * SPDX-License-Identifier: ISC
 *
 * The state of an installation, the spool's part and the database's, and the one judgement of whether work goes on.
 * Each part is there without the other.
 */
#ifndef CANDHOOK_INSTALLATION_H
#define CANDHOOK_INSTALLATION_H

#include "base/err.h"
#include "conf/conf.h"
#include "status/inspect.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>

#define INSTALLATION_REASONS 4 /* as many as there can be */

struct installation {
    const struct conf *conf;
    struct inspection spool;
    struct store_facts facts;
    struct inspect_backlog backlog;
    bool has_spool, has_database;
    struct err spool_err, database_err;
    char reasons[INSTALLATION_REASONS][256]; /* why it is not healthy */
    size_t reason_count;
};

/*
 * Reads the state, and MORE of the database, to which CONNINFO leads. What cannot be read is told in spool_err and
 * database_err. To be freed in any case; CONF must stay.
 */
void installation_read(struct installation *installation, const struct conf *conf, const char *conninfo,
                       enum store_status_more more);
void installation_free(struct installation *installation);

/* Returns the judgement: "healthy", "stalled" or "database unreachable". */
const char *installation_word(const struct installation *installation);

/* Returns the fact AREA, KEY of the database as a number; 0 when there is none. */
long installation_number(const struct installation *installation, const char *area, const char *key);

#endif
