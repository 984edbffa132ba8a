create or replace function candhook_internal.claim(worker text, batch integer, kinds text[] default '{sql,c,exec,http}',
                                                   busy text[] default '{}')
returns table (lease bigint, handler text, kind text, target text, timeout_ms integer, concurrency integer,
               event_id uuid, attempt integer, bot_token text, token_stored_at text,
               received_at text, module text, type text, origin_community_id text, user_id text, community_id text,
               profile_id text, payload text, body text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
-- Leases up to `batch` due deliveries of one handler. It is the one with the oldest due delivery among the enabled
-- handlers of these kinds that are not named in `busy`. The caller commits before it runs anything, so the attempt is
-- counted whatever happens. A lease lasts 15 seconds (renew extends it); then its deliveries are due again, and the
-- next claim records the attempt as lost.
--
-- A claim of another kind gives up to 8 MiB of text, since the caller holds all of it until each attempt has ended, but one
-- delivery at least. The others go back uncounted. payload is null except for kind c, which alone is handed it apart.
--
-- Only the beginning of the index (handler, due_at) is read for each handler, and the first delivery of each key of an
-- ordered one. So it does not matter how many deliveries are due later, are held, or belong to a disabled handler.
-- Deliveries whose bot token is missing are held on the way, and the search continues with the next handler, at most 32
-- rounds, so that no handler starves. When nothing is returned, due_in tells how long to wait.
declare
    right_now timestamptz;
    best record;
    lost boolean;
    chosen candhook.handler;
    tried text[] := busy;
    newly_held integer := 0;
    number bigint; -- of the lease
    taken uuid[];
    attempts integer[];
    communities text[];
    ready uuid[];
    given uuid[];
    bytes bigint; -- of `given`
    room constant bigint := 8388608;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'candhook_internal.claim needs the isolation level read committed'
            using errcode = 'invalid_transaction_state', detail = 'It must see tokens that are committed after it has locked.';
    end if;

    for round in 1 .. 32 loop
        right_now := clock_timestamp();
        select h as handler, oldest.due_at, oldest.lost into best
          from candhook.handler h
         cross join lateral (
               (select d.due_at, d.lease is not null as lost from candhook.delivery d
                 where h.ordered_by = 'none' and d.handler = h.name and d.due_at <= right_now
                 order by d.due_at limit 1)
               union all
               (select d.due_at, d.lost from candhook_internal.heads(h.name) d
                 where h.ordered_by <> 'none' and d.due_at <= right_now
                 order by d.due_at limit 1)) oldest
         where h.enabled and h.kind = any (kinds) and h.name <> all (tried)
         order by oldest.due_at
         limit 1;
        if not found then
            exit when newly_held = 0;
            newly_held := 0;
            tried := busy;
            continue;
        end if;
        chosen := best.handler;
        tried := tried || chosen.name;

        -- One claim of an ordered handler at a time, since two could begin different events of one key. And no claim of
        -- a handler whose slots are all taken, since run_sql could not run it.
        continue when chosen.ordered_by <> 'none'
                      and not pg_try_advisory_xact_lock(hashtext('candhook.claim'), hashtext(chosen.name));
        continue when chosen.kind = 'sql' and not candhook_internal.take_slot(chosen.name, coalesce(chosen.concurrency, 1));

        -- A delivery of kind sql whose attempt was lost is leased alone: if it crashes the server, it must not use up
        -- the attempts of a whole batch. (Other kinds run in processes of their own.) If all of the oldest sort (lost
        -- or not) are locked, by a run that takes longer than its lease, the other sort is tried, or the handler would
        -- wait for that run.
        foreach lost in array array[best.lost, not best.lost] loop
            number := candhook_internal.new_lease();
            select * into taken, attempts, communities
              from candhook_internal.take_due(chosen, number, claim.worker,
                                              case when chosen.kind = 'sql' and lost then 1 else batch end,
                                              case when chosen.kind = 'sql' then lost end, best.due_at, right_now);
            exit when taken <> '{}' or chosen.kind <> 'sql';
        end loop;
        if chosen.needs_token then
            ready := candhook_internal.hold(chosen.name, taken, communities);
            if cardinality(ready) < cardinality(taken) then
                newly_held := newly_held + cardinality(taken) - cardinality(ready);
                select coalesce(array_agg(t.id), '{}'), array_agg(t.attempt) into taken, attempts
                  from unnest(taken, attempts) as t (id, attempt)
                 where t.id = any (ready);
            end if;
        end if;
        continue when taken = '{}';

        given := '{}';
        bytes := 0;
        for lease, handler, kind, target, timeout_ms, concurrency, event_id, attempt, bot_token, token_stored_at, received_at,
            module, type, origin_community_id, user_id, community_id, profile_id, payload, body in
        select number, chosen.name, chosen.kind, chosen.target, (extract(epoch from chosen.timeout) * 1000)::integer,
               coalesce(chosen.concurrency, case chosen.kind when 'http' then 16 else 4 end),
               r.id, r.attempt, x.*
          from unnest(taken, attempts) as r (id, attempt)
          left join lateral (
               select t.token, to_char(t.stored_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                      to_char(e.received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), e.module, e.type,
                      e.origin_community_id, e.user_id, e.community_id, e.profile_id,
                      case when chosen.kind = 'c' then e.payload::text end,
                      candhook.body(e)::text
                 from candhook.event e
                 left join candhook.bot_token t
                   on chosen.needs_token and t.valid and t.origin_community_id = e.origin_community_id
                where chosen.kind <> 'sql' and e.received_at = candhook.received_at(r.id) and e.id = r.id
                limit 1) x on true
           -- If the token has gone since hold looked for it: the handler must not get null, so the lease runs out.
         where chosen.kind = 'sql' or not chosen.needs_token or x.token is not null
         order by r.id -- a UUIDv7 begins with the time of receipt
        loop
            bytes := bytes + coalesce(octet_length(payload), 0) + coalesce(octet_length(body), 0);
            exit when bytes > room and given <> '{}';
            given := given || event_id;
            return next;
        end loop;
        if bytes > room and cardinality(given) < cardinality(taken) then
            perform candhook_internal.give_back(number, array(select t.id from unnest(taken) as t (id) where t.id <> all (given)));
        end if;
        exit when given <> '{}';
    end loop;

    -- A claim that a crash of the server loses is made again, so its commit need not wait for the disk. finish waits.
    perform set_config('synchronous_commit', 'off', true);
end
$$;
comment on function candhook_internal.claim(text, integer, text[], text[]) is
    'leases up to `batch` due deliveries of one handler of these kinds for 15 seconds and counts the attempt; for '
    'kind sql all columns after attempt are null, since run_sql reads them; payload for kind c only; timeout_ms in '
    'milliseconds, times as RFC 3339 in UTC';
