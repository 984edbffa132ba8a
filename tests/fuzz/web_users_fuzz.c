/*
 * SPDX-License-Identifier: ISC
 *
 * Fuzzes the console's users: the first line is a name, the rest is the file. Any file is read or refused; a user is
 * found when, and only when, the name is the first word of a line, and what is found is what stands there.
 */
#include <config.h>

#include "conf/web_users.h"

#include "fuzz.h"
#include "fuzz_file.h"

/* Returns what follows NAME and blanks at the beginning of a line; NULL when no line begins so. */
static const char *line_of(const char *text, const char *name)
{
    size_t length = strlen(name);

    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += strspn(line, "\n \t\r");
        if (strncmp(line, name, length) == 0 && line[length] != '\0' && strchr(" \t\r", line[length]) != NULL)
            return line + length + strspn(line + length, " \t\r");
    }
    return NULL;
}

static void check_all(const struct web_users *users, const char *path)
{
    for (size_t i = 0; i < web_users_count(users); i++) {
        const struct web_user *user = web_users_get(users, i);
        struct web_user found;
        struct err err;

        must(web_users_is_name(user->name) && strlen(user->fingerprint) == WEB_USER_FINGERPRINT_BYTES - 1);
        must(web_users_find(path, user->name, &found, &err) == RESULT_OK && memcmp(&found, user, sizeof found) == 0);
    }
}

static void check_name(const char *path, const char *name, const char *text)
{
    const char *line = web_users_is_name(name) ? line_of(text, name) : NULL;
    struct web_user user;
    struct err err;

    must(web_users_find(path, name, &user, &err) == RESULT_OK);
    must((*user.name != '\0') == (line != NULL));
    must(line == NULL ||
         (strcmp(user.name, name) == 0 && strncmp(line, user.read_only ? "read-only" : "full", 4) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t name_length = newline != NULL ? (size_t)(newline - data) : size;
    size_t rest = newline != NULL ? name_length + 1 : size;
    char *name = malloc(name_length + 1), *text = malloc(size - rest + 1);
    const char *path = fuzz_file_with(data + rest, size - rest);
    struct web_users *users = NULL;
    struct err err = {""};

    must(name != NULL && text != NULL);
    snprintf(name, name_length + 1, "%.*s", (int)name_length, (const char *)data);
    memcpy(text, data + rest, size - rest);
    text[size - rest] = '\0';
    if (web_users_load(&users, path, &err) == RESULT_OK) {
        must(memchr(text, '\0', size - rest) == NULL);
        check_all(users, path);
        check_name(path, name, text);
    } else {
        must(strncmp(err.text, path, strlen(path)) == 0 && strchr(err.text, '\n') == NULL);
    }
    web_users_free(users);
    free(name);
    free(text);
    return 0;
}

#define FUZZ_HASH "$y$j9T$xkrfEdL01j7weAEVACI5F.$f41eu8H9XIkDUYdmC34Wbtiv5L1C80Sw2/fJNsX5cw7"

static const char *const fuzz_seeds[] = {
    "shop\n# comment\nshop full " FUZZ_HASH "\n\tother@x.y\tread-only " FUZZ_HASH "\r\n\n",
    "b\na full " FUZZ_HASH "\nb read-only " FUZZ_HASH,
    "-a\n  # x\n-a full " FUZZ_HASH "\na full " FUZZ_HASH "\n",
    "\n\n",
    "",
};

FUZZ_MAIN
