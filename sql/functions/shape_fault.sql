create or replace function candhook.shape_fault(doc jsonb)
returns text
language sql immutable parallel safe
as $$
-- What keeps a JSON value from being an event, a line for people; null when it is one. Whatever passes here satisfies
-- the constraints of the table event, or one body could stop its batch for ever.
select case
    when jsonb_typeof(doc) is distinct from 'object' then 'not a JSON object'
    when jsonb_typeof(doc -> 'module') is distinct from 'string' then 'module is not text'
    when octet_length(doc ->> 'module') not between 1 and 255 then 'module is empty or longer than 255 bytes'
    when jsonb_typeof(doc -> 'type') is distinct from 'string' then 'type is not text'
    when octet_length(doc ->> 'type') not between 1 and 255 then 'type is empty or longer than 255 bytes'
    when jsonb_typeof(doc -> 'context') is distinct from 'object' then 'context is not an object'
    when jsonb_typeof(doc -> 'payload') is distinct from 'object' then 'payload is not an object'
    when jsonb_typeof(doc -> 'context' -> 'originCommunityId') not in ('string', 'null')
        then 'context.originCommunityId is not text'
    when octet_length(doc -> 'context' ->> 'originCommunityId') > 255
        then 'context.originCommunityId is longer than 255 bytes'
    when jsonb_typeof(doc -> 'context' -> 'userId') not in ('string', 'null') then 'context.userId is not text'
    when octet_length(doc -> 'context' ->> 'userId') > 255 then 'context.userId is longer than 255 bytes'
    when jsonb_typeof(doc -> 'context' -> 'communityId') not in ('string', 'null') then 'context.communityId is not text'
    when octet_length(doc -> 'context' ->> 'communityId') > 255 then 'context.communityId is longer than 255 bytes'
    when jsonb_typeof(doc -> 'context' -> 'profileId') not in ('string', 'null') then 'context.profileId is not text'
    when octet_length(doc -> 'context' ->> 'profileId') > 255 then 'context.profileId is longer than 255 bytes'
end
$$;
comment on function candhook.shape_fault(jsonb) is 'what keeps a JSON value from being an event; null when it is one';
