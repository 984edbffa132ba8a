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
    'What came of events, newest first: a row for each outcome, and one for each delivery that is not finished. '
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
    'ok, retry, failed, unhandled: an outcome. waiting, running, held (for a bot token): a delivery that is not '
    'finished';
comment on column candhook.recent.attempt is '1 for the first';
comment on column candhook.recent.took is 'how long the attempt took';
comment on column candhook.recent.detail is 'what the handler said, the error, or what a delivery waits for';

create or replace view candhook.held as
select d.received_at, d.event_id, d.handler, d.origin_community_id, d.attempt, d.due_at as looked_at_again
  from candhook.delivery d
 where d.held
 order by d.received_at, d.event_id;

comment on view candhook.held is
    'Deliveries that wait for a bot token of their origin community; storing it releases them.';
comment on column candhook.held.received_at is 'when the event arrived';
comment on column candhook.held.event_id is 'event.id';
comment on column candhook.held.handler is 'handler.name';
comment on column candhook.held.origin_community_id is
    'whose token is missing; null: the event names no origin community, so none can come';
comment on column candhook.held.attempt is 'attempts so far';
comment on column candhook.held.looked_at_again is
    'when it is looked at in any case; a stored token does not wait for that';

create or replace view candhook.bot_token_masked as
select t.origin_community_id,
       case when length(t.token) >= 16 then left(t.token, 4) else '' end || '…' as token,
       t.valid,
       t.stored_at
  from candhook.bot_token t
 order by t.origin_community_id;

comment on view candhook.bot_token_masked is 'Which communities have a bot token; shows no token.';
comment on column candhook.bot_token_masked.origin_community_id is 'id of the origin (hub) community';
comment on column candhook.bot_token_masked.token is 'the first four characters of a long one';
comment on column candhook.bot_token_masked.valid is 'false once the API has refused it';
comment on column candhook.bot_token_masked.stored_at is 'when it was stored';

-- A statement's parameters may stand in the server's log; what is copied does not.
create or replace view candhook.bot_token_entry as
select t.origin_community_id, t.token from candhook.bot_token t where false;

comment on view candhook.bot_token_entry is
    'Always empty; what is inserted is stored as bot token. `candhook token set` copies into it, since the server logs no copied data.';
comment on column candhook.bot_token_entry.origin_community_id is 'the origin community';
comment on column candhook.bot_token_entry.token is 'its bot token';

create or replace trigger bot_token_entered
    instead of insert on candhook.bot_token_entry
    for each row execute function candhook.bot_token_entered();
comment on trigger bot_token_entered on candhook.bot_token_entry is 'stores the token';
