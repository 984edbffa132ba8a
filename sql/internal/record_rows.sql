create or replace function candhook_internal.record_rows(ids uuid[], modules text[], types text[], origin_community_ids text[],
                                                         user_ids text[], community_ids text[], profile_ids text[],
                                                         payloads text[], extras text[],
                                                         malformed uuid[], bodies bytea[], reasons text[], not_at_once text[])
returns table (kind text, id uuid, module text, type text, detail text, events bigint, handler text,
               target text, to_run candhook.event[], tokens text[])
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
-- Makes the rows of a batch: events and malformed bodies; for each event and handler that matches it a delivery, unless the
-- handler's first attempt is made at once; and outcomes `unhandled`. Arguments and rows are those of record, and one more
-- kind:
--
--      'run', with handler, its target, and in to_run its events with their bot tokens, to be run in this transaction
--
-- At once run the events of unordered sql handlers that are enabled, not named in not_at_once, within their concurrency
-- limit, and may take as long as record's caller lets them; and whose bot token is there. With not_at_once null none are.
--
-- Raises unique_violation when an event is recorded already, and an error of class 22 or 54 when jsonb refuses a payload or
-- an extra. What must stay true: only events that this call inserted are delivered, run, or unhandled. An id is in event or
-- in malformed, never in both. Matching handlers are locked FOR KEY SHARE, which waits only for a handler's removal or
-- renaming: so neither can happen between the matching and the outcome. Tables are joined by key, row by row, so the cost of
-- a batch does not grow with them.
begin
    return query
    with given as (
        -- unnest in the select list: in `from` each array would be copied first.
        select unnest(ids) as id, unnest(modules) as module, unnest(types) as type,
               unnest(origin_community_ids) as origin_community_id, unnest(user_ids) as user_id,
               unnest(community_ids) as community_id, unnest(profile_ids) as profile_id, unnest(payloads) as payload,
               unnest(extras) as extra
    ), fresh as (
        insert into candhook.event as e
               (id, received_at, module, type, origin_community_id, user_id, community_id, profile_id, payload, extra)
        select g.id, candhook.received_at(g.id), g.module, g.type, g.origin_community_id, g.user_id, g.community_id,
               g.profile_id, g.payload::jsonb, g.extra::jsonb
          from given g
        returning e.id, e.received_at, e.module, e.type, e.origin_community_id, e as event
    ), refused as (
        insert into candhook.malformed as m (id, received_at, body, reason)
        select g.id, candhook.received_at(g.id), g.body, g.reason
          from unnest(malformed, bodies, reasons) as g (id, body, reason)
         where (select true from candhook.event e where e.received_at = candhook.received_at(g.id) and e.id = g.id) is null
        on conflict do nothing
        returning m.id, m.reason
    ), sort as materialized (
        select distinct f.module, f.type from fresh f
    ), matching as materialized (
        select s.module, s.type, h.name, h.kind, h.ordered_by, h.needs_token, h.target, h.concurrency,
               h.kind = 'sql' and h.ordered_by = 'none' and h.enabled and h.timeout >= interval '2 seconds'
               and h.name <> all (not_at_once) as at_once
          from sort s
          join candhook.handler h on candhook_internal.matches(h.module, s.module) and candhook_internal.matches(h.type, s.type)
           for key share of h
    ), runnable as materialized (
        select m.name
          from (select distinct m.name, m.concurrency from matching m where m.at_once) m
         where m.concurrency is null or candhook_internal.take_slot(m.name, m.concurrency)
    ), pair as materialized (
        select f.*, m.name as handler, m.kind, m.target, m.ordered_by, t.token,
               m.at_once and (t.token is not null or not m.needs_token)
               and (select true from runnable r where r.name = m.name) is not null as at_once
          from fresh f
          join matching m on m.module = f.module and m.type = f.type
          left join lateral (
               select t.token
                 from candhook.bot_token t
                where m.at_once and m.needs_token and t.valid and t.origin_community_id = f.origin_community_id
                limit 1) t on true
    ), delivered as (
        insert into candhook.delivery (event_id, received_at, handler, origin_community_id, order_key)
        select p.id, p.received_at, p.handler, p.origin_community_id,
               candhook_internal.order_key(p.ordered_by, p.id, p.origin_community_id,
                                           case p.ordered_by when 'payload id' then (p.event).payload ->> 'id' end)
          from pair p
         where not p.at_once
    ), lonely as materialized (
        select f.*
          from (select s.module, s.type
                  from sort s
                 where not exists (select from matching m where m.module = s.module and m.type = s.type)) s
          join fresh f on f.module = s.module and f.type = s.type
    ), unhandled as (
        insert into candhook.outcome (event_id, received_at, handler, attempt, result, started_at, finished_at)
        select l.id, l.received_at, '', 0, 'unhandled', now(), now()
          from lonely l
    )
    select 'malformed', r.id, null::text, null::text, r.reason, 1::bigint, null::text, null::text, null::candhook.event[], null::text[]
      from refused r
    union all
    select 'unhandled', (array_agg(l.id))[1], l.module, l.type,
           left((candhook.body((array_agg(l.event))[1]) -> 'context')::text, 2000), count(*), null, null, null, null
      from lonely l
     group by l.module, l.type
    union all
    select 'delivered', null, null, null, p.kind, count(*), null, null, null, null
      from pair p
     where not p.at_once
     group by p.kind
    union all
    select 'run', null, null, null, null, count(*), p.handler, p.target, array_agg(p.event), array_agg(p.token)
      from pair p
     where p.at_once
     group by p.handler, p.target
     order by 1, 7;
    -- What a person's deferred constraint or trigger refuses shows here, where it can be caught, and not at the commit.
    set constraints all immediate;
end
$$;
comment on function candhook_internal.record_rows(uuid[], text[], text[], text[], text[], text[], text[], text[], text[],
                                                  uuid[], bytea[], text[], text[]) is
    'makes the rows of a batch, and returns what is to be run at once; a part of candhook_internal.record';
