create or replace function candhook_internal.web_rates(hours integer, since timestamptz default null,
                                                       patience interval default '2 seconds')
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set jit = off
as $$
-- How many events were received and how many attempts ended in each step (a minute of one hour, ten of a day), oldest first.
-- With `since` only the steps from that on, for who has the others. It counts the newest first; when the patience is over,
-- partial tells that older steps are missing.
declare
    step constant interval := case when hours = 1 then interval '1 minute' else interval '10 minutes' end;
    stretch constant interval := 10 * step;
    ends constant timestamptz := clock_timestamp();
    begins constant timestamptz := date_bin(step, greatest(ends - hours * interval '1 hour', since), 'epoch');
    till timestamptz := ends;
    start timestamptz;
    steps jsonb := '[]';
begin
    while till > begins and clock_timestamp() - ends < patience loop
        start := greatest(date_bin(step, till - stretch, 'epoch'), begins);
        steps := (
            with counted as (
                select date_bin(step, e.received_at, 'epoch') as at, 'events' as what, count(*) as number
                  from candhook.event e
                 where e.received_at >= start and e.received_at < till
                 group by 1
                 union all
                select date_bin(step, o.finished_at, 'epoch'), o.result, count(*)
                  from candhook.outcome o
                 where o.finished_at >= start and o.finished_at < till
                 group by 1, 2
            ), lines as (
                select c.at, jsonb_object_agg(c.what, c.number) as numbers from counted c group by c.at
            )
            select jsonb_agg(jsonb_build_object('at', g.at, 'events', 0, 'ok', 0, 'retry', 0, 'failed', 0, 'unhandled', 0)
                             || coalesce(l.numbers, '{}') order by g.at)
              from generate_series(start, till - interval '1 microsecond', step) g (at)
              left join lines l on l.at = g.at) || steps;
        till := start;
    end loop;
    return jsonb_build_object('hours', hours, 'step_s', extract(epoch from step)::integer, 'steps', steps, 'partial', till > begins);
end
$$;
comment on function candhook_internal.web_rates(integer, timestamptz, interval) is
    'events received and attempts ended in each step of the last hours, for the console';
