create or replace function candhook_internal.events(after timestamptz, after_id uuid, module text, type text, batch integer)
returns table (id uuid, received_at text, module text, type text, body text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
-- A page of up to `batch` events behind (after, after_id), in order of receipt; the next page begins behind its last
-- row. received_at is a text that does not depend on the session's settings; milliseconds are exact, since it is the
-- time in the id. Without after_id the page begins with the events of the moment `after`. module and type are patterns
-- as in handler; null matches all. Only the partitions from `after` on are read.
select e.id, to_char(e.received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), e.module, e.type,
       candhook.body(e)::text
  from candhook.event e
 where e.received_at >= $1
   and (e.received_at > $1 or $2 is null or e.id > $2)
   and candhook_internal.matches(coalesce($3, '*'), e.module)
   and candhook_internal.matches(coalesce($4, '*'), e.type)
 order by e.received_at, e.id
 limit $5
$$;
comment on function candhook_internal.events(timestamptz, uuid, text, text, integer) is
    'a page of events in order of receipt, behind the one that is given, by patterns of module and type';
