create or replace function candhook_internal.handler_role()
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
-- The role under which sql handlers run: candhook_handler when this session may become it, else the role in force.
-- There may be no candhook_handler: the owner of a database may not be allowed to make roles.
begin
    return case when pg_has_role(session_user, to_regrole('candhook_handler')::oid,
                                 case when current_setting('server_version_num')::integer >= 160000
                                      then 'SET' else 'MEMBER' end)
                then 'candhook_handler'
                else current_setting('role') end;
end
$$;
comment on function candhook_internal.handler_role() is 'the role under which sql handlers run in this session';
