create or replace function candhook.record_batch(ids uuid[], bodies bytea[], reasons text[])
returns table (kind text, id uuid, module text, type text, detail text, events bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
-- Records a batch in one statement; see record, its only caller, for what the arguments and rows mean. One row more,
-- kind 'delivered', tells how many deliveries were made. Raises an error of class 22 or 54 when a body without a
-- reason is no JSON.
--
-- What must stay true: deliveries and unhandled rows come only from events that this call really inserted. Handlers
-- that match are locked FOR KEY SHARE, which waits for nothing but a handler's removal or renaming: so neither can
-- slip between the matching and the delivery.
begin
    return query
    with given as materialized (
        select g.id, candhook.received_at(g.id) as received_at, g.body, g.reason,
               case when g.reason is null then candhook.document(g.body) end as doc
          from unnest(ids, bodies, reasons) as g (id, body, reason)
    ), judged as materialized (
        select g.id, g.received_at, g.body, g.doc, g.doc -> 'context' as context,
               coalesce(g.reason, candhook.shape_fault(g.doc)) as fault
          from given g
    ), fresh as (
        insert into candhook.event as e
               (id, received_at, module, type, origin_community_id, user_id, community_id, profile_id, payload, extra)
        select j.id, j.received_at, j.doc ->> 'module', j.doc ->> 'type',
               j.context ->> 'originCommunityId', j.context ->> 'userId',
               j.context ->> 'communityId', j.context ->> 'profileId',
               j.doc -> 'payload',
               nullif((j.doc - '{module,type,context,payload}'::text[])
                      || case when rest.context = '{}' then '{}' else jsonb_build_object('context', rest.context) end,
                      '{}')
          from judged j
         cross join lateral (
               -- The ids that became columns go; one that is null stays, so that body can tell it from a missing one.
               select j.context - array[case when j.context ->> 'originCommunityId' is not null then 'originCommunityId' end,
                                        case when j.context ->> 'userId' is not null then 'userId' end,
                                        case when j.context ->> 'communityId' is not null then 'communityId' end,
                                        case when j.context ->> 'profileId' is not null then 'profileId' end] as context
               offset 0) rest
         where j.fault is null
           and not exists (select from candhook.malformed m where m.received_at = j.received_at and m.id = j.id)
        on conflict do nothing
        returning e.id, e.received_at, e.module, e.type, e.origin_community_id, e.payload ->> 'id' as payload_id
    ), refused as (
        insert into candhook.malformed as m (id, received_at, body, reason)
        select j.id, j.received_at, j.body, j.fault
          from judged j
         where j.fault is not null
           and not exists (select from candhook.event e where e.received_at = j.received_at and e.id = j.id)
        on conflict do nothing
        returning m.id, m.reason
    ), sort as materialized (
        select distinct f.module, f.type from fresh f
    ), matching as materialized (
        select s.module, s.type, h.name, h.ordered_by
          from sort s
          join candhook.handler h on candhook.matches(h.module, s.module) and candhook.matches(h.type, s.type)
           for key share of h
    ), delivered as (
        insert into candhook.delivery (event_id, received_at, handler, origin_community_id, order_key)
        select f.id, f.received_at, m.name, f.origin_community_id,
               candhook.order_key(m.ordered_by, f.id, f.origin_community_id, f.payload_id)
          from fresh f
          join matching m on m.module = f.module and m.type = f.type
        returning 1
    ), lonely as materialized (
        select f.id, f.received_at, f.module, f.type
          from fresh f
         where not exists (select from matching m where m.module = f.module and m.type = f.type)
    ), unhandled as (
        insert into candhook.outcome (event_id, received_at, handler, attempt, result, started_at, finished_at)
        select l.id, l.received_at, '', 0, 'unhandled', now(), now()
          from lonely l
    )
    select 'malformed', r.id, null::text, null::text, r.reason, 1::bigint
      from refused r
    union all
    select 'unhandled', one.id, one.module, one.type,
           left((select j.context::text from judged j where j.id = one.id limit 1), 2000), one.events
      from (select (array_agg(l.id))[1] as id, l.module, l.type, count(*) as events
              from lonely l group by l.module, l.type) one
    union all
    select 'delivered', null, null, null, null, count(*)
      from delivered;
end
$$;
comment on function candhook.record_batch(uuid[], bytea[], text[]) is
    'the one statement of candhook.record, which alone calls it';
