create or replace function candhook.received_at(id uuid)
returns timestamptz
language sql immutable strict parallel safe
as $$
-- The time in a UUIDv7: its first 48 bits, milliseconds since 1970. Taken as 32 and 16 bits, so that the arithmetic
-- of intervals, which is floating, stays exact for every id. Immutable throughout, so that it is inlined.
select (timestamp '1970-01-01'
        + ('x' || substr(id::text, 1, 8))::bit(32)::bigint * interval '65.536 seconds'
        + ('x' || substr(id::text, 10, 4))::bit(16)::integer * interval '1 millisecond') at time zone 'UTC'
$$;
comment on function candhook.received_at(uuid) is
    'the time in a UUIDv7, exact to the millisecond: with the id, the key of an event';
