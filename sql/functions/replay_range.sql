create or replace function candhook.replay(since timestamptz, until timestamptz, type text, handler text default null)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
-- Replays all events that were received from `since` to before `until` and whose type fits: for one handler, if it is
-- named, or for all enabled ones; each gets the events that it matches. `type` has no default, since two literals would
-- not tell this function from replay(EVENT, HANDLERS). Returns the number of deliveries.
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
        perform candhook_internal.handler_known(handler);
    end if;
    return candhook_internal.deliver_again(since, until, null, type,
                                           case when handler is not null then array[handler] end, true);
end
$$;
comment on function candhook.replay(timestamptz, timestamptz, text, text) is
    'Runs handlers again at the events that were received from `since` to before `until` and whose type fits (exact, '
    'product.*, or *), with max_attempts anew: the handler named where it matches, or all enabled ones that match. '
    'Returns how many deliveries. Type: select candhook.replay(now() - interval ''1 hour'', now(), ''product.*'', '
    '''greet'');';
