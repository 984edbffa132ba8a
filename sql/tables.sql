-- Tables. received_at is the time in the id (UUIDv7), so a body has the same key however often it is recorded. event,
-- outcome and malformed are partitioned by month of receipt (UTC), so that an old month can be dropped whole. For the
-- same reason no foreign key refers to them. candhook_internal.maintain makes the partitions, in candhook_internal.

create table if not exists candhook.event (
    id uuid not null,
    received_at timestamptz not null,
    module text not null,
    type text not null,
    origin_community_id text,
    user_id text,
    community_id text,
    profile_id text,
    payload jsonb not null,
    extra jsonb,
    constraint event_pkey primary key (received_at, id),
    constraint event_module_length check (octet_length(module) between 1 and 255),
    constraint event_type_length check (octet_length(type) between 1 and 255),
    constraint event_origin_community_id_length check (octet_length(origin_community_id) <= 255),
    constraint event_user_id_length check (octet_length(user_id) <= 255),
    constraint event_community_id_length check (octet_length(community_id) <= 255),
    constraint event_profile_id_length check (octet_length(profile_id) <= 255),
    constraint event_payload_object check (jsonb_typeof(payload) = 'object'),
    constraint event_extra_object check (jsonb_typeof(extra) = 'object')
) partition by range (received_at);

comment on table candhook.event is
    'Every event that was received, once. candhook.body(event) gives it back as it was sent. To find one by its id: '
    'where received_at = candhook.received_at(ID) and id = ID. Partitioned by month of received_at (UTC).';
comment on column candhook.event.id is 'UUIDv7, made when the body arrived';
comment on column candhook.event.received_at is 'when the body arrived: the time in id, exact to the millisecond';
comment on column candhook.event.module is 'canD module, as MOIM; 1 to 255 bytes';
comment on column candhook.event.type is 'type of the event, as product.created; 1 to 255 bytes';
comment on column candhook.event.origin_community_id is
    'context.originCommunityId: the origin (hub) community, under which bot tokens are kept; null when missing or '
    'null';
comment on column candhook.event.user_id is
    'context.userId: the user in the origin community; null when missing or null';
comment on column candhook.event.community_id is
    'context.communityId: the community in which the event occurred; null when missing or null';
comment on column candhook.event.profile_id is
    'context.profileId: the user in that community who caused the event; null when missing or null';
comment on column candhook.event.payload is 'the object payload; numbers keep every digit';
comment on column candhook.event.extra is
    'members beyond the documented ones, and those of the context under the name context, with the ids that were sent '
    'as null; null when there are none, which is nearly always';

create table if not exists candhook.malformed (
    id uuid not null,
    received_at timestamptz not null,
    body bytea not null,
    reason text not null,
    constraint malformed_pkey primary key (received_at, id)
) partition by range (received_at);

comment on table candhook.malformed is
    'Bodies that were received with the right secret and are no event. An id is in event or here, never in both. '
    'Partitioned by month of received_at (UTC).';
comment on column candhook.malformed.id is 'UUIDv7, made when the body arrived';
comment on column candhook.malformed.received_at is 'when the body arrived: the time in id';
comment on column candhook.malformed.body is
    'every byte of it; convert_from(body, ''UTF8'') shows it when it is UTF-8';
comment on column candhook.malformed.reason is 'what is wrong with it, a line for people';

create table if not exists candhook.outcome (
    event_id uuid not null,
    received_at timestamptz not null,
    handler text not null,
    attempt integer not null,
    result text not null,
    detail text,
    started_at timestamptz,
    finished_at timestamptz not null,
    constraint outcome_pkey primary key (received_at, event_id, handler, attempt),
    constraint outcome_result_word check (result in ('ok', 'retry', 'failed', 'unhandled')),
    constraint outcome_unhandled check ((result = 'unhandled') = (handler = '')),
    constraint outcome_attempt_count check (attempt >= 0),
    constraint outcome_detail_length check (char_length(detail) <= 4000)
) partition by range (received_at);

-- For people's queries. Outcomes are inserted all day, so those that are no failure have only the key and a BRIN index.
create index if not exists outcome_finished on candhook.outcome using brin (finished_at)
    with (pages_per_range = 32, autosummarize = on);
create index if not exists outcome_failed on candhook.outcome (finished_at) where result = 'failed';
create index if not exists outcome_failed_handler on candhook.outcome (handler, finished_at) where result = 'failed';

comment on table candhook.outcome is
    'The outcome of each attempt: what a handler made of an event. Rows are never changed. Partitioned by month of '
    'received_at (UTC).';
comment on column candhook.outcome.event_id is 'event.id';
comment on column candhook.outcome.received_at is 'event.received_at: with event_id the key of the event';
comment on column candhook.outcome.handler is 'handler.name at that time; empty for result unhandled';
comment on column candhook.outcome.attempt is '1 for the first; 0 for result unhandled, since nothing was tried';
comment on column candhook.outcome.result is
    'ok: done. retry: will be tried again. failed: will not be tried again. unhandled: no handler matches the event';
comment on column candhook.outcome.detail is
    'what the handler said, or the error; at most 4000 characters; the bot token is replaced by [token]';
comment on column candhook.outcome.started_at is 'when the attempt began; null when the attempt was lost';
comment on column candhook.outcome.finished_at is 'when the attempt ended, or was found to be lost';

create table if not exists candhook.handler (
    name text not null,
    module text not null,
    type text not null,
    kind text not null,
    target text not null,
    needs_token boolean not null default false,
    timeout interval not null default '30 seconds',
    max_attempts integer not null default 8,
    first_delay interval not null default '10 seconds',
    backoff_factor double precision not null default 2,
    max_delay interval not null default '1 hour',
    jitter double precision not null default 0.5,
    concurrency integer,
    ordered_by text not null default 'none',
    enabled boolean not null default true,
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    constraint handler_pkey primary key (name),
    constraint handler_name_shape check (octet_length(name) between 1 and 255 and name !~ '[[:cntrl:]]'),
    constraint handler_module_pattern check (
        module = '*' or (octet_length(module) between 1 and 255 and strpos(module, '*') = 0)),
    constraint handler_type_pattern check (
        type = '*'
        or (octet_length(type) between 1 and 255 and strpos(regexp_replace(type, '([^*])[.][*]$', '\1'), '*') = 0)),
    constraint handler_kind_word check (kind in ('sql', 'c', 'exec', 'http')),
    constraint handler_target_shape check (
        case kind when 'c' then target ~ '^[A-Za-z0-9_+-][A-Za-z0-9_.+-]*[.]so(:[A-Za-z_][A-Za-z0-9_]*)?$'
                  when 'exec' then target ~ '^[A-Za-z0-9_+-][A-Za-z0-9_.+-]*(/[A-Za-z0-9_+-][A-Za-z0-9_.+-]*)*$'
                  when 'http' then target ~ '^https?://[^][@/?#[:space:][:cntrl:]]+(:[0-9]+)?([/?][^#[:space:][:cntrl:]]*)?$'
                                   or target ~ '^https?://[[][0-9A-Fa-f:.]+[]](:[0-9]+)?([/?][^#[:space:][:cntrl:]]*)?$'
                  else target <> '' end),
    constraint handler_timeout_range check (timeout between interval '10 milliseconds' and interval '1 day'),
    constraint handler_max_attempts_range check (max_attempts between 1 and 1000),
    constraint handler_first_delay_range check (first_delay between interval '0' and interval '30 days'),
    constraint handler_backoff_factor_range check (backoff_factor between 1 and 100),
    constraint handler_max_delay_range check (max_delay between interval '0' and interval '30 days'),
    constraint handler_jitter_range check (jitter between 0 and 1),
    constraint handler_concurrency_range check (concurrency between 1 and 1000),
    constraint handler_ordered_by_word check (ordered_by in ('none', 'community', 'payload id'))
);

comment on table candhook.handler is
    'What is done with events. People change it in psql; a change takes effect at the next event. Deleting a handler '
    'settles its deliveries as failed; while enabled is false they wait.';
comment on column candhook.handler.name is 'any name; it appears in outcome and in the log';
comment on column candhook.handler.module is 'events of this module: its exact name, or *; case-sensitive';
comment on column candhook.handler.type is
    'events of this type: exact (product.created), a beginning (product.*), or *; case-sensitive';
comment on column candhook.handler.kind is
    'sql: a function in this database. c: a function in a shared object in handler_dir. exec: a program in '
    'handler_dir. http: a POST to a URL';
comment on column candhook.handler.target is
    'sql: a function f(event candhook.event, bot_token text) returns text, given as welcome or app.welcome and stored '
    'as app.welcome(candhook.event,text). c: welcome.so:function, or welcome.so for the function candhook_handle. '
    'exec: welcome or folder/welcome. http: https://example.org/webhook, without user and password';
comment on column candhook.handler.needs_token is
    'whether the handler needs the bot token of the event''s origin community; without a valid one the delivery is '
    'held';
comment on column candhook.handler.timeout is 'time limit of one attempt; 10 ms to 1 day';
comment on column candhook.handler.max_attempts is 'number of attempts until the delivery has failed; 1 to 1000';
comment on column candhook.handler.first_delay is
    'delay between the first attempt and the second, before jitter; up to 30 days';
comment on column candhook.handler.backoff_factor is
    'factor by which each further delay grows; 1 to 100';
comment on column candhook.handler.max_delay is 'upper limit of a delay; up to 30 days';
comment on column candhook.handler.jitter is
    'random spread: a delay is multiplied by 1-jitter to 1+jitter, so that deliveries that failed together are not '
    'retried together; 0 to 1';
comment on column candhook.handler.concurrency is
    'concurrency limit: attempts that one worker runs at a time; for kind sql, batches that run at a time, on all hosts. '
    'null: 16 for http, 4 for exec and c; for sql one batch of deliveries, and first attempts in any number';
comment on column candhook.handler.ordered_by is
    'none: in any order. community, payload id: events of one origin community, or with one payload.id, strictly in '
    'the order of receipt: the next one begins when the one before is settled, ok or failed';
comment on column candhook.handler.enabled is 'false: its deliveries are recorded and wait';
comment on column candhook.handler.created_at is 'when the row was made';
comment on column candhook.handler.changed_at is 'when the row was last changed';

create table if not exists candhook.delivery (
    event_id uuid not null,
    received_at timestamptz not null,
    handler text not null,
    origin_community_id text,
    attempt integer not null default 0,
    failures integer not null default 0,
    order_key text,
    due_at timestamptz not null default now(),
    held boolean not null default false,
    lease bigint,
    worker text,
    constraint delivery_pkey primary key (received_at, event_id, handler),
    constraint delivery_attempt_count check (attempt >= 0),
    constraint delivery_failures_count check (failures between 0 and attempt),
    constraint delivery_order_key_length check (octet_length(order_key) <= 1020),
    constraint delivery_leased check ((lease is null) = (worker is null)),
    constraint delivery_held check (not (held and lease is not null))
) with (fillfactor = 80, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_threshold = 20000, autovacuum_analyze_scale_factor = 0);

create index if not exists delivery_due on candhook.delivery (handler, due_at);
create index if not exists delivery_lease on candhook.delivery (lease) where lease is not null;
create index if not exists delivery_order on candhook.delivery (handler, order_key, received_at, event_id)
    where order_key is not null;
create index if not exists delivery_held on candhook.delivery (origin_community_id) where held;

comment on table candhook.delivery is
    'Work left to do: an event and a handler that has not settled it. Not partitioned, since it stays small.';
comment on column candhook.delivery.event_id is 'event.id';
comment on column candhook.delivery.received_at is 'event.received_at: with event_id the key of the event';
comment on column candhook.delivery.handler is 'handler.name';
comment on column candhook.delivery.origin_community_id is 'event.origin_community_id: whose bot token it may need';
comment on column candhook.delivery.attempt is
    'number of the running attempt, else of the last one; 0 before the first. A replay continues the numbers';
comment on column candhook.delivery.failures is
    'attempts that failed or were lost and count against max_attempts: none of those before a replay, none whose '
    'token was refused';
comment on column candhook.delivery.order_key is
    'deliveries of a handler with the same order_key run one after the other, in the order of receipt; null: in any '
    'order';
comment on column candhook.delivery.due_at is 'when it may be claimed; while it is leased, when the lease ends';
comment on column candhook.delivery.held is
    'whether it waits because its handler needs a bot token and the community has no valid one';
comment on column candhook.delivery.lease is
    'number of the claim that holds it: only a caller that gives this number can finish it; null when it is not leased';
comment on column candhook.delivery.worker is 'name of the process that holds the lease';


create table if not exists candhook.bot_token (
    origin_community_id text not null,
    token text not null,
    valid boolean not null default true,
    stored_at timestamptz not null default now(),
    constraint bot_token_pkey primary key (origin_community_id),
    constraint bot_token_origin_community_id_length check (octet_length(origin_community_id) between 1 and 255),
    constraint bot_token_token_shape check (token <> '' and token !~ '[[:space:][:cntrl:]]')
);

create table if not exists candhook.bot_token_history (
    id bigint generated always as identity,
    community text not null,
    stored_at timestamptz not null,
    stored_by text,
    how text,
    scopes text[],
    expires_at timestamptz,
    ended_at timestamptz,
    ended text,
    constraint bot_token_history_pkey primary key (id),
    constraint bot_token_history_ended_word check (ended in ('replaced', 'refused', 'revoked', 'removed', 'expired')),
    constraint bot_token_history_ended check ((ended is null) = (ended_at is null))
);

create unique index if not exists bot_token_history_current on candhook.bot_token_history (community) where ended_at is null;
create index if not exists bot_token_history_community on candhook.bot_token_history (community, stored_at);

create table if not exists candhook.community_alias (
    child text not null,
    origin text not null,
    made_at timestamptz not null default now(),
    made_by text not null default session_user,
    constraint community_alias_pkey primary key (child),
    constraint community_alias_child_length check (octet_length(child) between 1 and 255),
    constraint community_alias_origin_length check (octet_length(origin) between 1 and 255),
    constraint community_alias_two check (child <> origin)
);

-- Columns that came later. Altered only where they are missing, since that locks out who reads tokens. `using` fills ended
-- in without a trigger. Of tokens that were there before, it is not known how they were stored, nor when they were refused.
do $$
begin
    if not exists (select from pg_attribute a
                    where a.attrelid = 'candhook.bot_token'::regclass and a.attname = 'scopes' and not a.attisdropped) then
        alter table candhook.bot_token
            add column if not exists scopes text[],
            add column if not exists expires_at timestamptz,
            add column if not exists how text,
            add column if not exists ended text;
        alter table candhook.bot_token
            alter column ended type text using case when not valid then 'refused' end;
        alter table candhook.bot_token
            add constraint bot_token_how_word check (how in ('psql', 'command', 'install', 'console')),
            add constraint bot_token_ended_word check (ended in ('refused', 'revoked', 'expired')),
            add constraint bot_token_ended check (valid = (ended is null));
        insert into candhook.bot_token_history (community, stored_at, ended_at, ended)
        select t.origin_community_id, t.stored_at, case when not t.valid then now() end, t.ended
          from candhook.bot_token t;
    elsif not exists (select from pg_constraint c
                       where c.conname = 'bot_token_how_word' and pg_get_constraintdef(c.oid) like '%console%') then
        alter table candhook.bot_token
            drop constraint if exists bot_token_how_word,
            add constraint bot_token_how_word check (how in ('psql', 'command', 'install', 'console'));
    end if;
end
$$;

-- For candhook status: it need not read the tokens that are valid for long.
create index if not exists bot_token_ended_at on candhook.bot_token (origin_community_id) where not valid;
create index if not exists bot_token_expires_at on candhook.bot_token (expires_at) where valid and expires_at is not null;

comment on table candhook.bot_token is
    'The bot token of each origin community. Store one with candhook.set_bot_token, or with insert ... on conflict '
    '(origin_community_id) do update set token = excluded.token; it takes effect at once. The view bot_token_masked '
    'shows no token.';
comment on column candhook.bot_token.origin_community_id is
    'id of the origin (hub) community; a token that is stored for a child of community_alias is kept under its origin';
comment on column candhook.bot_token.token is 'the bot access token: a secret; no white space';
comment on column candhook.bot_token.valid is
    'false once the API has refused it, it was revoked, or it has expired; true again when another one is stored';
comment on column candhook.bot_token.stored_at is 'when this token was stored';
comment on column candhook.bot_token.scopes is 'the OAuth2 scopes that it was granted, sorted; null: unknown';
comment on column candhook.bot_token.expires_at is 'when it expires; null: unknown, or never';
comment on column candhook.bot_token.how is
    'how it was stored: psql (a statement), command (candhook token set), install (a community''s admin, in the browser), '
    'console (a user of the console); null: unknown, by an older version';
comment on column candhook.bot_token.ended is
    'why it is not valid: refused (by the API), revoked (by a person), expired; null while it is valid';

comment on table candhook.bot_token_history is
    'When each bot token was stored, how, and how it ended; never the token. Kept by triggers on bot_token, whoever '
    'changes it; a row stays when its token is removed.';
comment on sequence candhook.bot_token_history_id_seq is 'makes bot_token_history.id';
comment on column candhook.bot_token_history.id is 'in the order of storing';
comment on column candhook.bot_token_history.community is 'bot_token.origin_community_id';
comment on column candhook.bot_token_history.stored_at is 'when it was stored, or made valid again';
comment on column candhook.bot_token_history.stored_by is
    'the user of the database that stored it; null: unknown, by an older version';
comment on column candhook.bot_token_history.how is 'bot_token.how';
comment on column candhook.bot_token_history.scopes is 'bot_token.scopes';
comment on column candhook.bot_token_history.expires_at is 'bot_token.expires_at';
comment on column candhook.bot_token_history.ended_at is 'when it ended; null: it is valid';
comment on column candhook.bot_token_history.ended is
    'how it ended: replaced (by another one), refused (by the API), revoked (by a person), removed (with its row), expired; '
    'null: it is valid';

comment on table candhook.community_alias is
    'Communities whose bot tokens are kept under another one: where an installation answers with a child community, and '
    'events come with its origin. Made by candhook.alias_community.';
comment on column candhook.community_alias.child is 'the community that tokens are stored for';
comment on column candhook.community_alias.origin is 'the origin (hub) community under which they are kept';
comment on column candhook.community_alias.made_at is 'when the alias was made';
comment on column candhook.community_alias.made_by is 'the user of the database that made it';

create table if not exists candhook.audit (
    id bigint generated always as identity,
    at timestamptz not null default clock_timestamp(),
    who text not null,
    what text not null,
    detail text,
    concerned bigint,
    db_user text not null default session_user,
    constraint audit_pkey primary key (id)
);

comment on table candhook.audit is
    'What users of the console did: every action, and every look at a body. What people do in psql is not here.';
comment on sequence candhook.audit_id_seq is 'makes audit.id';
comment on column candhook.audit.id is 'in the order of doing';
comment on column candhook.audit.at is 'when';
comment on column candhook.audit.who is 'the user of the console, as candhook-web.fcgi says: candhook web-user list';
comment on column candhook.audit.what is 'look at body, replay, retry, give_up, enable, disable, store token';
comment on column candhook.audit.detail is 'the event, the handler, the error or the community that it was about';
comment on column candhook.audit.concerned is 'how many deliveries, or bodies; null: not counted';
comment on column candhook.audit.db_user is 'the user of the database that did it: that of candhook-web.fcgi';

create table if not exists candhook_internal.spool_position (
    segment uuid not null,
    position bigint not null,
    touched_at timestamptz not null default now(),
    constraint spool_position_pkey primary key (segment),
    constraint spool_position_position_range check (position >= 0)
) with (fillfactor = 50);

comment on table candhook_internal.spool_position is
    'How far each segment of the spool is recorded. Stored in the transaction that records, so a restart continues '
    'there.';
comment on column candhook_internal.spool_position.segment is 'id of the segment: the name of its file';
comment on column candhook_internal.spool_position.position is
    'offset in bytes behind the last record that is recorded';
comment on column candhook_internal.spool_position.touched_at is 'when the position was stored last';

-- Default partitions: rows of months that have no partition. candhook_internal.maintain makes one and moves them there.
create table if not exists candhook_internal.event_default partition of candhook.event default;
create table if not exists candhook_internal.outcome_default partition of candhook.outcome default;
create table if not exists candhook_internal.malformed_default partition of candhook.malformed default;
comment on table candhook_internal.event_default is
    'Events of months that have no partition; candhook_internal.maintain makes one and moves them there.';
comment on table candhook_internal.outcome_default is
    'Outcomes of months that have no partition; candhook_internal.maintain makes one and moves them there.';
comment on table candhook_internal.malformed_default is
    'Malformed bodies of months that have no partition; candhook_internal.maintain makes one and moves them there.';
