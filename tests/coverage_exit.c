/*
 * SPDX-License-Identifier: ISC
 *
 * In a build with --enable-coverage: a process that leaves by _exit, as the children of fork do, writes its counts too.
 * The linker puts this in place of _exit. What ends by a signal that it does not handle writes none.
 */
void __gcov_dump(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);

void __wrap__exit(int status)
{
    __gcov_dump();
    __real__exit(status);
}
