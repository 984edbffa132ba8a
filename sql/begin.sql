-- SPDX-License-Identifier: ISC
--
-- Begin of install.sql, version 1 of the schema. The build joins the files of this folder in the order of sources.am.
-- The result is one transaction, for `psql -f` and for `candhook init`. It may be run again at any time and keeps all
-- rows.

begin;

set local client_min_messages = warning;
set local search_path = pg_catalog, pg_temp;
set local check_function_bodies = on;

do $$
begin
    if current_setting('server_version_num')::integer < 140000 then
        raise exception 'candhook needs PostgreSQL 14 or later; this server is %', current_setting('server_version')
            using errcode = 'feature_not_supported',
                  hint = 'Upgrade the server, or name another one in the setting `database`.';
    end if;
    if current_setting('server_encoding') <> 'UTF8' then
        raise exception 'candhook needs a database whose encoding is UTF8; "%" has %',
                current_database(), current_setting('server_encoding')
            using errcode = 'feature_not_supported',
                  hint = 'Make one: create database candhook encoding ''UTF8'' template template0 '
                         'lc_collate ''C'' lc_ctype ''C''';
    end if;

    -- One installation at a time: the second one finds everything in place.
    perform pg_advisory_xact_lock(hashtext('candhook.install'));
end
$$;

create schema if not exists candhook;
comment on schema candhook is
    'canD webhook events, their handlers and the outcomes: what people use. Begin with: select * from candhook.recent '
    'limit 20';

create schema if not exists candhook_internal;
comment on schema candhook_internal is
    'What the programs of candhook call, and the partitions of its tables. People use the schema candhook.';

-- Who owns a schema, or a thing in it, may change it at any time: what others call here runs as the installing user.
do $$
declare
    other record;
    installed integer;
begin
    select x.what, x.owner into other
      from (select 'the schema ' || n.nspname, n.nspowner
              from pg_namespace n where n.nspname in ('candhook', 'candhook_internal')
            union all
            select c.oid::regclass::text, c.relowner
              from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname in ('candhook', 'candhook_internal') and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
            union all
            select p.oid::regprocedure::text, p.proowner
              from pg_proc p join pg_namespace n on n.oid = p.pronamespace
             where n.nspname in ('candhook', 'candhook_internal')) as x (what, owner)
     where x.owner <> (select r.oid from pg_roles r where r.rolname = current_user)
     limit 1;
    if found then
        raise exception '% belongs to "%", and this installation runs as "%"', other.what, pg_get_userbyid(other.owner), current_user
            using errcode = 'insufficient_privilege',
                  detail = 'The owner could change what is installed here, and act with the rights of those who call it.',
                  hint = format('Install as %I; or, when you trust what is in it, reassign its objects to %I first.',
                                pg_get_userbyid(other.owner), current_user);
    end if;

    if to_regprocedure('candhook.version()') is null then
        return;
    end if;
    execute 'select candhook.version()' into installed;
    if installed > 1 then
        raise exception 'the schema candhook of "%" is version %, newer than this one (1)', current_database(), installed
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'Install the candhook that this schema belongs to.';
    end if;

    -- An older one's internal functions may return something else, which `create or replace` refuses, so all are made anew.
    -- Those on which something depends, such as triggers, stay: their form never changes.
    for other in select p.oid::regprocedure as what from pg_proc p
                  where p.pronamespace = 'candhook_internal'::regnamespace and p.prokind = 'f' loop
        begin
            execute format('drop function %s', other.what);
        exception
            when dependent_objects_still_exist then
                null;
        end;
    end loop;
end
$$;
