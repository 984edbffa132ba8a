/*
 * SPDX-License-Identifier: ISC
 *
 * The installed install.sql, built into the program, so that a program and its schema cannot differ.
 */
#ifndef CANDHOOK_INSTALL_SQL_H
#define CANDHOOK_INSTALL_SQL_H

extern const char install_sql[];

#endif
