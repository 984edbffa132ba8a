-- The whole event as one JSON value, equal to the one that was sent. A context id that was missing stays missing; one
-- that was null is null, since record keeps it in extra.
create or replace function candhook.body(event candhook.event)
returns jsonb
language sql immutable parallel safe
return (coalesce((event).extra, '{}') - 'context')
       || jsonb_build_object(
           'module', (event).module,
           'type', (event).type,
           'context', coalesce((event).extra -> 'context', '{}')
                      || jsonb_strip_nulls(jsonb_build_object(
                          'originCommunityId', (event).origin_community_id,
                          'userId', (event).user_id,
                          'communityId', (event).community_id,
                          'profileId', (event).profile_id)),
           'payload', (event).payload);
comment on function candhook.body(candhook.event) is
    'The whole event as it was sent: the same JSON value, not the same bytes. '
    'Type: select candhook.body(e) from candhook.event e order by received_at desc limit 5;';
