/*
 * SPDX-License-Identifier: ISC
 *
 * The verbs of candhook: a file verb_*.c each, and a line in the table of candhook.c. Each parses its own arguments;
 * argv[0] is "candhook VERB". It returns the exit status: 0, a status of <sysexits.h>, or 1 where its manual says so.
 */
#ifndef CANDHOOK_VERB_H
#define CANDHOOK_VERB_H

int verb_api(int argc, char **argv);
int verb_authorize_url(int argc, char **argv);
int verb_check_config(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_forward(int argc, char **argv);
int verb_init(int argc, char **argv);
int verb_scopes(int argc, char **argv);
int verb_send(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_stop(int argc, char **argv);
int verb_token(int argc, char **argv);
int verb_url(int argc, char **argv);
int verb_web_user(int argc, char **argv);
int verb_work(int argc, char **argv);

#endif
