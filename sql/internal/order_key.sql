-- The value of delivery.order_key. An event without community, or without payload.id, has its own id as key and waits
-- for no other. Keys are cut, since the sender determines their length and an index entry has a limit: events whose
-- keys begin alike only wait for each other.
create or replace function candhook_internal.order_key(ordered_by text, event_id uuid, origin_community_id text,
                                                       payload_id text)
returns text
language sql immutable parallel safe
return case ordered_by
           when 'community' then left(coalesce(origin_community_id, event_id::text), 255)
           when 'payload id' then left(coalesce(payload_id, event_id::text), 255)
       end;
comment on function candhook_internal.order_key(text, uuid, text, text) is
    'delivery.order_key of an event for a handler with this ordered_by; null for none';
