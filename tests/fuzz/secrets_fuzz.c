/*
 * SPDX-License-Identifier: ISC
 *
 * Fuzzes the URL secrets: the first line is a URI, the rest is the file. Any file is read or refused; a URI matches
 * when, and only when, its last segment begins a line of the file, which then holds nothing more than blanks and the
 * label.
 */
#include <config.h>

#include "conf/secrets.h"

#include "fuzz.h"
#include "fuzz_file.h"

/* Whether one of the file's lines has SEGMENT as its first word. */
static int stands_in(const char *text, const char *segment)
{
    size_t length = strlen(segment);

    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        const char *word = line + strspn(line, "\n \t\r");

        line = word;
        if (strncmp(word, segment, length) == 0 && strchr(" \t\r\n", word[length]) != NULL && length > 0)
            return 1;
        if (*line == '\0')
            break;
    }
    return 0;
}

static const char *last_segment(char *uri)
{
    char *slash;

    uri[strcspn(uri, "?")] = '\0';
    slash = strrchr(uri, '/');
    return slash != NULL ? slash + 1 : uri;
}

static void check(const struct secrets *secrets, char *uri, const char *text)
{
    const char *label = secrets_match(secrets, uri), *segment;
    int word;

    must(secrets_count(secrets) > 0 || stands_in(text, SECRETS_NONE));
    for (size_t i = 0; i < secrets_count(secrets); i++)
        must(strlen(secrets_label(secrets, i)) <= SECRETS_LABEL_BYTES);
    segment = last_segment(uri);
    word = *segment == '#' || strcmp(segment, SECRETS_NONE) == 0; /* what a line may begin with that is no secret */
    must((label != NULL) == (!word && stands_in(text, segment)));
}

/* A copy that is a string; what was a NUL can stand in a comment and nowhere else, and so can "!". */
static char *text_of(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    must(text != NULL);
    for (size_t i = 0; i < size; i++)
        text[i] = data[i] != '\0' ? (char)data[i] : '!';
    text[size] = '\0';
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t uri_length = newline != NULL ? (size_t)(newline - data) : size;
    size_t rest = newline != NULL ? uri_length + 1 : size;
    char *uri = text_of(data, uri_length), *text = text_of(data + rest, size - rest);
    const char *path = fuzz_file_with(data + rest, size - rest);
    struct secrets *secrets = NULL;
    struct err err = {""};

    if (secrets_load(&secrets, path, &err) == RESULT_OK)
        check(secrets, uri, text);
    else
        must(strncmp(err.text, path, strlen(path)) == 0 && strchr(err.text, '\n') == NULL);
    secrets_free(secrets);
    free(uri);
    free(text);
    return 0;
}

static const char *const fuzz_seeds[] = {
    "/hook/0123456789abcdef?x=/y\n# comment\n0123456789abcdef label\n\tABCDEFGHIJKLMNOP-_.~\r\n\n",
    "0123456789abcdef\n0123456789abcdef\n0123456789abcdeg a-label-as-long-as-a-label-may-be\n",
    "/a/b/\n0123456789abcdef0123456789abcdef0123456789abcdef\n  # x\n",
    "\n\n",
    "",
};

FUZZ_MAIN
