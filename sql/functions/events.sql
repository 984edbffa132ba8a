create or replace function candhook.events(after timestamptz, after_id uuid, module text, type text, batch integer)
returns table (id uuid, received_at text, module text, type text, body text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
-- Up to `batch` events behind (after, after_id), in order of receipt: one page, whose last row is where the next begins
-- (received_at is text that does not depend on the settings of a session, and exact: the time in the id has
-- milliseconds). Without after_id all of the moment `after` is behind it. module and type are patterns as in handler;
-- null stands for all. Only the partitions from `after` on are touched.
select e.id, to_char(e.received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), e.module, e.type,
       candhook.body(e)::text
  from candhook.event e
 where e.received_at >= $1
   and (e.received_at > $1 or $2 is null or e.id > $2)
   and candhook.matches(coalesce($3, '*'), e.module)
   and candhook.matches(coalesce($4, '*'), e.type)
 order by e.received_at, e.id
 limit $5
$$;
comment on function candhook.events(timestamptz, uuid, text, text, integer) is
    'a page of events in order of receipt, behind the one that is given, by patterns of module and type';
