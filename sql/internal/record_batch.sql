create or replace function candhook_internal.record_batch(ids uuid[], modules text[], types text[], origin_community_ids text[],
                                                          user_ids text[], community_ids text[], profile_ids text[],
                                                          payloads text[], extras text[],
                                                          malformed uuid[], bodies bytea[], reasons text[])
returns table (kind text, id uuid, module text, type text, detail text, events bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
-- Records a batch in one statement. Arguments and rows are those of record, its only caller, except: an additional row
-- of kind 'delivered' has the number of deliveries, and the detail of 'unhandled' is null. Raises unique_violation when
-- an event is recorded already, and an error of class 22 or 54 when jsonb refuses a payload or an extra.
--
-- What must stay true: deliveries and unhandled outcomes are made only for events that this call inserted. An id is in
-- event or in malformed, never in both. Matching handlers are locked FOR KEY SHARE, which waits only for a handler's
-- removal or renaming: so neither can happen between the matching and the delivery. Tables are joined by key, row by
-- row, so the cost of a batch does not grow with them.
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
        returning e.id, e.received_at, e.module, e.type, e.origin_community_id,
                  case when (select exists (select from candhook.handler h where h.ordered_by = 'payload id'))
                       then e.payload ->> 'id' end as payload_id
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
        select s.module, s.type, h.name, h.ordered_by
          from sort s
          join candhook.handler h on candhook_internal.matches(h.module, s.module) and candhook_internal.matches(h.type, s.type)
           for key share of h
    ), delivered as (
        insert into candhook.delivery (event_id, received_at, handler, origin_community_id, order_key)
        select f.id, f.received_at, m.name, f.origin_community_id,
               candhook_internal.order_key(m.ordered_by, f.id, f.origin_community_id, f.payload_id)
          from fresh f
          join matching m on m.module = f.module and m.type = f.type
        returning 1
    ), lonely as materialized (
        select f.id, f.received_at, f.module, f.type
          from (select s.module, s.type
                  from sort s
                 where not exists (select from matching m where m.module = s.module and m.type = s.type)) s
          join fresh f on f.module = s.module and f.type = s.type
    ), unhandled as (
        insert into candhook.outcome (event_id, received_at, handler, attempt, result, started_at, finished_at)
        select l.id, l.received_at, '', 0, 'unhandled', now(), now()
          from lonely l
    )
    select 'malformed', r.id, null::text, null::text, r.reason, 1::bigint
      from refused r
    union all
    select 'unhandled', one.id, one.module, one.type, null, one.events
      from (select (array_agg(l.id))[1] as id, l.module, l.type, count(*) as events
              from lonely l group by l.module, l.type) one
    union all
    select 'delivered', null, null, null, null, count(*)
      from delivered;
    -- What a person's deferred constraint or trigger refuses shows here, where it can be caught, and not at the commit.
    set constraints all immediate;
end
$$;
comment on function candhook_internal.record_batch(uuid[], text[], text[], text[], text[], text[], text[], text[], text[],
                                                   uuid[], bytea[], text[]) is
    'the one statement of candhook_internal.record, which alone calls it';
