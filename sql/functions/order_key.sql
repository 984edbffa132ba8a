create or replace function candhook.order_key(ordered_by text, event_id uuid, origin_community_id text, payload_id text)
returns text
language sql immutable parallel safe
as $$
-- The key of delivery.order_key. What has no community, or no payload.id, has itself as its key, and waits for nobody.
-- Cut, since an index entry must not grow with what a sender makes up; equal beginnings only wait for each other.
select case ordered_by
           when 'community' then left(coalesce(origin_community_id, event_id::text), 255)
           when 'payload id' then left(coalesce(payload_id, event_id::text), 255)
       end
$$;
comment on function candhook.order_key(text, uuid, text, text) is
    'delivery.order_key of an event for a handler with this ordered_by; null for none';
