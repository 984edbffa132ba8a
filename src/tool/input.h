/*
 * SPDX-License-Identifier: ISC
 *
 * What a person gives to a verb beside its arguments, which every user of the machine can read.
 */
#ifndef CANDHOOK_INPUT_H
#define CANDHOOK_INPUT_H

/* Returns the first line of stdin without white space at its end, allocated; NULL when nothing is left of it, or it
 * has a NUL. Reads nothing behind that line. */
char *input_line(void);

/*
 * Returns a secret, allocated: on a terminal what is typed at PROMPT, without an echo, else input_line. NULL when there
 * is none. A signal that ends the program, such as Ctrl-C, restores the terminal's echo first.
 */
char *input_secret(const char *prompt);

#endif
