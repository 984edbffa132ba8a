create or replace function candhook_internal.maintain()
returns setof text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
-- Called by any worker now and then; once a day is enough. Makes the partitions from the previous month to three months
-- ahead, and one for rows of a default partition, at most one such month a table and call. Deletes spool positions that
-- were not updated for 90 days. Marks bot tokens that have expired. Settles as failed what waits for a handler that is gone: the triggers settle it when they
-- fire, and a restored or replicated table fires none. Each row returned is a line for the log.
--
-- A lock that cannot be had within a second is left for the next call, for which there are three months of time:
-- transactions that wait for a strong lock make others wait behind them.
declare
    this_month constant timestamp := date_trunc('month', now() at time zone 'UTC');
    parent text;
    month timestamp;
    months timestamp[];
    moved bigint;
begin
    if not pg_try_advisory_xact_lock(hashtext('candhook.maintain')) then
        return;
    end if;

    foreach parent in array array['event', 'outcome', 'malformed'] loop
        months := array(select this_month + n * interval '1 month' from generate_series(-1, 3) n);
        execute format('select date_trunc(''month'', min(received_at) at time zone ''UTC'') from candhook_internal.%I',
                       parent || '_default') into month;
        foreach month in array case when month = any (months) then months else months || month end loop
            continue when month is null
                       or to_regclass(format('candhook_internal.%I', parent || '_' || to_char(month, 'YYYY_MM'))) is not null;
            begin
                moved := candhook_internal.make_partition(parent, month);
                if moved > 0 then
                    return next format('made partition %s_%s of %s and moved %s rows there from the default partition%s',
                                       parent, to_char(month, 'YYYY_MM'), parent, moved,
                                       case when month = any (months) then '' else '; was a clock wrong?' end);
                else
                    return next format('made partition %s_%s', parent, to_char(month, 'YYYY_MM'));
                end if;
            exception
                when lock_not_available then
                    return next format('partition %s_%s not made yet: others hold locks; next time',
                                       parent, to_char(month, 'YYYY_MM'));
                    exit;
            end;
        end loop;
    end loop;

    delete from candhook_internal.spool_position p where p.touched_at < now() - interval '90 days';
    get diagnostics moved = row_count;
    if moved > 0 then
        return next format('forgot %s spool positions that nobody had touched for 90 days', moved);
    end if;

    begin
        return query
        update candhook.bot_token t set valid = false, ended = 'expired'
         where t.valid and t.expires_at <= clock_timestamp()
        returning format('the bot token of %s has expired: what needs it is held until another one is stored',
                         t.origin_community_id);
    exception
        when lock_not_available then
            null;
    end;

    -- One step in the index for each handler's name.
    with recursive waiting as (
        (select d.handler from candhook.delivery d order by d.handler limit 1)
        union all
        select (select d.handler from candhook.delivery d where d.handler > w.handler order by d.handler limit 1)
          from waiting w
         where w.handler is not null
    ), gone as (
        delete from candhook.delivery d
         using waiting w
         where d.handler = w.handler and not exists (select from candhook.handler h where h.name = w.handler)
        returning d.event_id, d.received_at, d.handler, case when d.lease is null then d.attempt + 1 else d.attempt end as attempt
    )
    insert into candhook.outcome (event_id, received_at, handler, attempt, result, detail, finished_at)
    select g.event_id, g.received_at, g.handler, g.attempt, 'failed', 'handler removed', now()
      from gone g;
    get diagnostics moved = row_count;
    if moved > 0 then
        return next format('settled %s deliveries as failed whose handler is gone', moved);
    end if;
end
$$;
comment on function candhook_internal.maintain() is
    'makes partitions three months ahead, empties the default ones, deletes old spool positions, marks bot tokens that have '
    'expired, settles deliveries without a handler; returns a line for the log for each';
