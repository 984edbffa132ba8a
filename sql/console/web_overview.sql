create or replace function candhook_internal.web_overview(asked jsonb)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set jit = off
as $$
-- What the console's first page shows of the database: the rates of the last hour or day, and how things stand. Counts stop
-- at a number that no person reads exactly, so that a large backlog costs no more.
declare
    hours constant integer := case candhook_internal.web_text(asked, 'hours') when '24' then 24 else 1 end;
    since constant timestamptz := clock_timestamp() - hours * interval '1 hour';
begin
    return candhook_internal.web_rates(hours, candhook_internal.web_time(asked, 'since')) || jsonb_build_object(
        'at', clock_timestamp(),
        'replica_lag_s', candhook_internal.web_replica_lag(),
        'latency', (select jsonb_build_object('count', count(*),
                                              'p50_s', percentile_cont(0.5) within group (order by l.seconds),
                                              'p99_s', percentile_cont(0.99) within group (order by l.seconds))
                      from (select extract(epoch from o.finished_at - o.received_at) as seconds
                              from (select n.* from candhook.outcome n order by n.received_at desc, n.event_id desc limit 5000) o
                             where o.result = 'ok'
                             order by o.received_at desc, o.event_id desc
                             limit 1000) l),
        'deliveries', (select coalesce(jsonb_object_agg(s.state, s.deliveries), '{}')
                         from (select candhook_internal.delivery_state(d, h.enabled) as state, count(*) as deliveries
                                 from (select w.* from candhook.delivery w limit 100000) d
                                 left join candhook.handler h on h.name = d.handler
                                group by 1) s),
        'deliveries_partial', (select count(*) = 100000 from (select from candhook.delivery limit 100000) d),
        'failing', (select coalesce(jsonb_agg(to_jsonb(f) order by f.failed desc, f.handler), '[]')
                      from (select n.handler, count(*) as failed, max(n.finished_at) as last
                              from (select o.handler, o.finished_at
                                      from candhook.outcome o
                                     where o.result = 'failed' and o.finished_at >= since
                                     order by o.finished_at desc
                                     limit 10000) n
                             group by n.handler
                             order by count(*) desc, n.handler
                             limit 10) f),
        'malformed', (select count(*)
                        from (select from candhook.malformed m where m.received_at >= since limit 10000) m));
end
$$;
comment on function candhook_internal.web_overview(jsonb) is 'what the console''s first page shows of the database';
