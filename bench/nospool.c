/*
 * SPDX-License-Identifier: ISC
 *
 * A ceiling of the benchmark: the responder's own loop over libfcgi, its rule of answers and its check of bodies, but
 * no spool. What it answers with 200 is kept nowhere. All of it is the code of candhook.fcgi but intake.c, for which
 * the functions here stand.
 */
#include <config.h>

#include "base/listener.h"
#include "base/log.h"
#include "base/std_fds.h"
#include "conf/conf.h"
#include "intake/fcgi.h"
#include "intake/intake.h"

#include <string.h>
#include <sysexits.h>

enum result intake_open(struct intake *intake, struct conf *conf, struct err *err)
{
    memset(intake, 0, sizeof *intake);
    intake->conf = conf;
    return secrets_load(&intake->secrets, conf->url_secrets, err);
}

void intake_refresh(struct intake *intake)
{
    struct err err;

    if (secrets_refresh(intake->secrets, &err) != RESULT_OK)
        log_error("url_secrets=kept reason=%s", err.text);
}

bool intake_append(struct intake *intake, const struct segment_record *records, const char *const *labels, size_t count)
{
    (void)intake;
    (void)records;
    (void)labels;
    (void)count;
    return true;
}

int intake_run_due(struct intake *intake)
{
    (void)intake;
    return -1;
}

void intake_count(struct intake *intake, enum request_status status)
{
    (void)intake;
    (void)status;
}

void intake_close(struct intake *intake)
{
    secrets_free(intake->secrets);
}

/* Opens the socket of --listen PATH, if it is given. Else *LISTENER stays 0, as Apache's mod_fcgid hands it over. */
static enum result open_listener(int argc, char **argv, int *listener, struct err *err)
{
    *listener = 0;
    return argc == 3 && strcmp(argv[1], "--listen") == 0 ? listener_open(argv[2], listener, err) : RESULT_OK;
}

int main(int argc, char **argv)
{
    struct intake intake;
    struct conf *conf;
    struct err err;
    int listener;

    std_fds_reserve();
    if (conf_load(&conf, &err) != RESULT_OK || log_open(conf->log, conf->log_level, "nospool", &err) != RESULT_OK ||
        open_listener(argc, argv, &listener, &err) != RESULT_OK || intake_open(&intake, conf, &err) != RESULT_OK) {
        log_error("nospool=ended reason=%s", err.text);
        return EX_CONFIG;
    }
    fcgi_serve(&intake, listener);
    intake_close(&intake);
    conf_free(conf);
    return 0;
}
