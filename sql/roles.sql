-- Roles and grants. The five roles are optional. An installer that may not make roles, as on most shared hosting,
-- leaves them out with a warning, and the owner of the schema does everything. Running this again once somebody has
-- made them grants them their rights.
--
--      candhook_worker     what `candhook work` does: calls functions, and reads and writes no table
--      candhook_handler    sql handlers run under it: grant it what your functions need
--      candhook_admin      stores and ends tokens, makes handlers, replays, retries, gives up, and reads
--      candhook_reader     reads all but tokens
--      candhook_web        what candhook-web.fcgi does for strangers: stores tokens, and reads none; tells monitors how work
--                          goes. For the console its user is a member of candhook_reader and candhook_admin, too.
--
-- They cannot log in: grant them to roles that can.

do $$
declare
    role_name text;
    missing text[];
begin
    foreach role_name in array array['candhook_worker', 'candhook_handler', 'candhook_admin', 'candhook_reader',
                                 'candhook_web'] loop
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

-- Functions that only compute stay with everybody who may use the schema: handlers call them, too.
revoke execute on all functions in schema candhook, candhook_internal from public;
grant execute on function candhook.version(), candhook.received_at(uuid), candhook.body(candhook.event) to public;

do $$
declare
    reading constant text := 'select on candhook.event, candhook.malformed, candhook.outcome, candhook.handler, '
                             'candhook.delivery, candhook.recent, candhook.held, candhook.failed, candhook.due, '
                             'candhook.unhandled_types, candhook.handler_health, candhook.bot_token_masked, '
                             'candhook.bot_token_history, candhook.community_alias, candhook.audit';
    -- For the programs' verbs that read: status, doctor, forward, scopes. The view unhandled_types calls matches.
    looking constant text := 'execute on function candhook_internal.status(), candhook_internal.counts(), '
                             'candhook_internal.delivery_states(), '
                             'candhook_internal.diagnose(), candhook_internal.probe(timestamptz, text), candhook_internal.wanted(), '
                             'candhook_internal.lacking_scopes(text[]), '
                             'candhook_internal.events(timestamptz, uuid, text, text, integer)';
    tokens constant text := 'execute on function candhook_internal.bot_token(text), candhook_internal.held_count(text), '
                            'candhook_internal.refuse_bot_token(text, timestamptz)';
    telling constant text := 'execute on function candhook_internal.token_list(), candhook_internal.token_history(text)';
    -- What candhook-web.fcgi calls as one of these roles, for people who have logged in.
    console constant text := 'execute on function candhook_internal.web(text, text, text, boolean), '
                             'candhook_internal.web_overview(jsonb), candhook_internal.web_rates(integer, timestamptz, interval), '
                             'candhook_internal.web_replica_lag(), candhook_internal.web_events(jsonb, interval), '
                             'candhook_internal.web_event(jsonb), candhook_internal.web_event_line(candhook.event), '
                             'candhook_internal.web_results(uuid), candhook_internal.web_body(jsonb, text), '
                             'candhook_internal.web_handlers(interval), candhook_internal.web_failures(jsonb), '
                             'candhook_internal.web_malformed(jsonb), candhook_internal.web_unhandled(), '
                             'candhook_internal.web_tokens(), candhook_internal.web_audit(jsonb), '
                             'candhook_internal.web_text(jsonb, text), candhook_internal.web_id(jsonb, text), '
                             'candhook_internal.web_time(jsonb, text), candhook_internal.error_group(text), '
                             'candhook_internal.delivery_state(candhook.delivery, boolean)';
    grants constant text[] := array[
        'candhook_worker', 'usage on schema candhook, candhook_internal',
        'candhook_worker', 'execute on function candhook_internal.spool_position(uuid), candhook_internal.forget(uuid[]), '
                           'candhook_internal.maintain()',
        'candhook_worker', 'execute on function candhook_internal.claim(text, integer, text[], text[]), '
                           'candhook_internal.finish(bigint, uuid[], text[], text[], timestamptz[], timestamptz[], bigint[]), '
                           'candhook_internal.renew(bigint), candhook_internal.give_back(bigint, uuid[]), '
                           'candhook_internal.release(text), candhook_internal.due_in(text[], text[])',
        -- record and run_sql have the caller's rights, so the worker calls their parts, too.
        'candhook_worker', 'execute on function candhook_internal.record(uuid[], bigint[], uuid[], text[], text[], text[], text[], '
                           'text[], text[], text[], text[], uuid[], bytea[], text[], boolean, text[], text), '
                           'candhook_internal.record_once(uuid[], bigint[], uuid[], text[], text[], text[], text[], text[], '
                           'text[], text[], text[], uuid[], bytea[], text[], text[]), '
                           'candhook_internal.finish_first(text, candhook.event[], text[], text[], timestamptz[], timestamptz[])',
        'candhook_worker', 'execute on function candhook_internal.run_sql(bigint, uuid[], text), '
                           'candhook_internal.leased(bigint, uuid[]), candhook_internal.take_lease_slot(bigint)',
        'candhook_worker', 'execute on function candhook_internal.run_handler(text, candhook.event[], text[], text, timestamptz, '
                           'boolean), candhook_internal.handler_role()',
        'candhook_worker', tokens,
        'candhook_worker', looking,
        'candhook_handler', 'usage on schema candhook',
        'candhook_reader', 'usage on schema candhook, candhook_internal',
        'candhook_reader', reading,
        'candhook_reader', looking,
        'candhook_reader', telling,
        'candhook_reader', console,
        'candhook_reader', 'execute on function candhook_internal.matches(text, text)',
        'candhook_web', 'usage on schema candhook, candhook_internal',
        'candhook_web', 'insert on candhook_internal.bot_token_entry',
        'candhook_web', 'execute on function candhook_internal.wanted(), candhook_internal.held_count(text), '
                        'candhook_internal.status(), candhook_internal.delivery_states(), '
                        'candhook_internal.web(text, text, text, boolean), '
                        'candhook_internal.web_note(text, text, text, bigint)',
        'candhook_admin', 'usage on schema candhook, candhook_internal',
        'candhook_admin', reading,
        'candhook_admin', looking,
        'candhook_admin', telling,
        'candhook_admin', console,
        'candhook_admin', 'execute on function candhook_internal.web_act(jsonb, text), '
                          'candhook_internal.web_note(text, text, text, bigint), '
                          'candhook_internal.web_concerned(text, uuid, text, text[], text)',
        'candhook_admin', tokens,
        'candhook_admin', 'select, insert, update, delete on candhook.handler, candhook.bot_token',
        'candhook_admin', 'insert on candhook_internal.bot_token_entry',
        'candhook_admin', 'execute on function candhook.set_bot_token(text, text, text[], timestamptz), '
                          'candhook.revoke_bot_token(text), candhook.remove_bot_token(text), '
                          'candhook.alias_community(text, text), candhook.enable_handler(text), '
                          'candhook.disable_handler(text), candhook.remove_handler(text), candhook.replay(uuid, text[]), '
                          'candhook.replay(timestamptz, timestamptz, text, text), candhook.retry_failed(text, timestamptz, text), '
                          'candhook.give_up(uuid, text, timestamptz), '
                          'candhook.add_handler(text, text, text, text, text, boolean, interval, integer, interval, '
                          'double precision, interval, double precision, integer, text, boolean)',
        -- What set_bot_token, add_handler and the trigger handler_check call with the caller's rights.
        'candhook_admin', 'execute on function candhook_internal.store_bot_token(text, text, text[], timestamptz, text)',
        'candhook_admin', 'execute on function candhook_internal.matches(text, text), candhook_internal.handler_known(text), '
                          'candhook_internal.refuse_handler(text, text, text, jsonb), '
                          'candhook_internal.handler_signature(candhook.handler, candhook.handler), '
                          'candhook_internal.handler_checked(candhook.handler, candhook.handler, regprocedure)'];
begin
    for n in 1 .. cardinality(grants) by 2 loop
        if to_regrole(grants[n]) is not null then
            execute format('grant %s to %I', grants[n + 1], grants[n]);
        end if;
    end loop;
end
$$;
