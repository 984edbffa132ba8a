create or replace function candhook_internal.give_back(lease bigint, ids uuid[] default null)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
-- Gives back the deliveries that a lease still holds (with `ids`, only these events), whose attempts have not begun:
-- they are due at once, and the attempt is not counted. Returns their number.
declare
    given integer;
begin
    update candhook.delivery d
       set lease = null, worker = null, attempt = d.attempt - 1, due_at = clock_timestamp()
     where d.lease = give_back.lease and (ids is null or d.event_id = any (ids));
    get diagnostics given = row_count;
    if given > 0 then
        perform pg_notify('candhook', '');
    end if;
    return given;
end
$$;
comment on function candhook_internal.give_back(bigint, uuid[]) is
    'gives back the deliveries that a lease still holds, or only those of these events, without counting the attempt; '
    'returns how many';
