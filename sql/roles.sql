-- Roles and grants. The four roles are optional: where whoever installs this may not make them, as on most shared
-- hosting, they are left out with a warning, all is done as the owner, and running this again once somebody has made them
-- gives them their rights.
--
--      candhook_worker     what `candhook work` does, and nothing else: it calls functions and touches no table
--      candhook_handler    sql handlers run under it: give it what your functions need
--      candhook_admin      stores tokens and handlers, replays, retries, gives up, and reads
--      candhook_reader     reads all but tokens
--
-- They cannot log in: grant them to roles that can.

do $$
declare
    role_name text;
    missing text[];
begin
    foreach role_name in array array['candhook_worker', 'candhook_handler', 'candhook_admin', 'candhook_reader'] loop
        if to_regrole(role_name) is null then
            begin
                execute format('create role %I nologin', role_name);
            exception
                when insufficient_privilege then
                    missing := missing || role_name;
                when duplicate_object or unique_violation then
                    null;
            end;
        end if;
    end loop;
    if missing is not null then
        raise warning 'the user % may make no roles, so there is no %: the owner of the schema does everything',
            current_user, array_to_string(missing, ', ');
    end if;

    -- So that the worker may become it.
    if not pg_has_role(to_regrole('candhook_worker'), to_regrole('candhook_handler'), 'member') then
        begin
            grant candhook_handler to candhook_worker;
        exception
            when insufficient_privilege then
                null;
        end;
    end if;
end
$$;

-- Harmless ones stay with everybody: functions of users call them, and run_sql does under their role.
revoke execute on all functions in schema candhook from public;
grant execute on function candhook.version(), candhook.received_at(uuid), candhook.body(candhook.event),
    candhook.masked(text, text) to public;

do $$
declare
    grants constant text[] := array[
        'candhook_worker', 'usage on schema candhook',
        'candhook_worker', 'execute on function candhook.spool_position(uuid), candhook.forget(uuid[]), '
                           'candhook.record(uuid[], bigint[], uuid[], text[], text[], text[], text[], text[], text[], text[], '
                           'text[], uuid[], bytea[], text[], boolean), '
                           'candhook.claim(text, integer, text[], text[], boolean), candhook.run_sql(bigint, uuid[], text, integer), '
                           'candhook.leased(bigint, uuid[], text, integer), candhook.leased_events(uuid[], text[]), '
                           'candhook.settle_missing(uuid[], tid[]), candhook.place(bigint), candhook.handler_role(), '
                           'candhook.finish(bigint, uuid[], text[], text[], timestamptz[], timestamptz[], integer[], text, tid[]), '
                           'candhook.renew(bigint), candhook.give_back(bigint, uuid[]), candhook.release(text), '
                           'candhook.due_in(text[], text[]), candhook.maintain()',
        'candhook_worker', 'execute on function candhook.bot_token(text), candhook.refuse_bot_token(text, timestamptz), '
                           'candhook.events(timestamptz, uuid, text, text, integer), candhook.wanted()',
        'candhook_worker', 'execute on function candhook.status(), candhook.diagnose(), candhook.probe(timestamptz, text)',
        'candhook_reader', 'execute on function candhook.status(), candhook.diagnose(), candhook.probe(timestamptz, text)',
        'candhook_admin', 'execute on function candhook.status(), candhook.diagnose(), candhook.probe(timestamptz, text)',
        'candhook_handler', 'usage on schema candhook',
        'candhook_reader', 'usage on schema candhook',
        'candhook_reader', 'select on candhook.event, candhook.malformed, candhook.outcome, candhook.handler, '
                           'candhook.delivery, candhook.spool_position, candhook.recent, candhook.held, candhook.failed, '
                           'candhook.due, candhook.unhandled_types, candhook.handler_health, candhook.bot_token_masked',
        'candhook_reader', 'execute on function candhook.matches(text, text)', -- for unhandled_types
        'candhook_reader', 'execute on function candhook.events(timestamptz, uuid, text, text, integer), candhook.wanted()',
        'candhook_admin', 'usage on schema candhook',
        'candhook_admin', 'select on candhook.event, candhook.malformed, candhook.outcome, candhook.handler, '
                          'candhook.delivery, candhook.spool_position, candhook.recent, candhook.held, candhook.failed, '
                          'candhook.due, candhook.unhandled_types, candhook.handler_health, candhook.bot_token_masked',
        'candhook_admin', 'select, insert, update, delete on candhook.handler, candhook.bot_token',
        'candhook_admin', 'insert on candhook.bot_token_entry',
        'candhook_admin', 'execute on function candhook.bot_token(text), candhook.refuse_bot_token(text, timestamptz), '
                          'candhook.events(timestamptz, uuid, text, text, integer), candhook.wanted()',
        'candhook_admin', 'execute on function candhook.set_bot_token(text, text), candhook.matches(text, text), '
                          'candhook.handler_known(text), candhook.enable_handler(text), candhook.disable_handler(text), '
                          'candhook.remove_handler(text), candhook.replay(uuid, text[]), '
                          'candhook.replay(timestamptz, timestamptz, text, text), '
                          'candhook.retry_failed(text, timestamptz), candhook.give_up(uuid, text, timestamptz), '
                          'candhook.add_handler(text, text, text, text, text, boolean, interval, integer, interval, '
                          'double precision, interval, double precision, integer, text, boolean)'];
begin
    for n in 1 .. cardinality(grants) by 2 loop
        if to_regrole(grants[n]) is not null then
            execute format('grant %s to %I', grants[n + 1], grants[n]);
        end if;
    end loop;
end
$$;
