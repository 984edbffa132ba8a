create or replace function candhook_internal.take_slot(handler text, concurrency integer)
returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
-- Takes one of the handler's slots until the transaction ends; false when all are taken. A slot is an advisory lock of the
-- transaction, so a process that dies releases it.
begin
    for slot in 1 .. concurrency loop
        if pg_try_advisory_xact_lock(hashtext('candhook.slot/' || handler), slot) then
            return true;
        end if;
    end loop;
    return false;
end
$$;
comment on function candhook_internal.take_slot(text, integer) is
    'takes one of a handler''s slots until the transaction ends; false when all are taken';
