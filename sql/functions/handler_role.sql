create or replace function candhook.handler_role()
returns text
language plpgsql stable
as $$
-- The role under which sql handlers run: candhook_handler when this session may become it, else whatever it is now
-- (where the database's owner may not make roles there is none).
begin
    return case when pg_catalog.pg_has_role(session_user, to_regrole('candhook_handler')::oid,
                                        case when current_setting('server_version_num')::integer >= 160000
                                             then 'SET' else 'MEMBER' end)
                then 'candhook_handler'
                else current_setting('role') end;
end
$$;
comment on function candhook.handler_role() is 'the role under which sql handlers run in this session';
