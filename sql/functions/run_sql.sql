create or replace function candhook.run_sql(lease bigint, ids uuid[] default null, handler text default null,
                                            batch integer default null)
returns table (event_id uuid, result text, detail text)
language plpgsql
as $$
#variable_conflict use_column
-- Runs the leased deliveries of an sql handler in this transaction, and records what came of each in the same one: a
-- handler's effect happens exactly once. With `ids`, only these events. Without a lease, up to `batch` deliveries of
-- `handler` that are due, from the one on which this transaction's claim has locked, and whose event is in `ids`: if it
-- comes to nothing, they are due as before.
--
-- Each event has a subtransaction, so one that fails takes nothing along. The calls are the rows of one cursor, since a
-- statement for each would be parsed and planned each time, half of what a quick handler costs. A call that fails ends the
-- cursor: the next one has one event more, then two, four and so on, lest all that is left be looked up again for each failure.
-- It is opened under the role of the session, which may look up events, and fetched from under that of the handler.
-- Deferred constraints are checked within it,
-- for at the commit it would be too late; then their modes are put back for the next event. An error that cannot be
-- caught (statement_timeout) hits the whole call: the caller then goes on with one event a transaction.
--
-- After half a second, or half of statement_timeout, the rest of the batch is given back uncounted: claim knows no
-- handler's pace, others wait, and a limit for one attempt must not hit a batch of quick ones. What is not leased is so by
-- itself.
--
-- Invoker's rights and the session's search_path, since this calls functions of users; they run as handler_role().
-- What they may have set is put back after each: role, search_path and time limits.
declare
    old_role constant text := current_setting('role');
    old_path constant text := current_setting('search_path');
    old_statement_timeout constant text := current_setting('statement_timeout');
    old_lock_timeout constant text := current_setting('lock_timeout');
    new_role constant text := candhook.handler_role();
    until constant timestamptz := clock_timestamp() + least(interval '500 milliseconds',
                                                            nullif(old_statement_timeout::interval, '0') / 2);
    call text;
    deferrable_exist boolean;
    restore text;
    events uuid[]; -- to be handled,
    tokens text[]; -- with these bot tokens,
    places tid[]; -- where their deliveries lie,
    target text; -- by this function
    done integer := 0; -- how many had their turn
    calls refcursor; -- calls the handler for the next one at each fetch
    last integer := 0; -- which is the last one in it
    ahead integer := 1000000; -- how many the next cursor gets at most
    opening boolean;
    may boolean;
    there boolean;
    dropped boolean := false;
    said text;
    word text;
    began timestamptz;
    ran uuid[] := '{}';
    rows tid[] := '{}';
    words text[] := '{}';
    details text[] := '{}';
    starts timestamptz[] := '{}';
    ends timestamptz[] := '{}';
begin
    -- Where nothing can be deferred, as in most databases, the two statements about it would cost each event a seventh of
    -- its time; the schema's own trigger on tokens can wait for the commit. What a transaction begins with as immediate
    -- although it could be deferred is rarer still.
    deferrable_exist := exists (select from pg_catalog.pg_constraint c
                                 where c.condeferrable
                                   and (c.conrelid, c.conname) <> ('candhook.bot_token'::regclass, 'bot_token_stored'));
    if deferrable_exist then
        select string_agg(distinct format('%I.%I', n.nspname, c.conname), ', ') into restore
          from pg_catalog.pg_constraint c
          join pg_catalog.pg_namespace n on n.oid = c.connamespace
         where c.condeferrable and not c.condeferred;
    end if;

    -- More batches of it run than its concurrency allows: not now, and nothing is counted. Without a lease it is still
    -- claim that holds the place.
    if lease is not null and not candhook.place(run_sql.lease) then
        perform candhook.give_back(run_sql.lease);
        return;
    end if;

    select l.events, l.tokens, l.rows, l.target into events, tokens, places, target
      from candhook.leased(run_sql.lease, ids, run_sql.handler, batch) l;
    select format('select e.event is distinct from null, '
                  'case when e.event is distinct from null then %I.%I(e.event, e.bot_token) end '
                  'from candhook.leased_events($1, $2) e', n.nspname, p.proname),
           new_role = old_role or (has_schema_privilege(new_role, n.oid, 'usage')
                                   and has_function_privilege(new_role, p.oid, 'execute'))
      into call, may
      from pg_catalog.pg_proc p
      join pg_catalog.pg_namespace n on n.oid = p.pronamespace
     where p.oid = pg_catalog.to_regprocedure(target);

    began := clock_timestamp();
    while done < cardinality(events) loop
        exit when cardinality(ran) > 0 and began > until;
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
                open calls for execute call using events[done + 1 : done + ahead], tokens[done + 1 : done + ahead];
                last := least(done + ahead, cardinality(events));
                ahead := 2 * ahead;
            end if;
            if current_setting('role') <> new_role then
                perform set_config('role', new_role, true);
            end if;
            fetch calls into there, said;
            if not found then
                raise exception 'leased_events gave too few events';
            end if;
            if deferrable_exist then
                set constraints all immediate;
            end if;
            word := 'ok';
        exception
            when others or assert_failure then
                said := format('%s (%s)', sqlerrm, sqlstate);
                word := 'retry';
                there := true;
                -- The cursor is gone with what it was opened in, or has failed.
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

        if current_setting('search_path') <> old_path then
            perform set_config('search_path', old_path, false);
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
        ran := array_append(ran, events[done]);
        rows := array_append(rows, places[done]);
        words := array_append(words, word);
        details := array_append(details, case when said is not null
                                              then left(candhook.masked(said, tokens[done]), 4000) end);
        starts := array_append(starts, began);
        began := clock_timestamp();
        ends := array_append(ends, began);
    end loop;
    if calls is not null then
        close calls;
    end if;
    -- Not only for this transaction: a handler may have said `set role`, which would outlive it.
    perform set_config('role', old_role, false);
    -- If a handler stored a token: before finish, which may share the lock that this takes alone.
    set constraints candhook.bot_token_stored immediate;
    if dropped then
        perform candhook.settle_missing(events[1 : done], places[1 : done]);
    end if;

    return query
    select f.event_id, f.result, f.detail
      from candhook.finish(run_sql.lease, ran, words, details, starts, ends, handler => run_sql.handler,
                           rows => rows) f
     order by f.event_id;
    if ids is null then
        perform candhook.give_back(run_sql.lease);
    end if;
end
$$;
comment on function candhook.run_sql(bigint, uuid[], text, integer) is
    'runs the leased deliveries of an sql handler in this transaction (with `ids`, only these events; without a lease, up to '
    '`batch` that are due, from the one in `ids` on, which this transaction claimed with only_lock) and records what came of '
    'each';
