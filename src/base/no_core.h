/*
 * SPDX-License-Identifier: ISC
 *
 * No core of a process that holds tokens or passwords.
 */
#ifndef CANDHOOK_NO_CORE_H
#define CANDHOOK_NO_CORE_H

/* From now on, a crash of this process or of a child that it forks leaves no core. A program that it runs may dump one
 * unless a limit (RLIMIT_CORE, 0 as well) forbids it. */
void no_core(void);

#endif
