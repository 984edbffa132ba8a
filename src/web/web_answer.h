/*
 * SPDX-License-Identifier: ISC
 *
 * The answer to a browser: a redirection, or a page of headings and paragraphs. What is put into a page is escaped.
 */
#ifndef CANDHOOK_WEB_ANSWER_H
#define CANDHOOK_WEB_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Starts as {0}; freed by web_answer_free. */
struct web_answer {
    int status;
    const char *type;  /* Content-Type, a constant; NULL: HTML */
    bool runs_script;  /* it is a page of the console: its own script and style may be loaded */
    const char *allow; /* of 405: the methods there are; NULL: none is told */
    bool bearer;       /* of 401: a bearer token is wanted */
    char *location;    /* where to go; NULL: there is a page */
    char *cookie;      /* the value of Set-Cookie; NULL: none is set */
    char *page;        /* HTML */
    size_t page_length;
    FILE *writes; /* the page, while it is written */
};

/* Begins a page of this status. */
void web_answer_begin(struct web_answer *answer, int status, const char *title);

/* Adds a paragraph, made as by printf. */
void web_answer_paragraph(struct web_answer *answer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds a list of texts, each in the font of code. */
void web_answer_list(struct web_answer *answer, char *const *texts, size_t count);

/* Adds a paragraph that is a link. HREF is ours: it is not escaped. */
void web_answer_link(struct web_answer *answer, const char *href, const char *text);

/* Ends the page. */
void web_answer_end(struct web_answer *answer);

/* Makes the answer this text, of a Content-Type that stays. */
void web_answer_text_of(struct web_answer *answer, int status, const char *type, const char *text);

/* Makes the answer these bytes. */
void web_answer_bytes(struct web_answer *answer, const char *type, const char *bytes, size_t length);

/* Makes the answer JSON, an object that it takes over. */
void web_answer_json(struct web_answer *answer, int status, char *json);

/* Makes the answer {"error": WORDS, "hint": REMEDY}; without a REMEDY when that is NULL. */
void web_answer_error(struct web_answer *answer, int status, const char *words, const char *remedy);

/* Makes the answer a redirection to URL. */
void web_answer_redirect(struct web_answer *answer, const char *url);

/* Returns header and body as CGI and FastCGI want them, allocated; *LENGTH bytes. With HEAD_ONLY without the body. */
char *web_answer_text(const struct web_answer *answer, bool head_only, size_t *length);

void web_answer_free(struct web_answer *answer);

#endif
