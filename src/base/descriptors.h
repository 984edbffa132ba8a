/*
 * SPDX-License-Identifier: ISC
 *
 * The first thing that a program of ours sees to: descriptors 0 to 2 are open.
 */
#ifndef CANDHOOK_DESCRIPTORS_H
#define CANDHOOK_DESCRIPTORS_H

/* Puts /dev/null where 0, 1 or 2 is closed, so that no file opened later gets what somebody prints. */
void descriptors_reserve(void);

#endif
