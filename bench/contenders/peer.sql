-- The tables of the peers: an event as it came, what came of it, and the tokens.
create schema peer;
create table peer.event (
    id bigint generated always as identity primary key,
    received_at timestamptz not null default now(),
    body jsonb not null
);
create table peer.outcome (
    event_id bigint primary key,
    result text not null,
    finished_at timestamptz not null default now()
);
create table peer.bot_token (
    origin_community_id text primary key,
    token text not null
);
