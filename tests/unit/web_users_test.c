/*
 * SPDX-License-Identifier: ISC
 *
 * The console's users: what a file of them may hold, which passwords are right, and what changes when one is added,
 * replaced or removed.
 */
#include <config.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/signals.h"
#include "conf/web_users.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define SALT "xkrfEdL01j7weAEVACI5F."
#define HASH43 "1234567890123456789012345678901234567890./A"
#define HASH "$y$j9T$" SALT "$" HASH43
#define N10 "abcdefghij"
#define N64 N10 N10 N10 N10 N10 N10 "1234"

static char folder[PATH_MAX], file[PATH_MAX + 32];

static void must(int condition, const char *what)
{
    if (condition)
        return;
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The settings that passwords were hashed with. The linker puts this in the library's place. */
static char settings[4][CRYPT_OUTPUT_SIZE];
static int hashed;
static bool hashing_fails;

char *__real_crypt_r(const char *phrase, const char *setting, struct crypt_data *data);
char *__wrap_crypt_r(const char *phrase, const char *setting, struct crypt_data *data);

char *__wrap_crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
    snprintf(settings[hashed++ % 4], sizeof settings[0], "%s", setting);
    errno = ENOMEM;
    return hashing_fails ? NULL : __real_crypt_r(phrase, setting, data);
}

/* A wait takes no time here, and the clock goes on by it. */
static int64_t waited_ms;

int64_t __real_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void);
int __wrap_signals_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

int64_t __wrap_clock_monotonic_ms(void)
{
    return __real_clock_monotonic_ms() + waited_ms;
}

int __wrap_signals_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    (void)fds;
    (void)count;
    waited_ms += timeout_ms;
    return 0;
}

static void write_users(const char *text)
{
    FILE *stream = fopen(file, "w");

    must(stream != NULL, file);
    must(fputs(text, stream) >= 0 && fclose(stream) == 0 && chmod(file, 0600) == 0, file);
}

static const char *read_users_back(void)
{
    static char text[8192];
    FILE *stream = fopen(file, "r");

    must(stream != NULL, file);
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    fclose(stream);
    return text;
}

/* ---- the file ---- */

static const struct {
    const char *name, *text;
    unsigned line;
    const char *said;
} user_faults[] = {
    {"a name of 65 characters", "# a\n" N64 "5 full " HASH "\n", 2, "a name has 1 to 64 characters"},
    {"a name with a dash first", "-shop full " HASH "\n", 1, "a name has 1 to 64 characters"},
    {"a name with a slash", "sh/op full " HASH "\n", 1, "a name has 1 to 64 characters"},
    {"a name that is not ASCII", "sh\303\266p full " HASH "\n", 1, "a name has 1 to 64 characters"},
    {"a BOM", "\xef\xbb\xbfshop full " HASH "\n", 1, "a name has 1 to 64 characters"},
    {"a name alone", "shop\n", 1, "which is full or read-only"},
    {"another right", "shop Full " HASH "\n", 1, "which is full or read-only"},
    {"no right", "shop " HASH "\n", 1, "which is full or read-only"},
    {"no hash", "\n\nshop full\n", 3, "candhook web-user add"},
    {"a password in the hash's place", "shop full hunter2hunter2\n", 1, "no yescrypt hash"},
    {"a hash of another kind", "shop full $6$" SALT "$" HASH43 "\n", 1, "no yescrypt hash"},
    {"a hash without parameters", "shop full $y$$" SALT "$" HASH43 "\n", 1, "no yescrypt hash"},
    {"a hash without salt", "shop full $y$j9T$$" HASH43 "\n", 1, "no yescrypt hash"},
    {"a hash that ends with the salt", "shop full $y$j9T$" SALT "\n", 1, "no yescrypt hash"},
    {"a salt of 87 characters", "shop full $y$j9T$" HASH43 HASH43 "a$" HASH43 "\n", 1, "no yescrypt hash"},
    {"a hash that is too short", "shop full $y$j9T$" SALT "$" SALT "\n", 1, "no yescrypt hash"},
    {"a hash that is too long", "shop full " HASH "a\n", 1, "no yescrypt hash"},
    {"a comment behind the hash", "shop full " HASH " # the shop\n", 1, "a comment needs a line of its own"},
    {"a user twice", "shop full " HASH "\n# x\nshop read-only " HASH "\n", 3, "the user of line 1 again"},
};

static void check_fault(size_t i)
{
    char where[sizeof file + 32];
    struct web_users *users;
    struct web_user user = {.name = "x"};
    struct err err = {""};
    bool right;

    snprintf(where, sizeof where, "%s:%u: ", file, user_faults[i].line);
    write_users(user_faults[i].text);
    right = web_users_load(&users, file, &err) == RESULT_FAIL && strncmp(err.text, where, strlen(where)) == 0 &&
            strstr(err.text, user_faults[i].said) != NULL && strstr(err.text + strlen(where), "shop") == NULL &&
            strstr(err.text, "hunter2") == NULL && strstr(err.text, SALT) == NULL;
    right = right && web_users_find(file, "shop", &user, &err) == RESULT_FAIL && *user.name == '\0';
    if (!ok(right, "%s", user_faults[i].name))
        printf("# got: %s\n# wanted: %s... %s\n", err.text, where, user_faults[i].said);
}

static void check_shapes(void)
{
    struct web_users *users;
    struct web_user user;
    struct err err;

    write_users("# the shop\r\n\tshop.1@x_y-z\tfull\t" HASH "\t\r\n\n  # more\n" N64 "  read-only   " HASH);
    must(web_users_load(&users, file, &err) == RESULT_OK, "load");
    ok(web_users_count(users) == 2, "two users among comments, blanks and CRLF");
    is_text(web_users_get(users, 0)->name, "shop.1@x_y-z", "a name of all kinds of characters");
    ok(!web_users_get(users, 0)->read_only, "with all rights");
    is_text(web_users_get(users, 1)->name, N64, "the longest name");
    ok(web_users_get(users, 1)->read_only, "which may only read");
    ok(strlen(web_users_get(users, 0)->fingerprint) == WEB_USER_FINGERPRINT_BYTES - 1 &&
           strcmp(web_users_get(users, 0)->fingerprint, web_users_get(users, 1)->fingerprint) != 0,
       "fingerprints differ");
    ok(web_users_find(file, N64, &user, &err) == RESULT_OK && memcmp(&user, web_users_get(users, 1), sizeof user) == 0,
       "a user is found");
    web_users_free(users);
    ok(web_users_find(file, "", &user, &err) == RESULT_OK && *user.name == '\0', "no name is no user");
    ok(web_users_find(file, N64 "5 $/\n", &user, &err) == RESULT_OK && *user.name == '\0',
       "nor is one that cannot be a name");
}

static void check_access(void)
{
    struct web_user user;
    struct err err;

    write_users("shop full " HASH "\n");
    chmod(file, 0640);
    ok(web_users_find(file, "shop", &user, &err) == RESULT_FAIL && strstr(err.text, "chmod 600") != NULL,
       "a file that others may read is refused");
    unlink(file);
    ok(web_users_find(file, "shop", &user, &err) == RESULT_OK && *user.name == '\0', "without a file there is no user");
    ok(web_users_check(file, "shop", "a password", &user, &err) == RESULT_OK && *user.name == '\0',
       "and no password is right");
    ok(web_users_remove(file, "shop", &err) == RESULT_FAIL && strstr(err.text, "there is no user shop") != NULL,
       "and none can be removed");
    ok(access(file, F_OK) != 0, "nor is the file made");
}

static void check_nul(void)
{
    static const char text[] = "# a\nshop full " HASH "\n# \0\n";
    FILE *stream = fopen(file, "w");
    struct web_user user;
    struct err err;

    must(stream != NULL, file);
    must(fwrite(text, 1, sizeof text - 1, stream) == sizeof text - 1 && fclose(stream) == 0 && chmod(file, 0600) == 0,
         file);
    ok(web_users_find(file, "shop", &user, &err) == RESULT_FAIL && strstr(err.text, ":3: a NUL byte") != NULL,
       "a NUL is refused");
}

/* ---- names and passwords ---- */

static void check_rules(void)
{
    char longest[WEB_USERS_PASSWORD_MAX + 2] = "";

    ok(web_users_is_name("a") && web_users_is_name(".-") && web_users_is_name(N64), "names");
    ok(!web_users_is_name("") && !web_users_is_name("-a") && !web_users_is_name(N64 "5") && !web_users_is_name("a b") &&
           !web_users_is_name("#a") && !web_users_is_name("a\n"),
       "what is no name");
    memset(longest, 'x', WEB_USERS_PASSWORD_MAX);
    ok(web_users_is_password("1234567890") && web_users_is_password("with blanks \303\244") &&
           web_users_is_password(longest),
       "passwords");
    longest[WEB_USERS_PASSWORD_MAX] = 'x';
    ok(!web_users_is_password("") && !web_users_is_password("123456789") && !web_users_is_password("1234567890\t") &&
           !web_users_is_password("1234567890\x7f") && !web_users_is_password(longest),
       "what is no password");
}

/* ---- adding, checking, removing ---- */

static bool add(const char *name, const char *password, bool read_only, bool replace)
{
    const struct web_user_new user = {.name = name, .password = password, .read_only = read_only, .replace = replace};
    struct err err = {""};

    if (web_users_add(file, geteuid(), &user, &err) == RESULT_OK)
        return true;
    printf("# %s\n", err.text);
    return false;
}

static bool is_right(const char *name, const char *password, struct web_user *user)
{
    struct err err;

    must(web_users_check(file, name, password, user, &err) == RESULT_OK, err.text);
    return *user->name != '\0';
}

static void check_passwords(void)
{
    struct web_user one, other, found;
    struct err err;
    char long_one[2000];

    unlink(file);
    ok(add("one", "the first password", false, false) && add("other", "the second password", true, false),
       "two users are added");
    ok(is_right("one", "the first password", &one) && strcmp(one.name, "one") == 0 && !one.read_only, "the first one");
    ok(is_right("other", "the second password", &other) && strcmp(other.name, "other") == 0 && other.read_only,
       "the second one, who may only read");
    ok(web_users_find(file, "one", &found, &err) == RESULT_OK && memcmp(&found, &one, sizeof one) == 0,
       "the same is found without a password");
    ok(!is_right("one", "the second password", &found) && *found.fingerprint == '\0', "another's password is wrong");
    ok(!is_right("One", "the first password", &found), "a name of other case is another");
    ok(!is_right("one", "", &found) && !is_right("one", "the first passwor", &found), "no part is right");
    memset(long_one, 'x', sizeof long_one);
    long_one[sizeof long_one - 1] = '\0';
    ok(!is_right("one", long_one, &found), "nor is one that is too long");
}

/* Whether two settings ask for the same work. */
static bool has_same_cost(const char *one, const char *other)
{
    return strcspn(one + 3, "$") == strcspn(other + 3, "$") && strncmp(one, other, 3 + strcspn(one + 3, "$")) == 0;
}

static void check_time(void)
{
    struct web_user user;
    int before = hashed;

    must(!is_right("one", "a wrong password", &user) && !is_right("nobody", "a wrong password", &user) &&
             !is_right("../one $", "a wrong password", &user),
         "wrong passwords");
    ok(hashed == before + 3, "a password is hashed whether there is such a user or not");
    ok(has_same_cost(settings[before % 4], settings[(before + 1) % 4]) &&
           has_same_cost(settings[before % 4], settings[(before + 2) % 4]),
       "with the same work");
}

static void check_hash_failure(void)
{
    const struct web_user_new user = {.name = "third", .password = "the third password"};
    struct web_user found;
    struct err err;

    hashing_fails = true;
    ok(web_users_check(file, "one", "the first password", &found, &err) == RESULT_FAIL &&
           strstr(err.text, ":1: no password can be compared") != NULL && *found.name == '\0',
       "without memory the check fails");
    ok(web_users_check(file, "nobody", "the first password", &found, &err) == RESULT_FAIL && *found.name == '\0',
       "also for nobody");
    ok(web_users_add(file, geteuid(), &user, &err) == RESULT_FAIL && strstr(err.text, "cannot be hashed") != NULL,
       "and nobody is added");
    hashing_fails = false;
}

static void check_refusals(void)
{
    const struct web_user_new odd = {.name = "a b", .password = "the third password"},
                              weak = {.name = "third", .password = "short"},
                              old = {.name = "one", .password = "the third password"};
    char before[8192];
    struct err err;

    snprintf(before, sizeof before, "%s", read_users_back());
    ok(web_users_add(file, geteuid(), &odd, &err) == RESULT_FAIL &&
           web_users_add(file, geteuid(), &weak, &err) == RESULT_FAIL,
       "neither an odd name nor a short password");
    ok(web_users_add(file, geteuid(), &old, &err) == RESULT_FAIL &&
           strstr(err.text, "there is a user one already: remove it first (candhook web-user remove one), or say "
                            "--replace") != NULL,
       "nor a user who is there");
    ok(web_users_check_new(file, "one", &err) == RESULT_FAIL && web_users_check_new(file, "third", &err) == RESULT_OK,
       "which can be asked before");
    is_text(read_users_back(), before, "the file stays as it was");
}

static void check_changes(void)
{
    struct web_user before, after = {0};
    struct err err;
    char text[4096];

    must(is_right("one", "the first password", &before), "before");
    ok(add("one", "the first password", true, true) && is_right("one", "the first password", &after) &&
           after.read_only && strcmp(before.fingerprint, after.fingerprint) != 0,
       "another right changes the fingerprint");
    before = after;
    ok(add("one", "the new password", true, true) && !is_right("one", "the first password", &after) &&
           is_right("one", "the new password", &after) && strcmp(before.fingerprint, after.fingerprint) != 0,
       "and so does another password");
    snprintf(text, sizeof text, "# a\n  one full " HASH "\n\n# b\nlast full " HASH);
    write_users(text);
    must(web_users_find(file, "one", &before, &err) == RESULT_OK, "find");
    snprintf(text, sizeof text, "# a\n  one read-only " HASH "\n\n# b\nlast full " HASH);
    write_users(text);
    ok(web_users_find(file, "one", &after, &err) == RESULT_OK && strcmp(before.fingerprint, after.fingerprint) != 0,
       "a right that was changed by hand, too");
    before = after;
    ok(add("third", "the third password", false, true) && web_users_find(file, "one", &after, &err) == RESULT_OK &&
           strcmp(before.fingerprint, after.fingerprint) == 0,
       "another user does not");
    ok(strncmp(read_users_back(), text, strlen(text)) == 0 &&
           strncmp(read_users_back() + strlen(text), "\nthird full $y$", 15) == 0,
       "what is added stands behind all that was there");
    ok(web_users_remove(file, "third", &err) == RESULT_OK && add("one", "the new password", false, true) &&
           strncmp(read_users_back(), "# a\none full $y$", 16) == 0 &&
           strstr(read_users_back(), "\n\n# b\nlast full " HASH "\n") != NULL,
       "one that is replaced keeps its place");
    ok(web_users_remove(file, "one", &err) == RESULT_OK && web_users_remove(file, "last", &err) == RESULT_OK,
       "all are removed");
    is_text(read_users_back(), "# a\n\n# b\n", "all else stays");
}

/* Another program that holds the lock, and does not let it go. */
static pid_t start_holder(const char *path)
{
    int ready[2];
    char byte;
    pid_t holder;

    must(pipe(ready) == 0, "pipe");
    fflush(stdout);
    holder = fork();
    must(holder >= 0, "fork");
    if (holder == 0) {
        int fd = open(path, O_RDWR | O_CREAT, 0600);

        if (fd < 0 || !lock_take(fd) || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    must(read(ready[0], &byte, 1) == 1, "the lock is held");
    close(ready[0]);
    close(ready[1]);
    return holder;
}

static void check_lock(void)
{
    const struct web_user_new user = {.name = "one", .password = "the first password"};
    char path[sizeof file + 8];
    struct err err;
    pid_t holder;

    snprintf(path, sizeof path, "%s.new", file);
    write_users("");
    holder = start_holder(path);
    waited_ms = 0;
    ok(web_users_add(file, geteuid(), &user, &err) == RESULT_RETRY &&
           strstr(err.text, "another program has been changing") != NULL && strstr(err.text, "for 10 s") != NULL,
       "a file that another program goes on changing");
    ok(waited_ms >= 9000 && waited_ms <= 10000, "was waited for");
    is_text(read_users_back(), "", "and stays as it was");
    ok(access(path, F_OK) == 0, "nor is the other's new file taken away");
    kill(holder, SIGKILL);
    must(waitpid(holder, NULL, 0) == holder, "waitpid");
    ok(add("one", "the first password", false, false) && access(path, F_OK) != 0,
       "what a program that was killed has left is no hindrance");
}

static void check_full(void)
{
    const struct web_user_new user = {.name = "one", .password = "the first password"};
    FILE *stream = fopen(file, "w");
    struct err err;

    must(stream != NULL, file);
    for (int i = 0; i < WEB_USERS_FILE_BYTES; i++)
        putc('#', stream);
    must(fclose(stream) == 0, file);
    ok(web_users_add(file, geteuid(), &user, &err) == RESULT_FAIL && strstr(err.text, "longer than it may be") != NULL,
       "nothing is added to a file that is full");
}

int main(void)
{
    const char *temp = getenv("TMPDIR");
    char template[PATH_MAX];

    snprintf(template, sizeof template, "%s/ch.XXXXXX", temp != NULL && *temp == '/' ? temp : "/tmp");
    must(mkdtemp(template) != NULL && realpath(template, folder) != NULL, template);
    snprintf(file, sizeof file, "%s/web.users", folder);
    for (size_t i = 0; i < sizeof user_faults / sizeof *user_faults; i++)
        check_fault(i);
    check_shapes();
    check_access();
    check_nul();
    check_rules();
    check_passwords();
    check_time();
    check_hash_failure();
    check_refusals();
    check_changes();
    check_lock();
    check_full();
    unlink(file);
    ok(rmdir(folder) == 0, "nothing is left");
    return done();
}
