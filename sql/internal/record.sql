create or replace function candhook_internal.record(segments uuid[], positions bigint[],
                                                    ids uuid[], modules text[], types text[], origin_community_ids text[],
                                                    user_ids text[], community_ids text[], profile_ids text[],
                                                    payloads text[], extras text[],
                                                    malformed uuid[], bodies bytea[], reasons text[],
                                                    notify boolean default true, not_at_once text[] default null,
                                                    path text default current_setting('search_path'))
returns table (kind text, id uuid, module text, type text, detail text, events bigint, handler text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
-- Records a batch of received bodies and the spool positions behind it, and runs handlers, in the caller's transaction.
-- Idempotent by id.
--
--      segments, positions             segments of the spool, and the offsets behind the records of this batch
--      ids ... extras                  events: the columns of the table event, payload and extra as JSON
--      malformed, bodies, reasons      bodies that are no events: their ids, bytes, and what is wrong with them
--      notify                          false: the caller wakes its own runners, so no NOTIFY is needed
--      not_at_once                     handlers whose first attempt is left to a delivery; null: all
--
-- Returns rows for the log and for the caller:
--
--      'malformed', id, null, null, reason, 1, null                        a body that was recorded as malformed
--      'unhandled', id of one, module, type, context of one, number, null  events that no handler matches
--      'ok', null, null, null, null, number, handler                       events that it has handled
--      'retry' or 'failed', id, null, null, detail, 1, handler             an attempt that failed
--      'slow', null, null, null, milliseconds a call, 1, handler           it used up the time; name it in not_at_once
--      'delivered', null, null, null, kind, number, null                   deliveries that were made for handlers of this kind
--
-- When the database refuses events of the batch (jsonb's limits; a constraint, index or trigger that a person added), which
-- is rare, nothing is recorded. It returns only
--
--      'refused', id, null, null, reason, 1, null                          for each of them
--
-- and the caller calls again with these as malformed.
--
-- First attempts have 200 ms for the whole batch; what has no time left becomes a delivery. The caller limits the time of the
-- statement (2 seconds) and of waiting for locks (200 ms). Before each handler's turn, its name is sent as a message of level
-- INFO with the SQLSTATE CH001, so that the caller knows which one ran when the server ends or cancels the call. Then nothing
-- is recorded, and the caller calls again with not_at_once = null.
--
-- This function has the caller's rights, and so have the handlers that it runs (run_handler).
declare
    until constant timestamptz := clock_timestamp() + interval '200 milliseconds';
    began timestamptz;
    took double precision; -- milliseconds
    line record;
    tried record;
    longest text; -- the handler that took the most time in all, and milliseconds of one of its calls
    longest_took double precision := 0;
    longest_call double precision;
    delivered boolean := false;
begin
    for line in
        select * from candhook_internal.record_once(segments, positions, ids, modules, types, origin_community_ids, user_ids,
                                                    community_ids, profile_ids, payloads, extras, malformed, bodies, reasons,
                                                    not_at_once)
    loop
        if line.kind = 'run' then
            raise info using errcode = 'CH001', message = line.handler;
            began := clock_timestamp();
            select * into tried from candhook_internal.run_handler(line.target, line.to_run, line.tokens, path, until, true);
            took := extract(epoch from clock_timestamp() - began) * 1000;
            if took > longest_took then
                longest := line.handler;
                longest_took := took;
                longest_call := took / cardinality(tried.results);
            end if;
            for kind, id, detail, events in
                select * from candhook_internal.finish_first(line.handler, line.to_run, tried.results, tried.details,
                                                             tried.started_at, tried.finished_at)
            loop
                module := null;
                type := null;
                handler := line.handler;
                delivered := delivered or kind = 'delivered';
                return next;
            end loop;
        else
            kind := line.kind; id := line.id; module := line.module; type := line.type;
            detail := line.detail; events := line.events; handler := null;
            delivered := delivered or kind = 'delivered';
            return next;
        end if;
    end loop;
    if clock_timestamp() > until and longest_call > 1 then
        return query select 'slow', null::uuid, null, null, round(longest_call)::text, 1::bigint, longest;
    end if;
    if delivered and notify then
        perform pg_notify('candhook', '');
    end if;
end
$$;
comment on function candhook_internal.record(uuid[], bigint[], uuid[], text[], text[], text[], text[], text[], text[], text[],
                                             text[], uuid[], bytea[], text[], boolean, text[], text) is
    'records events and malformed bodies, runs sql handlers at once or makes deliveries, and stores the positions of the '
    'spool; idempotent by id; returns rows for the log, or, having recorded nothing, the events that cannot be stored';
