create or replace function candhook_internal.run_handler(target text, events candhook.event[], tokens text[], path text,
                                                         until timestamptz, first boolean, out results text[],
                                                         out details text[], out started_at timestamptz[],
                                                         out finished_at timestamptz[])
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- Calls an sql handler for events in turn, until all are done or the time is over. `tokens` are the events' bot tokens, or
-- nulls. Returns, for each event from the first on that was tried, its result, 'ok' or 'retry', and what the handler or the
-- error said. With `first`, one that did not get a lock in time was not tried: its result is null.
--
-- One statement in a subtransaction of its own calls the handler for all events. When a call fails, all of it is undone, and
-- halving finds the event that failed; all others run without it. So one that fails costs the others nothing but time, and a
-- batch without one costs a single statement and subtransaction. Deferred constraints are checked in the subtransaction,
-- since at the commit it is too late; then their modes are restored. An error that cannot be caught (statement_timeout) ends
-- the caller's statement.
--
-- The handler runs under handler_role(), and with `path`, the search_path of who called record or run_sql. That is in force
-- for the calls only: else a function or an operator of schema public could be called in place of one of pg_catalog. What a
-- handler sets for the session (role, search_path, time limits) is restored behind it, and no other event runs with it.
declare
    old_role constant text := current_setting('role');
    old_limits constant text[] := array[current_setting('statement_timeout'), current_setting('lock_timeout')];
    new_role constant text := candhook_internal.handler_role();
    call text; -- the statement
    may boolean; -- whether the role may call the handler's function
    deferrable_exist boolean;
    restore text; -- constraints that are deferrable and not deferred
    done integer := 0; -- events before this one are done
    size integer := cardinality(events); -- so many behind them are called together
    failing integer; -- between `done` and this event one fails; null: none is known to
    began timestamptz[]; -- when each call began; those that are not before `until` were not made
    said text[];
    tried integer;
    verdict text;
    path_now text; -- behind the calls
    path_changed boolean := false;
    limits_changed boolean;
    ignored text;
begin
    -- In most databases no constraint can be deferred, and then none of the statements about them is needed. The schema's own
    -- trigger on tokens can wait for the end. A transaction that begins with a deferrable constraint as immediate is rarer
    -- still.
    deferrable_exist := exists (select from pg_constraint c
                                 where c.condeferrable
                                   and (c.conrelid, c.conname) <> ('candhook.bot_token'::regclass, 'bot_token_stored'));
    if deferrable_exist then
        select string_agg(distinct format('%I.%I', n.nspname, c.conname), ', ') into restore
          from pg_constraint c
          join pg_namespace n on n.oid = c.connamespace
         where c.condeferrable and not c.condeferred;
    end if;
    select format('select pg_catalog.array_agg(e.began), '
                  'pg_catalog.array_agg(case when e.began operator(pg_catalog.<) $3 '
                  'then pg_catalog.left(%I.%I(e.event, e.bot_token), 8000) end) ' -- whatever it returns
                  'from (select pg_catalog.clock_timestamp() as began, u.event, u.bot_token '
                  'from (select pg_catalog.unnest($1) as event, pg_catalog.unnest($2) as bot_token) u offset 0) e',
                  s.nspname, p.proname),
           new_role = old_role or (has_schema_privilege(new_role, s.oid, 'usage')
                                   and has_function_privilege(new_role, p.oid, 'execute'))
      into call, may
      from pg_proc p
      join pg_namespace s on s.oid = p.pronamespace
     where p.oid = to_regprocedure(target);

    while done < cardinality(events) and clock_timestamp() < until loop
        size := least(size, cardinality(events) - done);
        began := array[clock_timestamp()];
        begin
            if call is null then
                raise exception 'there is no function % any more', target using errcode = 'undefined_function';
            elsif not may then
                raise exception 'permission denied for function %', target using errcode = 'insufficient_privilege';
            end if;
            perform set_config('role', new_role, true);
            -- From here to the next call of set_config every name is qualified.
            ignored := set_config('search_path', path, true);
            execute call into began, said using events[done operator(pg_catalog.+) 1 : done operator(pg_catalog.+) size],
                tokens[done operator(pg_catalog.+) 1 : done operator(pg_catalog.+) size], until;
            if deferrable_exist then
                set constraints all immediate;
            end if;
            path_now := pg_catalog.current_setting('search_path');
            ignored := pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
            limits_changed := array[current_setting('statement_timeout'), current_setting('lock_timeout')] <> old_limits;
            if size > 1 and (path_now <> path or limits_changed or current_setting('role') <> new_role) then
                raise exception 'a handler changed a setting' using errcode = 'CH000';
            end if;
            path_changed := path_changed or path_now <> path;
            tried := (select count(*) from unnest(began) b where b < until);
            verdict := 'ok';
            failing := nullif(failing, done + tried);
            size := case when failing is null then 2 * size else greatest(1, (failing - done - tried) / 2) end;
        exception
            when others or assert_failure then
                limits_changed := false;
                if size > 1 then
                    tried := 0;
                    failing := done + size;
                    size := size / 2;
                else
                    tried := 1;
                    said := array[format('%s (%s)', sqlerrm, sqlstate)];
                    verdict := case when not (first and sqlstate = '55P03') then 'retry' end;
                    failing := null;
                end if;
        end;
        if deferrable_exist then
            set constraints all deferred;
        end if;
        if restore is not null then
            execute 'set constraints ' || restore || ' immediate';
        end if;
        if limits_changed then
            perform set_config('statement_timeout', old_limits[1], false), set_config('lock_timeout', old_limits[2], false);
        end if;
        results := results || array_fill(verdict, array[tried]);
        details := details || said[1 : tried];
        started_at := started_at || began[1 : tried];
        finished_at := finished_at || began[2 : tried] || array_fill(clock_timestamp(), array[least(tried, 1)]);
        done := done + tried;
    end loop;

    -- For the session: a `set role` or `set search_path` of a handler would outlive this transaction.
    perform set_config('role', old_role, false);
    if path_changed then
        perform set_config('search_path', path, false);
    end if;
    -- If a handler stored a token: before the outcomes, which may need the lock shared that this trigger takes alone.
    set constraints candhook.bot_token_stored immediate;
    -- As candhook_internal.masked does, which the caller may not call.
    if exists (select from unnest(details) d where d is not null) then
        details := array(select left(case when t.token <> '' then replace(t.said, t.token, '[token]') else t.said end, 4000)
                           from unnest(details, tokens[1 : done]) with ordinality as t (said, token, number)
                          order by t.number);
    end if;
end
$$;
comment on function candhook_internal.run_handler(text, candhook.event[], text[], text, timestamptz, boolean) is
    'calls an sql handler for these events until the time is over; returns results and details; a part of '
    'candhook_internal.record and run_sql';
