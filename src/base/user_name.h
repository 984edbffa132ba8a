/*
 * SPDX-License-Identifier: ISC
 *
 * Names of the system's users, for messages.
 */
#ifndef CANDHOOK_USER_NAME_H
#define CANDHOOK_USER_NAME_H

#include <sys/types.h>

struct user_name {
    char text[64];
};

/* Writes the name of user UID, or the number when it has none, into ROOM: either one fits chown. Returns its text. */
const char *user_name_of(struct user_name *room, uid_t uid);

#endif
