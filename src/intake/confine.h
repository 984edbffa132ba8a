/*
 * SPDX-License-Identifier: ISC
 *
 * What a responder gives up before its first request, so that a hole in it leads nowhere: it can answer requests and
 * write to the spool, and can neither run a program, nor open a connection, nor a file outside of the spool.
 */
#ifndef CANDHOOK_CONFINE_H
#define CANDHOOK_CONFINE_H

#define CONFINE_TEXT_BYTES 64

/*
 * Confines this process for good, to the folder SPOOL. What the kernel does not have is left out. Writes what is in
 * force into TEXT, names with commas between them: "no_new_privs,landlock,seccomp".
 */
void confine_process(const char *spool, char text[CONFINE_TEXT_BYTES]);

#endif
