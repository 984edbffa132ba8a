create or replace function candhook.retry_failed(handler text default null, since timestamptz default null,
                                                 error text default null)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
-- Retries the deliveries that the view failed shows, with max_attempts anew: all, those of one handler, or those that
-- failed at `since` or later, those whose details are grouped under `error` (candhook_internal.error_group). Failed deliveries of
-- a removed handler stay. Returns the number of deliveries. The comment in deliver_again tells why the lock is needed and why no
-- attempt's number comes twice.
declare
    again bigint;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'candhook.retry_failed needs the isolation level read committed'
            using errcode = 'invalid_transaction_state', hint = 'Begin the transaction without an isolation level.';
    end if;
    if retry_failed.handler is not null then
        perform candhook_internal.handler_known(retry_failed.handler);
    end if;
    perform pg_advisory_xact_lock(hashtext('candhook.replay'));

    with wanted as materialized (
        select h.name, h.ordered_by
          from candhook.handler h
         where retry_failed.handler is null or h.name = retry_failed.handler
           for key share of h
    ), made as (
        insert into candhook.delivery (event_id, received_at, handler, origin_community_id, order_key, attempt)
        select f.event_id, f.received_at, f.handler, e.origin_community_id,
               candhook_internal.order_key(w.ordered_by, e.id, e.origin_community_id, e.payload ->> 'id'), f.attempts
          from candhook.failed f
          join wanted w on w.name = f.handler
          join candhook.event e on e.received_at = f.received_at and e.id = f.event_id
         where (retry_failed.since is null or f.finished_at >= retry_failed.since)
           and (retry_failed.error is null or candhook_internal.error_group(f.detail) = retry_failed.error)
        on conflict do nothing
        returning 1
    )
    select count(*) into again from made;

    if again > 0 then
        perform pg_notify('candhook', '');
    end if;
    return again;
end
$$;
comment on function candhook.retry_failed(text, timestamptz, text) is
    'Retries what the view candhook.failed shows, with max_attempts anew: all, of one handler, what has failed '
    'since a time, or one group of the console''s page of failures. Returns how many deliveries. '
    'Type: select candhook.retry_failed(); or: select '
    'candhook.retry_failed(''greet'', now() - interval ''1 hour'');';
