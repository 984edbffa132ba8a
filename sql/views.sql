-- Views for people.

create or replace view candhook.recent as
select e.received_at,
       e.module || ':' || e.type as event,
       e.id as event_id,
       e.origin_community_id,
       e.community_id,
       e.user_id,
       e.profile_id,
       r.handler,
       r.result,
       r.attempt,
       r.took,
       r.detail
  from candhook.event e
 cross join lateral (
       select o.handler, o.result, o.attempt, o.finished_at - o.started_at as took, o.detail, o.finished_at as since
         from candhook.outcome o
        where o.received_at = e.received_at and o.event_id = e.id
       union all
       select d.handler,
              case when d.held then 'held'
                   when d.lease is not null and d.due_at > clock_timestamp() then 'running'
                   else 'waiting' end,
              d.attempt,
              null,
              case when d.held then 'there is no valid bot token of '
                                    || coalesce(d.origin_community_id, 'an event without origin community')
                   when not h.enabled then 'the handler is disabled'
                   when d.lease is null and d.due_at > clock_timestamp()
                   then 'to be tried again in ' || date_trunc('second', d.due_at - clock_timestamp()) end,
              'infinity'
         from candhook.delivery d
         left join candhook.handler h on h.name = d.handler
        where d.received_at = e.received_at and d.event_id = e.id) r
 order by e.received_at desc, e.id desc, r.since desc, r.handler, r.attempt desc;

comment on view candhook.recent is
    'Events and their outcomes, newest first: a row for each outcome and for each unfinished delivery. '
    'Try: select * from candhook.recent limit 20';
comment on column candhook.recent.received_at is 'when the event arrived';
comment on column candhook.recent.event is 'module:type';
comment on column candhook.recent.event_id is 'event.id';
comment on column candhook.recent.origin_community_id is 'the origin (hub) community';
comment on column candhook.recent.community_id is 'the community in which it occurred';
comment on column candhook.recent.user_id is 'the user in the origin community';
comment on column candhook.recent.profile_id is 'the user in the community who caused it';
comment on column candhook.recent.handler is 'handler.name; empty for result unhandled';
comment on column candhook.recent.result is
    'ok, retry, failed, unhandled: an outcome. waiting, running, held (for a bot token): an unfinished delivery';
comment on column candhook.recent.attempt is '1 for the first';
comment on column candhook.recent.took is 'how long the attempt took';
comment on column candhook.recent.detail is 'what the handler said, the error, or what a delivery waits for';

create or replace view candhook.held as
select d.received_at, d.event_id, d.handler, d.origin_community_id, d.attempt, d.due_at as checked_again_at
  from candhook.delivery d
 where d.held
 order by d.received_at, d.event_id;

comment on view candhook.held is
    'Deliveries that wait for a bot token of their origin community; storing it releases them.';
comment on column candhook.held.received_at is 'when the event arrived';
comment on column candhook.held.event_id is 'event.id';
comment on column candhook.held.handler is 'handler.name';
comment on column candhook.held.origin_community_id is
    'community whose token is missing; null: the event names no origin community, so it can have none';
comment on column candhook.held.attempt is 'attempts so far';
comment on column candhook.held.checked_again_at is
    'when the token is looked for again; a token that is stored releases the delivery at once';

create or replace view candhook.bot_token_masked as
select t.origin_community_id,
       case when length(t.token) >= 16 then left(t.token, 4) else '' end || '…' as token,
       t.valid,
       t.stored_at,
       t.ended,
       t.how,
       t.expires_at,
       t.scopes
  from candhook.bot_token t
 order by t.origin_community_id;

comment on view candhook.bot_token_masked is 'Which communities have a bot token; shows no token.';
comment on column candhook.bot_token_masked.origin_community_id is 'id of the origin (hub) community';
comment on column candhook.bot_token_masked.token is 'the first four characters of a long one';
comment on column candhook.bot_token_masked.valid is 'false once it was refused or revoked, or has expired';
comment on column candhook.bot_token_masked.stored_at is 'when it was stored';
comment on column candhook.bot_token_masked.ended is
    'why it is not valid: refused (by the API), revoked (by a person), expired; null while it is valid';
comment on column candhook.bot_token_masked.how is 'how it was stored: psql, command (candhook token set), install, console; null: unknown';
comment on column candhook.bot_token_masked.expires_at is 'when it expires; null: unknown, or never';
comment on column candhook.bot_token_masked.scopes is 'the OAuth2 scopes that it was granted; null: unknown';

-- The server may log a statement with its parameters, but never the data of a copy.
create or replace view candhook_internal.bot_token_entry as
select t.origin_community_id, t.token, t.scopes, t.expires_at, t.how from candhook.bot_token t where false;

comment on view candhook_internal.bot_token_entry is
    'Always empty. A row that is inserted is stored as bot token. `candhook token set` copies into it, since the '
    'server does not log copied data.';
comment on column candhook_internal.bot_token_entry.origin_community_id is 'the origin community';
comment on column candhook_internal.bot_token_entry.token is 'its bot token';
comment on column candhook_internal.bot_token_entry.scopes is 'the scopes that it was granted; null: unknown';
comment on column candhook_internal.bot_token_entry.expires_at is 'when it expires; null: unknown, or never';
comment on column candhook_internal.bot_token_entry.how is 'how it is stored: command, also when null; install; console';

create or replace trigger bot_token_entered
    instead of insert on candhook_internal.bot_token_entry
    for each row execute function candhook_internal.bot_token_entered();
comment on trigger bot_token_entered on candhook_internal.bot_token_entry is 'stores the token';

create or replace view candhook.failed as
select o.finished_at,
       o.handler,
       e.module || ':' || e.type as event,
       o.event_id,
       o.received_at,
       e.origin_community_id,
       o.attempt as attempts,
       o.detail
  from candhook.outcome o
  left join candhook.event e on e.received_at = o.received_at and e.id = o.event_id
 where o.result = 'failed'
   and not exists (select from candhook.outcome later
                    where later.received_at = o.received_at and later.event_id = o.event_id
                      and later.handler = o.handler and later.attempt > o.attempt)
   and not exists (select from candhook.delivery d
                    where d.received_at = o.received_at and d.event_id = o.event_id and d.handler = o.handler)
 order by o.finished_at desc;

comment on view candhook.failed is
    'Deliveries that failed for good and were not retried since, newest first. candhook.retry_failed() retries them, '
    'candhook.replay(EVENT) one event.';
comment on column candhook.failed.finished_at is 'when the last attempt ended';
comment on column candhook.failed.handler is 'the handler''s name at that time';
comment on column candhook.failed.event is 'module:type; null when the event''s month has been dropped';
comment on column candhook.failed.event_id is 'event.id';
comment on column candhook.failed.received_at is 'when the event arrived';
comment on column candhook.failed.origin_community_id is 'the origin (hub) community';
comment on column candhook.failed.attempts is 'number of attempts, those of all replays together';
comment on column candhook.failed.detail is 'what the handler said last, the error, or who gave it up';

create or replace view candhook.due as
select d.handler,
       e.module || ':' || e.type as event,
       d.event_id,
       d.received_at,
       d.origin_community_id,
       d.attempt,
       d.lease is not null and d.due_at > clock_timestamp() as running,
       case when d.lease is null or d.due_at <= clock_timestamp() then d.due_at end as due_since,
       d.worker
  from candhook.delivery d
  left join candhook.event e on e.received_at = d.received_at and e.id = d.event_id
  left join candhook.handler h on h.name = d.handler
 where (h.enabled and d.due_at <= clock_timestamp())
    or (d.lease is not null and d.due_at > clock_timestamp())
 order by d.due_at, d.received_at, d.event_id;

comment on view candhook.due is
    'Deliveries of enabled handlers that run or are due. One that stays here for long waits for a worker, for a slot '
    '(handler.concurrency), or for the delivery before it (handler.ordered_by).';
comment on column candhook.due.handler is 'handler.name';
comment on column candhook.due.event is 'module:type';
comment on column candhook.due.event_id is 'event.id';
comment on column candhook.due.received_at is 'when the event arrived';
comment on column candhook.due.origin_community_id is 'the origin (hub) community';
comment on column candhook.due.attempt is 'number of the running attempt, else of the last one; 0 before the first';
comment on column candhook.due.running is 'whether a worker has leased it';
comment on column candhook.due.due_since is 'since when it is due; null while it runs';
comment on column candhook.due.worker is
    'the worker that holds the lease, or held it when it ran out; null without a lease';

create or replace view candhook.unhandled_types as
select e.module, e.type, count(*) as events, min(o.received_at) as first_at, max(o.received_at) as last_at
  from candhook.outcome o
  join candhook.event e on e.received_at = o.received_at and e.id = o.event_id
 where o.result = 'unhandled'
 group by e.module, e.type
having not exists (select from candhook.handler h
                    where h.enabled and candhook_internal.matches(h.module, e.module)
                       and candhook_internal.matches(h.type, e.type))
 order by count(*) desc, e.module, e.type;

comment on view candhook.unhandled_types is
    'Types of events that no handler matched, most frequent first, without those that an enabled handler matches by '
    'now (candhook.replay gives it the earlier ones). Reads all outcomes.';
comment on column candhook.unhandled_types.module is 'event.module';
comment on column candhook.unhandled_types.type is 'event.type';
comment on column candhook.unhandled_types.events is 'number of events that had no handler';
comment on column candhook.unhandled_types.first_at is 'when the first of them arrived';
comment on column candhook.unhandled_types.last_at is 'when the last of them arrived';

-- The last day is counted in one pass. For a handler without a success in it, an earlier one is searched in steps, each
-- twice as far back; the search ends where the handler was made, or after 32 days. The BRIN index outcome_finished
-- finds the outcomes of a time, so older blocks are not read.
create or replace view candhook.handler_health as
with day as materialized (
    select o.handler,
           max(o.finished_at) filter (where o.result = 'ok') as last_ok,
           count(*) filter (where o.result = 'ok') as ok_24h,
           count(*) filter (where o.result = 'failed') as failed_24h,
           count(*) filter (where o.result = 'retry') as retry_24h,
           count(*) filter (where o.result = 'ok' and o.finished_at >= now() - interval '1 hour') as ok_1h,
           count(*) filter (where o.result = 'failed' and o.finished_at >= now() - interval '1 hour') as failed_1h,
           count(*) filter (where o.result = 'retry' and o.finished_at >= now() - interval '1 hour') as retry_1h
      from candhook.outcome o
     where o.finished_at >= now() - interval '1 day'
     group by o.handler
), waiting as materialized (
    select d.handler, count(*) as unfinished, count(*) filter (where d.held) as held, min(d.received_at) as oldest
      from candhook.delivery d
     group by d.handler
)
select h.name as handler,
       h.enabled,
       coalesce(day.last_ok, before.last_ok) as last_ok,
       failure.last_failed,
       coalesce(day.ok_1h, 0) as ok_1h,
       coalesce(day.failed_1h, 0) as failed_1h,
       coalesce(day.retry_1h, 0) as retry_1h,
       coalesce(day.ok_24h, 0) as ok_24h,
       coalesce(day.failed_24h, 0) as failed_24h,
       coalesce(day.retry_24h, 0) as retry_24h,
       coalesce(waiting.unfinished, 0) as unfinished,
       coalesce(waiting.held, 0) as held,
       now() - waiting.oldest as oldest_unfinished_age
  from candhook.handler h
  left join day on day.handler = h.name
  left join waiting on waiting.handler = h.name
  left join lateral (
       select o.finished_at as last_failed
         from candhook.outcome o
        where o.handler = h.name and o.result = 'failed'
        order by o.finished_at desc
        limit 1) failure on true
  left join lateral (
       select o.last_ok
         from (select days from unnest(array[1, 2, 4, 8, 16]) days order by days) step
        cross join lateral (
              select max(o.finished_at) as last_ok
                from candhook.outcome o
               where o.handler = h.name and o.result = 'ok'
                 and o.finished_at < now() - step.days * interval '1 day'
                 and o.finished_at >= now() - 2 * step.days * interval '1 day') o
        where day.last_ok is null and h.created_at < now() - step.days * interval '1 day' and o.last_ok is not null
        order by step.days
        limit 1) before on true
 order by h.name;

comment on view candhook.handler_health is 'Counts, last success and backlog of each handler.';
comment on column candhook.handler_health.handler is 'handler.name';
comment on column candhook.handler_health.enabled is 'false: paused';
comment on column candhook.handler_health.last_ok is 'when an attempt last ended ok; null: not in the last 32 days';
comment on column candhook.handler_health.last_failed is 'when a delivery last failed for good';
comment on column candhook.handler_health.ok_1h is 'attempts of the last hour that ended ok';
comment on column candhook.handler_health.failed_1h is 'deliveries that failed for good in the last hour';
comment on column candhook.handler_health.retry_1h is 'attempts of the last hour that a retry followed or will follow';
comment on column candhook.handler_health.ok_24h is 'attempts of the last day that ended ok';
comment on column candhook.handler_health.failed_24h is 'deliveries that failed for good in the last day';
comment on column candhook.handler_health.retry_24h is 'attempts of the last day that a retry followed or will follow';
comment on column candhook.handler_health.unfinished is 'unfinished deliveries: waiting, held or running';
comment on column candhook.handler_health.held is 'of these, the ones that wait for a bot token';
comment on column candhook.handler_health.oldest_unfinished_age is
    'age of the oldest event that is unfinished';
