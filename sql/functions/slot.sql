create or replace function candhook.slot(handler text, concurrency integer)
returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
-- Takes one of the handler's places, if it has one free (or any number: null), until the transaction ends. A lock of
-- the transaction, so whoever dies leaves none behind.
begin
    for place in 1 .. coalesce(concurrency, 0) loop
        if pg_try_advisory_xact_lock(hashtext('candhook.slot/' || handler), place) then
            return true;
        end if;
    end loop;
    return concurrency is null;
end
$$;
comment on function candhook.slot(text, integer) is
    'takes one of a handler''s places until the transaction ends; false when all are taken';
