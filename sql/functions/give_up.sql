create or replace function candhook.give_up(event_id uuid default null, handler text default null,
                                            received_before timestamptz default null)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
-- Settles unfinished deliveries as failed: those of an event, of a handler, or of both; with received_before only those
-- of older events. Includes deliveries that wait, are held, or run: a running attempt loses its lease and can finish
-- nothing. Waits for an sql handler that runs right now, since its effect and its outcome are committed together: a
-- delivery that it settles is not given up. Returns the number of deliveries.
--
-- Deliveries are locked in the same order as in run_sql, so that the two cannot deadlock.
declare
    given bigint;
begin
    if give_up.event_id is null and give_up.handler is null then
        raise exception 'candhook.give_up: neither an event nor a handler is given'
            using errcode = 'invalid_parameter_value',
                  hint = 'candhook.give_up(EVENT), candhook.give_up(handler => NAME), or both; and received_before => TIME '
                         'for older ones only.';
    end if;

    with chosen as materialized (
        select d.received_at, d.event_id, d.handler
          from candhook.delivery d
         where (give_up.event_id is null
                or (d.received_at = candhook.received_at(give_up.event_id) and d.event_id = give_up.event_id))
           and (give_up.handler is null or d.handler = give_up.handler)
           and (give_up.received_before is null or d.received_at < give_up.received_before)
         order by d.received_at, d.event_id, d.handler
           for update
    ), settled as (
        delete from candhook.delivery d
         using chosen c
         where d.received_at = c.received_at and d.event_id = c.event_id and d.handler = c.handler
        returning d.*
    ), recorded as (
        insert into candhook.outcome (event_id, received_at, handler, attempt, result, detail, finished_at)
        select s.event_id, s.received_at, s.handler, case when s.lease is null then s.attempt + 1 else s.attempt end,
               'failed', 'given up by ' || session_user, clock_timestamp()
          from settled s
        returning 1
    )
    select count(*) into given from recorded;

    -- A name that no handler has, but deliveries, is a name to give up.
    if given = 0 and give_up.handler is not null then
        perform candhook_internal.handler_known(give_up.handler);
    end if;

    -- Deliveries that are ordered behind one of these may begin.
    if given > 0 then
        perform pg_notify('candhook', '');
    end if;
    return given;
end
$$;
comment on function candhook.give_up(uuid, text, timestamptz) is
    'Settles unfinished deliveries as failed, also those that run: of an event, of a handler, or of both; with '
    'received_before only those of older events. Returns how many. Type: select candhook.give_up(''EVENT ID''); or: '
    'select candhook.give_up(handler => ''greet'', received_before => now() - interval ''1 day'');';
