create or replace function candhook.replay(since timestamptz, until timestamptz, type text, handler text default null)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
-- The same for all events that were received from `since` to before `until` and whose type fits: one handler, if one is
-- named, or all enabled ones; of these those that match each event. `type` must be given, since otherwise nobody could tell
-- two literals from an event's id and a list of handlers. Returns how many deliveries.
begin
    if since is null or until is null or since >= until then
        raise exception 'candhook.replay: there is no time from % to before %', coalesce(since::text, 'null'),
                        coalesce(until::text, 'null')
            using errcode = 'invalid_parameter_value',
                  hint = 'The first is the earlier one; ''-infinity'' and ''infinity'' are times, too.';
    end if;
    if (type = '*' or type ~ '^[^*]+([.][*])?$') is not true then
        raise exception 'candhook.replay: no type of event is like %', coalesce(quote_literal(type), 'null')
            using errcode = 'invalid_parameter_value', hint = 'A type (product.created), a beginning (product.*), or *.';
    end if;
    if handler is not null then
        perform candhook.handler_known(handler);
    end if;
    return candhook.deliver_again(since, until, null, type, case when handler is not null then array[handler] end, true);
end
$$;
comment on function candhook.replay(timestamptz, timestamptz, text, text) is
    'runs handlers again at the events received from `since` to before `until` whose type fits (exact, product.*, or *): the '
    'handler named where it matches, or all enabled ones that match; with max_attempts anew; returns how many deliveries';
