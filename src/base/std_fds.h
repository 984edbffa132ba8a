/*
 * SPDX-License-Identifier: ISC
 *
 * The standard descriptors 0 to 2, which a program of ours makes sure of before anything else; and the others, which a
 * child is not to have.
 */
#ifndef CANDHOOK_STD_FDS_H
#define CANDHOOK_STD_FDS_H

/* Opens /dev/null as 0, 1 or 2 where one is closed, so that no file opened later receives what is printed. */
void std_fds_reserve(void);

/* In a child: closes all descriptors from FIRST on. syslog() opens its socket anew when it is called again. */
void std_fds_close_others(unsigned first);

#endif
