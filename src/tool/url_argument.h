/*
 * SPDX-License-Identifier: ISC
 *
 * The webhook URL that a person gives to a verb. It is a secret, and every user of the machine can read the arguments
 * of a program: so it can also come from the environment or from stdin.
 */
#ifndef CANDHOOK_URL_ARGUMENT_H
#define CANDHOOK_URL_ARGUMENT_H

/* Returns a copy of ARGUMENT, an element of argv, which is overwritten. */
char *url_argument_take(char *argument);

/*
 * Returns the URL that GIVEN means, allocated: the first line of stdin when it is "-", CANDHOOK_URL when it is NULL,
 * else GIVEN itself. NULL when there is none.
 */
char *url_argument_find(const char *given);

#endif
