/*
 * SPDX-License-Identifier: ISC
 *
 * Fuzzes the reading of the configuration. Any file is read or refused; a refusal is one line that begins with the
 * file; what is read is in its ranges and can be printed.
 */
#include <config.h>

#include "conf/conf.h"

#include "fuzz.h"
#include "fuzz_file.h"

static void check(const struct conf *conf)
{
    char text[65536];
    FILE *stream = fmemopen(text, sizeof text, "w");

    must(stream != NULL);
    conf_print(conf, stream);
    fclose(stream);
    must(*conf->database != '\0' && *conf->spool == '/' && *conf->url_secrets == '/' && *conf->handler_dir == '/');
    must(conf->max_body >= 1024 && conf->max_body <= 16 * 1024 * 1024 && conf->runners <= 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file_with(data, size);
    struct conf *conf = NULL;
    struct err err = {""};

    setenv("CANDHOOK_CONF", path, 1);
    if (conf_load(&conf, &err) == RESULT_OK)
        check(conf);
    else
        must(strncmp(err.text, path, strlen(path)) == 0 && strchr(err.text, '\n') == NULL);
    conf_free(conf);
    return 0;
}

static const char *const fuzz_seeds[] = {
    "[candhook]\ndatabase = host=/tmp password='a;b#c=d'\nspool = /srv/spool\nmax_body = 64k\nkeep_sealed = 2d\n",
    "# a comment\r\n[candhook]\r\n\r\ndatabase=x\r\nlog = syslog\r\nlog_level = debug\r\nrunners = 3\r\n",
    "\xef\xbb\xbf[candhook]\ndatabase = \"\303\244\"\n ; x\n[candhook]\nmin_free = 1G\nurl_secrets = /s\n",
    "[candhook]\nDatabase = x\ndatabase = y\n[other]\n= z\n",
    "",
};

FUZZ_MAIN
