create or replace function candhook_internal.new_lease()
returns bigint
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
-- A number that no other lease has, had or will have: 60 random bits of a UUIDv4. A sequence cannot promise that: a claim
-- need not wait for the disk, so a crash of the server may undo it together with its number, while the worker goes on
-- under it.
select ('x' || left(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint & 9223372036854775807
$$;
comment on function candhook_internal.new_lease() is
    'a number for a lease, which never comes twice; a part of candhook_internal.claim';
