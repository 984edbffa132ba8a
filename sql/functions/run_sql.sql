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
-- Each event has a subtransaction, so one that fails takes nothing along. Deferred constraints are checked within it,
-- for at the commit it would be too late; then their modes are put back for the next event. An error that cannot be
-- caught (statement_timeout) hits the whole call: the caller then goes on with one event a transaction.
--
-- After half a second the rest of the batch is given back uncounted: claim knows no handler's pace, and others wait.
-- What is not leased is so by itself.
--
-- Invoker's rights and the session's search_path, since this calls functions of users; they run as handler_role().
-- What they may have set is put back after each: role, search_path and time limits.
declare
    old_role constant text := current_setting('role');
    old_path constant text := current_setting('search_path');
    old_statement_timeout constant text := current_setting('statement_timeout');
    old_lock_timeout constant text := current_setting('lock_timeout');
    new_role constant text := candhook.handler_role();
    until constant timestamptz := clock_timestamp() + interval '500 milliseconds';
    call text;
    deferrable_exist boolean;
    restore text;
    job record;
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
    -- its time. What a transaction begins with as immediate although it could be deferred is rarer still.
    select count(*) > 0, string_agg(distinct format('%I.%I', n.nspname, c.conname), ', ') filter (where not c.condeferred)
      into deferrable_exist, restore
      from pg_catalog.pg_constraint c
      join pg_catalog.pg_namespace n on n.oid = c.connamespace
     where c.condeferrable;

    -- More batches of it run than its concurrency allows: not now, and nothing is counted. Without a lease it is still
    -- claim that holds the place.
    if not candhook.place(run_sql.lease) then
        perform candhook.give_back(run_sql.lease);
        return;
    end if;

    for job in select * from candhook.leased(run_sql.lease, ids, run_sql.handler, batch) loop
        exit when cardinality(ran) > 0 and clock_timestamp() > until;
        if call is null then
            select format('select %I.%I($1, $2)', n.nspname, p.proname) into call
              from pg_catalog.pg_proc p
              join pg_catalog.pg_namespace n on n.oid = p.pronamespace
             where p.oid = pg_catalog.to_regprocedure(job.target);
        end if;
        if current_setting('role') <> new_role then
            perform set_config('role', new_role, true);
        end if;

        began := clock_timestamp();
        begin
            if call is null then
                raise exception 'there is no function % any more', job.target using errcode = 'undefined_function';
            end if;
            execute call into said using job.event, job.bot_token;
            if deferrable_exist then
                set constraints all immediate;
            end if;
            word := 'ok';
        exception
            when others or assert_failure then
                said := format('%s (%s)', sqlerrm, sqlstate);
                word := 'retry';
        end;
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

        ran := array_append(ran, (job.event).id);
        rows := array_append(rows, job.place);
        words := array_append(words, word);
        details := array_append(details, left(candhook.masked(said, job.bot_token), 4000));
        starts := array_append(starts, began);
        ends := array_append(ends, clock_timestamp());
    end loop;
    -- Not only for this transaction: a handler may have said `set role`, which would outlive it.
    perform set_config('role', old_role, false);

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
