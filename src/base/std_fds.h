/*
 * SPDX-License-Identifier: ISC
 *
 * The first thing that a program of ours sees to: descriptors 0 to 2 are open.
 */
#ifndef CANDHOOK_STD_FDS_H
#define CANDHOOK_STD_FDS_H

/* Puts /dev/null where 0, 1 or 2 is closed, so that no file opened later gets what somebody prints. */
void std_fds_reserve(void);

#endif
