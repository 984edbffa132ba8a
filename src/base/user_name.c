/*
 * SPDX-License-Identifier: ISC
 */
#include <config.h>

#include "base/user_name.h"

#include <pwd.h>
#include <stdio.h>

const char *user_name_of(struct user_name *room, uid_t uid)
{
    const struct passwd *user = getpwuid(uid);

    if (user != NULL)
        snprintf(room->text, sizeof room->text, "%s", user->pw_name);
    else
        snprintf(room->text, sizeof room->text, "%lu", (unsigned long)uid);
    return room->text;
}
