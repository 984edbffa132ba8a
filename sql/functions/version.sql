create or replace function candhook.version()
returns integer
language sql immutable parallel safe
as $$
-- The version of this schema. A program that does not know it refuses to work.
select 1
$$;
comment on function candhook.version() is 'version of this schema: 1';
