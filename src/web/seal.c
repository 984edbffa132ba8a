/*
 * SPDX-License-Identifier: ISC
 *
 * A seal is TEXT.UNTIL.MAC, with MAC over the purpose and all before it: HMAC-SHA-256.
 */
#include <config.h>

#include "web/seal.h"

#include "base/digest.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_BYTES 32
#define KEY_TEXT 43 /* characters */

static const struct private_file_rule key_rule = {.refused = 077, .remedy = "chmod 600", .max = 256};

/* Writes a new key beside PATH and links it there, so that of several writers one wins, and a file is whole. */
static enum result make_key(const char *path, struct err *err)
{
    char *key = digest_random_base64url(KEY_BYTES), *beside = memory_format("%s.%d", path, (int)getpid());
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool made = fd >= 0 && io_write_all(fd, key, strlen(key)) && fsync(fd) == 0 &&
                (link(beside, path) == 0 || errno == EEXIST) && io_sync_parent(path);

    if (!made)
        err_set_errno(err, "cannot make the key %s", path);
    if (fd >= 0) {
        close(fd);
        unlink(beside);
    }
    memory_free_secret(key);
    free(beside);
    return made ? RESULT_OK : RESULT_FAIL;
}

enum result seal_read_key(const char *path, char **key, struct err *err)
{
    struct private_file file;
    enum result result = private_file_read(path, &key_rule, &file, err);

    if (result != RESULT_OK && file.missing) {
        result = make_key(path, err);
        if (result == RESULT_OK)
            result = private_file_read(path, &key_rule, &file, err);
    }
    if (result != RESULT_OK)
        return result;
    *key = memory_copy_bytes(file.text, strcspn(file.text, "\r\n"));
    private_file_free(&file);
    if (strlen(*key) >= KEY_TEXT)
        return RESULT_OK;
    err_set(err, "%s holds no key: remove it, and a new one is made", path);
    memory_free_secret(*key);
    *key = NULL;
    return RESULT_FAIL;
}

static char *compute_mac(const char *key, const char *purpose, const char *covered)
{
    char *text = memory_format("%s.%s", purpose, covered), *mac = digest_hmac_base64url(key, text);

    memory_free_secret(text);
    return mac;
}

char *seal_close(const char *key, const char *purpose, const char *text, int64_t until)
{
    char *covered = memory_format("%s.%" PRId64, text, until), *mac = compute_mac(key, purpose, covered);
    char *sealed = memory_format("%s.%s", covered, mac);

    memory_free_secret(covered);
    free(mac);
    return sealed;
}

/* Cuts the last word off, which a dot separates, and returns it; NULL when there is no dot. */
static char *cut_last(char *text)
{
    char *dot = strrchr(text, '.');

    if (dot == NULL)
        return NULL;
    *dot = '\0';
    return dot + 1;
}

char *seal_open(const char *key, const char *purpose, const char *sealed, int64_t now)
{
    char *text = memory_copy_text(sealed), *given = cut_last(text), *mac = compute_mac(key, purpose, text), *until;
    bool good = given != NULL && digest_equal(given, mac);

    until = good ? cut_last(text) : NULL;
    free(mac);
    if (until != NULL && strtoll(until, NULL, 10) > now)
        return text;
    memory_free_secret(text);
    return NULL;
}
