/*
 * SPDX-License-Identifier: ISC
 *
 * Fuzzes the event check. Any bytes are judged, with a reason of one line, and what is an event is visibly whole: else
 * the responder would refuse what the recorder takes.
 */
#include <config.h>

#include "event.h"

#include "body.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err why = {""};

    if (event_check((const char *)data, size, &why) == RESULT_OK)
        must(body_is_whole((const char *)data, size));
    else
        must(*why.text != '\0' && strchr(why.text, '\n') == NULL);
    return 0;
}

static const char *const fuzz_seeds[] = {
    "{\"module\":\"MOIM\",\"type\":\"product.created\",\"context\":{\"originCommunityId\":\"G0IZUDWCL\",\"userId\":"
    "null,"
    "\"communityId\":\"G00O7NKV9M\",\"profileId\":\"UAKDIJ23KD\"},\"payload\":{\"id\":\"CP:AK290DKFJD\"}}",
    "\xef\xbb\xbf "
    "{\"a\":[0,-1,1.5,2e10,-3.25E-7,1e400,12345678901234567890123456789012345678901234567890123456789012345678]}",
    "{\"\\u006dodule\":\"\\ud83d\\ude00\\\\\\\"\\n\",\"type\":\"t\",\"type\":\"\",\"payload\":{},\"context\":{}}"
    "\r\n\t ",
    "{\"a\":{\"b\":[true,false,null,[[[[{}]]]],\"\"]},\"A\":1e999}",
    "",
};

FUZZ_MAIN
