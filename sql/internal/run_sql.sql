create or replace function candhook_internal.run_sql(lease bigint, ids uuid[] default null, handler text default null,
                                                     batch integer default null,
                                                     path text default current_setting('search_path'))
returns table (event_id uuid, result text, detail text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
-- Runs leased deliveries of an sql handler in this transaction and records their outcomes in the same one: a handler's
-- effect happens exactly once. With `ids`, only these events. Without a lease: up to `batch` due deliveries of
-- `handler`, beginning with the one of the event in `ids`, which claim has locked in this transaction; if it fails,
-- they are due as before.
--
-- Each event has a subtransaction, so one that fails does not undo the others. The calls are the rows of one cursor,
-- since a statement for each would be parsed and planned each time, half of the cost of a quick handler. A call that
-- fails ends the cursor. The next cursor gets one event, then two, four and so on: doubling its size after a failure
-- bounds the repeated look-ups at twice the batch. Deferred constraints are checked in the subtransaction, since at the
-- commit it is too late; then their modes are restored. An error that cannot be caught (statement_timeout) ends the
-- whole call: the caller then runs one event a transaction.
--
-- After half a second, or half of statement_timeout, the rest of the batch is given back uncounted: claim does not know
-- how long a handler takes, others wait, and the limit of one attempt must not end a batch of quick ones. Deliveries
-- without a lease need not be given back.
--
-- The handler runs under handler_role(), which then stays in force until the end or the next cursor (a change of role
-- costs an event 2 us), and with `path`, the caller's search_path. That is in force for the call only: else a function
-- or an operator of schema public could be called in place of one of pg_catalog. `path` is a default, since the caller
-- evaluates it before this function's own search_path is set. What a handler sets for the session (role, search_path,
-- time limits) is restored.
declare
    old_role constant text := current_setting('role');
    old_statement_timeout constant text := current_setting('statement_timeout');
    old_lock_timeout constant text := current_setting('lock_timeout');
    new_role constant text := candhook_internal.handler_role();
    until constant timestamptz := clock_timestamp() + least(interval '500 milliseconds',
                                                            nullif(old_statement_timeout::interval, '0') / 2);
    call text; -- the cursor's query
    may boolean; -- whether the role may call the handler's function
    deferrable_exist boolean;
    restore text; -- constraints that are deferrable and not deferred
    events uuid[]; -- to be handled, with these
    tokens text[];
    ctids tid[]; -- ctids of their deliveries
    target text; -- the handler's function
    done integer := 0; -- how many of them are done
    calls refcursor; -- a fetch calls the handler for the next event
    last integer := 0; -- the last event of the cursor
    ahead integer := 1000000; -- how many the next cursor gets at most
    next_events uuid[];
    next_tokens text[];
    opening boolean;
    there boolean; -- whether the event was there
    dropped boolean := false; -- one was not
    said text; -- what the handler returned, or the error
    verdict text;
    path_now text; -- behind the call
    path_changed boolean := false;
    ignored text;
    began timestamptz;
    n integer := 0; -- how many attempts there were, with these
    ran uuid[] := '{}';
    rows tid[] := '{}';
    results text[] := '{}';
    details text[] := '{}';
    starts timestamptz[] := '{}';
    ends timestamptz[] := '{}';
begin
    -- In most databases no constraint can be deferred. The two statements about them would take a seventh of an event's
    -- time. The schema's own trigger on tokens can wait for the commit. A transaction that begins with a deferrable
    -- constraint as immediate is rarer still.
    deferrable_exist := exists (select from pg_constraint c
                                 where c.condeferrable
                                   and (c.conrelid, c.conname) <> ('candhook.bot_token'::regclass, 'bot_token_stored'));
    if deferrable_exist then
        select string_agg(distinct format('%I.%I', n.nspname, c.conname), ', ') into restore
          from pg_constraint c
          join pg_namespace n on n.oid = c.connamespace
         where c.condeferrable and not c.condeferred;
    end if;

    -- When the concurrency limit is reached, the deliveries are given back uncounted. Without a lease, claim has taken
    -- the slot.
    if lease is not null and not candhook_internal.take_lease_slot(run_sql.lease) then
        perform candhook_internal.give_back(run_sql.lease);
        return;
    end if;

    select l.events, l.tokens, l.rows, l.target into events, tokens, ctids, target
      from candhook_internal.leased(run_sql.lease, ids, run_sql.handler, batch) l;
    select format('select e.event is distinct from null, '
                  'case when e.event is distinct from null then %I.%I(e.event, e.bot_token) end '
                  'from candhook_internal.leased_events($1, $2) e', s.nspname, p.proname),
           new_role = old_role or (has_schema_privilege(new_role, s.oid, 'usage')
                                   and has_function_privilege(new_role, p.oid, 'execute'))
      into call, may
      from pg_proc p
      join pg_namespace s on s.oid = p.pronamespace
     where p.oid = to_regprocedure(target);

    began := clock_timestamp();
    while done < cardinality(events) loop
        exit when n > 0 and began > until;
        opening := done = last;
        begin
            if call is null then
                raise exception 'there is no function % any more', target using errcode = 'undefined_function';
            elsif not may then
                raise exception 'permission denied for function %', target using errcode = 'insufficient_privilege';
            end if;
            if opening then
                if current_setting('role') <> old_role then
                    perform set_config('role', old_role, true);
                end if;
                if calls is not null then
                    close calls;
                end if;
                next_events := events[done + 1 : done + ahead];
                next_tokens := tokens[done + 1 : done + ahead];
                last := least(done + ahead, cardinality(events));
                ahead := 2 * ahead;
                -- Under the caller's role, which may read events; with its path, since a function in language sql may
                -- be inlined.
                ignored := set_config('search_path', path, true);
                open calls for execute call using next_events, next_tokens;
                ignored := pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
            end if;

            if current_setting('role') <> new_role then
                perform set_config('role', new_role, true);
            end if;
            -- From here to the next call of set_config every name is qualified.
            ignored := set_config('search_path', path, true);
            fetch calls into there, said;
            if deferrable_exist then
                set constraints all immediate;
            end if;
            path_now := pg_catalog.current_setting('search_path');
            ignored := pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
            if not found then
                raise exception 'leased_events returned too few events';
            end if;
            path_changed := path_changed or path_now <> path;
            verdict := 'ok';
        exception
            when others or assert_failure then
                said := format('%s (%s)', sqlerrm, sqlstate);
                verdict := 'retry';
                there := true;
                -- A cursor that was opened in the subtransaction is gone with it; else it is of no more use.
                if not opening then
                    close calls;
                end if;
                calls := null;
                last := done + 1;
                ahead := 1;
        end;
        done := done + 1;
        if deferrable_exist then
            set constraints all deferred;
        end if;
        if restore is not null then
            execute 'set constraints ' || restore || ' immediate';
        end if;
        if current_setting('statement_timeout') <> old_statement_timeout then
            perform set_config('statement_timeout', old_statement_timeout, false);
        end if;
        if current_setting('lock_timeout') <> old_lock_timeout then
            perform set_config('lock_timeout', old_lock_timeout, false);
        end if;

        if not there then
            dropped := true;
            continue;
        end if;
        n := n + 1;
        ran[n] := events[done];
        rows[n] := ctids[done];
        results[n] := verdict;
        -- As candhook_internal.masked does, which the handler's role may not call.
        if tokens[done] <> '' then
            said := replace(said, tokens[done], '[token]');
        end if;
        details[n] := left(said, 4000);
        starts[n] := began;
        began := clock_timestamp();
        ends[n] := began;
    end loop;
    if calls is not null then
        close calls;
    end if;
    -- For the session: a `set role` or `set search_path` of a handler would outlive this transaction.
    perform set_config('role', old_role, false);
    -- If a handler stored a token: before finish, which may share the lock that this trigger takes alone.
    set constraints candhook.bot_token_stored immediate;
    if dropped then
        perform candhook_internal.settle_missing(events[1 : done], ctids[1 : done]);
    end if;

    return query
    select f.event_id, f.result, f.detail
      from candhook_internal.finish(run_sql.lease, ran, results, details, starts, ends, handler => run_sql.handler,
                                    rows => rows) f
     order by f.event_id;
    if ids is null then
        perform candhook_internal.give_back(run_sql.lease);
    end if;
    if path_changed then
        perform set_config('search_path', path, false);
    end if;
end
$$;
comment on function candhook_internal.run_sql(bigint, uuid[], text, integer, text) is
    'runs the leased deliveries of an sql handler in this transaction (with `ids`, only these events; without a '
    'lease, up to `batch` due ones, beginning with the one in `ids`, which this transaction claimed with only_lock) '
    'and records their outcomes';
