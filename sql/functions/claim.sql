create or replace function candhook.claim(worker text, batch integer, kinds text[] default '{sql,c,exec,http}',
                                          busy text[] default '{}', only_lock boolean default false)
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
-- Leases up to `batch` due deliveries of one handler: of the enabled ones of these kinds that are not named in `busy`,
-- the one whose oldest due delivery is oldest. The caller commits before it runs anything, so the attempt is counted
-- whatever happens. A lease lasts 15 seconds (renew); then its deliveries are due again by themselves, and whoever
-- claims them records the attempt as lost.
--
-- With `only_lock`, what can be is not leased but only locked, which costs far less: deliveries of an unordered sql
-- handler whose last attempt was not lost. Here it is one of them, the first, whose `lease` and `attempt` are null; run_sql,
-- called without a lease in the same transaction, locks and runs a batch from there on. Should that come to nothing they
-- are due as before, and nothing is counted: so who was disappointed claims with leases.
--
-- Only the ends of the index (handler, due_at) are looked at, so it does not matter how much waits for later, for a
-- token or for a handler that is disabled; of an ordered handler, the first delivery of each key. What lacks its token
-- is parked on the way, and the search goes on: in turn with other handlers, a bounded number of times, so that neither
-- starves. Nothing returned means: ask due_in.
declare
    right_now timestamptz;
    best record;
    lost boolean;
    chosen candhook.handler;
    tried text[] := busy;
    parked integer := 0;
    number bigint; -- null: they are only locked
    taken uuid[];
    attempts integer[]; -- theirs
    communities text[];
    ready uuid[];
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'candhook.claim needs the isolation level read committed'
            using errcode = 'invalid_transaction_state', detail = 'It must see tokens that are newer than its locks.';
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
               (select d.due_at, d.lost from candhook.heads(h.name) d
                 where h.ordered_by <> 'none' and d.due_at <= right_now
                 order by d.due_at limit 1)) oldest
         where h.enabled and h.kind = any (kinds) and h.name <> all (tried)
         order by oldest.due_at
         limit 1;
        if not found then
            exit when parked = 0;
            parked := 0;
            tried := busy;
            continue;
        end if;
        chosen := best.handler;
        tried := tried || chosen.name;

        -- One claim of an ordered handler at a time: two could begin different events of a key. And no batch that run_sql
        -- would find no place for.
        continue when chosen.ordered_by <> 'none'
                      and not pg_try_advisory_xact_lock(hashtext('candhook.claim'), hashtext(chosen.name));
        continue when chosen.kind = 'sql' and not candhook.slot(chosen.name, chosen.concurrency);

        -- What was lost with its whole batch is taken alone the next time: one that brings the server down must not take
        -- the others along until their attempts are used up. Other kinds run in processes of their own. Where something was
        -- parked, the next that is locked may lack its token, too. And what is oldest may be locked, by a run that takes
        -- longer than its lease: then those that are not of its sort have their turn.
        foreach lost in array array[best.lost, not best.lost] loop
            number := case when not (only_lock and chosen.kind = 'sql' and chosen.ordered_by = 'none' and not lost)
                           then nextval('candhook.lease') end;
            select * into taken, attempts, communities
              from candhook.take(chosen, number, claim.worker,
                                 case when chosen.kind = 'sql' and (lost or number is null and parked = 0) then 1 else batch end,
                                 case when chosen.kind = 'sql' then lost end, best.due_at, right_now);
            exit when taken <> '{}' or chosen.kind <> 'sql';
        end loop;
        if chosen.needs_token then
            ready := candhook.park(chosen.name, taken, communities);
            if cardinality(ready) < cardinality(taken) then
                parked := parked + cardinality(taken) - cardinality(ready);
                select coalesce(array_agg(t.id), '{}'), array_agg(t.attempt) into taken, attempts
                  from unnest(taken, attempts) as t (id, attempt)
                 where t.id = any (ready);
            end if;
        end if;
        continue when taken = '{}';

        return query
        select number, chosen.name, chosen.kind, chosen.target, (extract(epoch from chosen.timeout) * 1000)::integer,
               coalesce(chosen.concurrency, case chosen.kind when 'http' then 16 else 4 end),
               r.id, case when number is not null then r.attempt end, x.*
          from unnest(taken, attempts) as r (id, attempt)
          left join lateral (
               select t.token, to_char(t.stored_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                      to_char(e.received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), e.module, e.type,
                      e.origin_community_id, e.user_id, e.community_id, e.profile_id, e.payload::text,
                      candhook.body(e)::text
                 from candhook.event e
                 left join candhook.bot_token t
                   on chosen.needs_token and t.valid and t.origin_community_id = e.origin_community_id
                where chosen.kind <> 'sql' and e.received_at = candhook.received_at(r.id) and e.id = r.id
                limit 1) x on true
           -- A token that went since park looked: the handler must not get null, so the lease runs out.
         where chosen.kind = 'sql' or not chosen.needs_token or x.token is not null
         order by r.id -- which begins with the time of receipt
         limit case when number is null then 1 end;
        exit when found;
    end loop;

    -- A claim that a crash of the server forgets is made again; what the attempt leads to waits for the disk itself.
    if number is not null then
        perform set_config('synchronous_commit', 'off', true);
    end if;
end
$$;
comment on function candhook.claim(text, integer, text[], text[], boolean) is
    'leases up to `batch` due deliveries of one handler of these kinds for 15 seconds and counts the attempt; for kind '
    'sql everything after attempt is null, since run_sql looks it up; with only_lock the first one of an unordered sql handler is '
    'locked and not counted, and its lease and attempt are null; timeout_ms in milliseconds, times as RFC 3339 in UTC';
