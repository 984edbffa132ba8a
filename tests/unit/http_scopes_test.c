/*
 * SPDX-License-Identifier: ISC
 *
 * Scopes: the list, the scopes of patterns, and that the documented areas are those of the samples.
 */
#include <config.h>

#include "http/scopes.h"

#include "event/sample.h"

#include <stdlib.h>

#include "tap.h"

static struct scopes_rule rule = {"webhook:{module}:{area}", "member=members  message=talk"};

/* The list is JOINED by blanks. */
static void is_list(const struct scopes *scopes, const char *joined, const char *name)
{
    char text[1000] = "";
    size_t length = 0;

    for (size_t i = 0; i < scopes->count; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", i > 0 ? " " : "", scopes->names[i]);
    is_text(text, joined, name);
}

static void check_list(void)
{
    static const char *const bad[] = {"", "a b", "a\"", "a\\", "a\n", "\303\244"};
    struct scopes scopes = {0};

    ok(scopes_add(&scopes, "b:x") && scopes_add(&scopes, "a") && scopes_add(&scopes, "c") && scopes_add(&scopes, "b:x"),
       "scopes are added");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ok(!scopes_add(&scopes, bad[i]), "no scope: %zu", i);
    is_list(&scopes, "a b:x c", "in order, each once");
    scopes_free(&scopes);
    is_list(&scopes, "", "and freed");
}

static void check_pattern(const char *module, const char *type, unsigned open, const char *wanted)
{
    struct scopes_needed needed = {.rule = rule};

    scopes_add_needed(&needed, module, type);
    ok(needed.open == open, "what %s:%s leaves open", module, type);
    is_list(&needed.scopes, wanted, "and needs");
    scopes_free(&needed.scopes);
}

static bool is_documented(const char *area, size_t length)
{
    for (const char *const *known = scopes_documented_areas; *known != NULL; known++)
        if (strlen(*known) == length && strncmp(*known, area, length) == 0)
            return true;
    return false;
}

static bool has_sample(const char *area)
{
    size_t length = strlen(area);

    for (const struct sample *sample = samples; sample->type != NULL; sample++)
        if (strncmp(sample->type, area, length) == 0 && sample->type[length] == '.')
            return true;
    return false;
}

static void check_areas(void)
{
    for (const struct sample *sample = samples; sample->type != NULL; sample++)
        ok(is_documented(sample->type, strcspn(sample->type, ".")), "the area of %s is in the table", sample->type);
    for (const char *const *area = scopes_documented_areas; *area != NULL; area++)
        ok(has_sample(*area), "%s has a sample", *area);
}

int main(void)
{
    static const char all[] = "webhook:MOIM:content webhook:MOIM:members webhook:MOIM:payment webhook:MOIM:product "
                              "webhook:MOIM:subscription webhook:MOIM:talk";

    check_list();
    check_pattern("MOIM", "product.created", 0, "webhook:MOIM:product");
    check_pattern("MOIM", "product.*", 0, "webhook:MOIM:product");
    check_pattern("ZINE", "issue", 0, "webhook:ZINE:issue");
    check_pattern("MOIM", "member.joined", 0, "webhook:MOIM:members");
    check_pattern("MOIM", "membership.begun", 0, "webhook:MOIM:membership");
    check_pattern("*", "product.voted", SCOPES_OPEN_MODULE, "webhook:MOIM:product");
    check_pattern("MOIM", "*", SCOPES_OPEN_TYPE, all);
    check_pattern("*", "*", SCOPES_OPEN_MODULE | SCOPES_OPEN_TYPE, all);
    check_pattern("ZINE", "*", SCOPES_UNKNOWN_AREAS, "");
    check_pattern("ZINE", "a b.c", SCOPES_NOT_A_SCOPE, "");
    rule = (struct scopes_rule){"x/{area}{module}{area}{", ""};
    check_pattern("M", "t", 0, "x/tMt{");
    check_areas();
    return done();
}
