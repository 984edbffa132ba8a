create or replace function candhook_internal.run_sql(lease bigint, ids uuid[] default null,
                                                     path text default current_setting('search_path'))
returns table (event_id uuid, result text, detail text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
-- Runs the leased deliveries of an sql handler in this transaction and records their outcomes in the same one: a handler's
-- effect happens exactly once. With `ids`, only these events. When the call fails as a whole (statement_timeout), the caller
-- runs one event a transaction.
--
-- After half a second, or half of statement_timeout, the rest of the batch is given back uncounted: claim does not know
-- how long a handler takes, others wait, and the limit of one attempt must not end a batch of quick ones. `path` is a
-- default, since the caller evaluates it before this function's own search_path is set.
declare
    until constant timestamptz := clock_timestamp() + least(interval '500 milliseconds',
                                                            nullif(current_setting('statement_timeout')::interval, '0') / 2);
    what record;
    tried record;
begin
    -- When the concurrency limit is reached, the deliveries are given back uncounted.
    if candhook_internal.take_lease_slot(lease) then
        select * into what from candhook_internal.leased(lease, ids);
        if what.events is not null then
            select * into tried from candhook_internal.run_handler(what.target, what.events, what.tokens, path, until, false);
            return query
            select f.event_id, f.result, f.detail
              from candhook_internal.finish(lease, what.ids[1 : cardinality(tried.results)], tried.results, tried.details,
                                            tried.started_at, tried.finished_at) f
             order by f.event_id;
        end if;
    end if;
    if ids is null then
        perform candhook_internal.give_back(lease);
    end if;
end
$$;
comment on function candhook_internal.run_sql(bigint, uuid[], text) is
    'runs the leased deliveries of an sql handler in this transaction (with `ids`, only these events) and records their '
    'outcomes; what there is no time for is given back';
