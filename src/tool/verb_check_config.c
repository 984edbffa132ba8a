/*
 * SPDX-License-Identifier: ISC
 *
 * candhook check-config: reads the configuration and the URL secrets as the programs do, and prints the settings in
 * force, defaults included. It opens neither the spool nor the database. Of `database`, which may hold a password, it
 * prints only that it is set.
 */
#include <config.h>

#include "conf/conf.h"
#include "conf/secrets.h"
#include "tool/verb.h"

#include <argp.h>
#include <stdio.h>
#include <sysexits.h>

static const struct argp check_config_argp = {
    .doc = "Reads the configuration and the URL secrets, and prints the settings in force."
           "\vExit status: 0; 78 when something is wrong."};

static void print_secret_labels(const struct secrets *secrets)
{
    size_t count = secrets_count(secrets);

    printf("%zu URL secret%s:", count, count == 1 ? "" : "s");
    for (size_t i = 0; i < count; i++) {
        const char *label = secrets_label(secrets, i);

        printf("%s %s", i > 0 ? "," : "", *label != '\0' ? label : "(no label)");
    }
    putchar('\n');
}

int verb_check_config(int argc, char **argv)
{
    struct secrets *secrets = NULL;
    struct conf *conf = NULL;
    int status = EX_CONFIG;
    struct err err;

    argp_parse(&check_config_argp, argc, argv, 0, NULL, NULL);
    if (conf_load(&conf, &err) != RESULT_OK)
        goto out;
    printf("# %s\n", conf->path);
    conf_print(conf, stdout);
    fflush(stdout); /* an error of the secrets comes below this, also when both go to one file */
    if (secrets_load(&secrets, conf->url_secrets, &err) != RESULT_OK)
        goto out;
    print_secret_labels(secrets);
    puts("ok");
    status = EX_OK;
out:
    if (status != EX_OK)
        fprintf(stderr, "candhook: %s\n", err.text);
    secrets_free(secrets);
    conf_free(conf);
    return status;
}
