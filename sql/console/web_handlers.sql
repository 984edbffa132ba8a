create or replace function candhook_internal.web_handlers(patience interval default '2 seconds')
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set jit = off
as $$
-- All handlers, with their settings and their health. The outcomes of the last day are counted hour by hour, the newest first;
-- when the patience is over, partial tells that older ones are missing. last_ok is of the last day, too.
declare
    ends constant timestamptz := clock_timestamp();
    hour integer := 0;
    counts jsonb := '[]';
begin
    while hour < 24 and clock_timestamp() - ends < patience loop
        counts := counts || (
            select coalesce(jsonb_agg(to_jsonb(c)), '[]')
              from (select hour as hour, o.handler, o.result, count(*) as number, max(o.finished_at) as last
                      from candhook.outcome o
                     where o.finished_at > ends - (hour + 1) * interval '1 hour'
                       and (hour = 0 or o.finished_at <= ends - hour * interval '1 hour')
                     group by o.handler, o.result) c);
        hour := hour + 1;
    end loop;

    return (
        with counted as (
            select c.handler,
                   max(c.last) filter (where c.result = 'ok') as last_ok,
                   jsonb_build_object('ok_1h', coalesce(sum(c.number) filter (where c.result = 'ok' and c.hour = 0), 0),
                                      'ok_24h', coalesce(sum(c.number) filter (where c.result = 'ok'), 0),
                                      'retry_1h', coalesce(sum(c.number) filter (where c.result = 'retry' and c.hour = 0), 0),
                                      'retry_24h', coalesce(sum(c.number) filter (where c.result = 'retry'), 0),
                                      'failed_1h', coalesce(sum(c.number) filter (where c.result = 'failed' and c.hour = 0), 0),
                                      'failed_24h', coalesce(sum(c.number) filter (where c.result = 'failed'), 0)) as numbers
              from jsonb_to_recordset(counts) c (hour integer, handler text, result text, number bigint, last timestamptz)
             group by c.handler
        ), waiting as (
            select d.handler, count(*) as unfinished, count(*) filter (where d.held) as held, min(d.received_at) as oldest
              from (select w.handler, w.held, w.received_at from candhook.delivery w limit 100000) d
             group by d.handler
        )
        select jsonb_build_object(
                   'at', ends,
                   'partial', hour < 24,
                   'deliveries_partial', (select sum(w.unfinished) = 100000 from waiting w),
                   'handlers', coalesce(jsonb_agg(
                       jsonb_build_object('name', h.name, 'module', h.module, 'type', h.type, 'kind', h.kind, 'target', h.target,
                                          'needs_token', h.needs_token, 'ordered_by', h.ordered_by, 'concurrency', h.concurrency,
                                          'timeout', h.timeout, 'max_attempts', h.max_attempts, 'enabled', h.enabled,
                                          'last_ok', c.last_ok, 'last_failed', f.finished_at,
                                          'unfinished', coalesce(w.unfinished, 0), 'held', coalesce(w.held, 0),
                                          'oldest_unfinished_s', floor(extract(epoch from ends - w.oldest)))
                       || coalesce(c.numbers, '{"ok_1h":0,"ok_24h":0,"retry_1h":0,"retry_24h":0,"failed_1h":0,"failed_24h":0}')
                       order by h.name), '[]'))
          from candhook.handler h
          left join counted c on c.handler = h.name
          left join waiting w on w.handler = h.name
          left join lateral (
               select o.finished_at
                 from candhook.outcome o
                where o.handler = h.name and o.result = 'failed'
                order by o.finished_at desc
                limit 1) f on true);
end
$$;
comment on function candhook_internal.web_handlers(interval) is 'all handlers with their settings and their health, for the console';
