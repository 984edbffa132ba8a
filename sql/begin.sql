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
declare
    installed integer;
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

    if to_regprocedure('candhook.version()') is not null then
        execute 'select candhook.version()' into installed;
        if installed > 1 then
            raise exception 'the schema candhook of "%" is version %, newer than this one (1)',
                    current_database(), installed
                using errcode = 'object_not_in_prerequisite_state',
                      hint = 'Install the candhook that this schema belongs to.';
        end if;
    end if;
end
$$;

create schema if not exists candhook;
comment on schema candhook is
    'canD webhook events, their handlers and the outcomes: what people use. Begin with: select * from candhook.recent '
    'limit 20';

create schema if not exists candhook_internal;
comment on schema candhook_internal is
    'What the programs of candhook call, and the partitions of its tables. People use the schema candhook.';
