/*
 * SPDX-License-Identifier: ISC
 *
 * candhook doctor: the bot tokens. What is to be done about them is for people, and often for those of a community, so
 * none of it is WRONG: deliveries that need a token are held meanwhile, and are not lost.
 */
#include <config.h>

#include "http/oauth.h"
#include "http/scopes.h"
#include "tool/doctor.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *area; /* of store_diagnose */
    const char *text; /* after the names of the communities */
} token_notes[] = {
    {"token_refused", "were refused by the API: what needs one is held until the community authorizes the App again"},
    {"token_revoked", "were revoked here: what needs one is held until the community authorizes the App again"},
    {"token_expired", "have expired: what needs one is held until the community authorizes the App again"},
};

/* Notes what FACT, of store_diagnose, tells of tokens. Returns whether it does. */
static bool note_token_fact(struct doctor *doctor, const struct store_fact *fact)
{
    for (size_t i = 0; i < sizeof token_notes / sizeof *token_notes; i++)
        if (strcmp(fact->area, token_notes[i].area) == 0) {
            doctor_note(doctor, "bot tokens", "those of %s %s", fact->name, token_notes[i].text);
            return true;
        }
    if (strcmp(fact->area, "token_expiring") == 0)
        doctor_note(doctor, "bot tokens",
                    "those of %s expire within 7 days, the first one at %s: the community must authorize the App again",
                    fact->name, fact->value);
    else if (strcmp(fact->area, "token_sibling") == 0)
        doctor_note(doctor, "bot tokens",
                    "events of %s are held for a token, and one is stored for a community that they name: %s",
                    fact->name, fact->value);
    else if (strcmp(fact->area, "token_siblings") == 0)
        doctor_note(doctor, "bot tokens", "so are those of %s more pairs of communities", fact->name);
    else
        return false;
    return true;
}

/* Notes how a community authorizes the App. */
static void note_way_to_authorize(struct doctor *doctor)
{
    char *url = oauth_install_url(doctor->conf->redirect_uri);

    if (url != NULL)
        doctor_note(doctor, "bot tokens", "communities authorize the App at %s?community_id=ID", url);
    else
        doctor_note(doctor, "bot tokens",
                    "make a URL for each by candhook authorize-url, and store its token by candhook token set; "
                    "candhook token remove forgets a community that has left");
    free(url);
}

/* What the enabled handlers need, and whether a community lacks some of it. */
struct token_scopes {
    struct doctor *doctor;
    struct scopes_needed needed; /* what a * leaves open is told by candhook scopes */
    bool lacking;
};

static void note_lacking_scopes(void *context, const char *communities, const char *missing)
{
    struct token_scopes *scopes = context;

    scopes->lacking = true;
    doctor_note(
        scopes->doctor, "bot tokens",
        "those of %s were not granted %s, which the enabled handlers need: the community must authorize the App again",
        communities, missing);
}

/* Returns whether a community lacks scopes. */
static bool check_token_scopes(struct doctor *doctor)
{
    struct token_scopes token = {.doctor = doctor,
                                 .needed.rule = {doctor->conf->webhook_scope, doctor->conf->webhook_areas}};
    struct scopes *needed = &token.needed.scopes;
    struct err err;
    enum result result = store_wanted(doctor->store, scopes_add_needed, &token.needed, &err);

    scopes_add_words(needed, doctor->conf->extra_scopes);
    if (result == RESULT_OK && needed->count > 0)
        result = store_lacking_scopes(doctor->store, (const char *const *)needed->names, needed->count,
                                      note_lacking_scopes, &token, &err);
    if (result != RESULT_OK)
        doctor_wrong(doctor, "rights", "%s: run candhook init again", err.text);
    scopes_free(needed);
    return token.lacking || result != RESULT_OK;
}

void doctor_check_tokens(struct doctor *doctor)
{
    bool noted = false;

    if (doctor->store == NULL)
        return;
    for (size_t i = 0; i < doctor->facts.count; i++)
        noted |= note_token_fact(doctor, &doctor->facts.facts[i]);
    noted |= check_token_scopes(doctor);
    if (noted)
        note_way_to_authorize(doctor);
    else
        doctor_ok(doctor, "bot tokens", "none is refused, has ended, or expires within 7 days");
}
