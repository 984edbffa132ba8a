-- SPDX-License-Identifier: ISC
--
-- Two handlers of kind sql that together do what canD's documentation describes: when an article or a product has
-- gathered N votes, its author is awarded points, once.
--
-- Install:  psql -d candhook -f product_voted_points.sql     (as who owns the database; again after a change)
-- Set:      update points.setting set votes = 2, points = 50;
-- Try:      candhook send https://your.site/candhook/SECRET --type product.created --set payload.id=CP:1 \
--               --set context.profileId=AUTHOR
--           candhook send https://your.site/candhook/SECRET --type product.voted --set payload.id=CP:1 \
--               --set payload.voted=true --set context.profileId=FAN1               (and the same with FAN2)
--           select * from points.award;
--           select * from points.balance;
--
-- What must hold, and how it does:
-- - An event of a vote does not name the author: product.created does, as the one who caused it. The two come in any
--   order, so each looks whether an award is due.
-- - A voter counts once, by what they said last; "last" is the order in which the events were received, whatever the order
--   in which they are handled. A vote withdrawn counts no more, but an award stays.
-- - Two votes handled at the same moment must see each other, or both would count N - 1 and nobody be awarded. So each
--   first locks the product's row and counts in a statement after that, which sees what the other has committed.
-- - An award's key is the product: there can be no second one. Should the award go out to canD's API
--   (POST /candies/ID/grant), let a handler of another kind do that for the rows of points.award.

\set ON_ERROR_STOP on
begin;

create schema if not exists points;

create table if not exists points.setting (
    only_row boolean not null default true,
    votes integer not null default 3,
    points integer not null default 10,
    constraint setting_pkey primary key (only_row),
    constraint setting_only_row check (only_row),
    constraint setting_votes_range check (votes > 0)
);
comment on table points.setting is 'one row: an author gets so many points when a product of theirs has so many votes';
insert into points.setting default values on conflict do nothing;

create table if not exists points.product (
    origin_community_id text not null,
    product_id text not null,
    author_id text,
    constraint product_pkey primary key (origin_community_id, product_id)
);
comment on column points.product.author_id is 'null until product.created has told';

create table if not exists points.vote (
    origin_community_id text not null,
    product_id text not null,
    voter_id text not null,
    voted boolean not null,
    event_id uuid not null,
    constraint vote_pkey primary key (origin_community_id, product_id, voter_id),
    constraint vote_product foreign key (origin_community_id, product_id) references points.product
);
comment on column points.vote.event_id is 'the event that said so; ids grow with the time of receipt';

create table if not exists points.award (
    origin_community_id text not null,
    product_id text not null,
    author_id text not null,
    points integer not null,
    votes integer not null,
    awarded_at timestamptz not null default now(),
    constraint award_pkey primary key (origin_community_id, product_id),
    constraint award_product foreign key (origin_community_id, product_id) references points.product
);

create or replace view points.balance as
select origin_community_id, author_id, sum(points) as points, count(*) as products
  from points.award
 group by origin_community_id, author_id;

create or replace function points.lock_product(origin_community_id text, product_id text)
returns void
language sql
as $$
-- Makes the product's row if need be, and locks it until the end of the transaction.
insert into points.product as p (origin_community_id, product_id)
values ($1, $2)
on conflict on constraint product_pkey do update set product_id = p.product_id
$$;

create or replace function points.award_if_due(origin_community_id text, product_id text)
returns text
language plpgsql
as $$
-- To be called under the lock of lock_product, in a later statement.
#variable_conflict use_column
declare
    setting points.setting;
    author text;
    votes integer;
begin
    select * into strict setting from points.setting;
    select p.author_id into author from points.product p where p.origin_community_id = $1 and p.product_id = $2;
    select count(*) into votes from points.vote v where v.origin_community_id = $1 and v.product_id = $2 and v.voted;
    if votes < setting.votes then
        return format('%s of %s votes', votes, setting.votes);
    elsif author is null then
        return format('%s votes; the author is not known yet', votes);
    end if;
    insert into points.award (origin_community_id, product_id, author_id, points, votes)
    values ($1, $2, author, setting.points, votes)
    on conflict on constraint award_pkey do nothing;
    return case when found then format('%s votes: %s gets %s points', votes, author, setting.points)
                else format('%s votes; %s has had the points', votes, author) end;
end
$$;

create or replace function points.product_created(event candhook.event, bot_token text)
returns text
language plpgsql
as $$
declare
    product text := event.payload ->> 'id';
begin
    if event.origin_community_id is null or product is null or event.profile_id is null then
        return 'names no product or no author';
    end if;
    perform points.lock_product(event.origin_community_id, product);
    -- Who was told first stays the author.
    update points.product p
       set author_id = event.profile_id
     where p.origin_community_id = event.origin_community_id and p.product_id = product and p.author_id is null;
    return points.award_if_due(event.origin_community_id, product);
end
$$;

create or replace function points.product_voted(event candhook.event, bot_token text)
returns text
language plpgsql
as $$
declare
    product text := event.payload ->> 'id';
begin
    if event.origin_community_id is null or product is null or event.profile_id is null
       or jsonb_typeof(event.payload -> 'voted') is distinct from 'boolean' then
        return 'names no product or no voter, or says not whether voted';
    end if;
    perform points.lock_product(event.origin_community_id, product);
    insert into points.vote as v (origin_community_id, product_id, voter_id, voted, event_id)
    values (event.origin_community_id, product, event.profile_id, (event.payload -> 'voted')::boolean, event.id)
    on conflict on constraint vote_pkey do update
        set voted = excluded.voted, event_id = excluded.event_id
      where excluded.event_id > v.event_id;
    return points.award_if_due(event.origin_community_id, product);
end
$$;

do $$
begin
    if to_regrole('candhook_handler') is not null then
        grant usage on schema points to candhook_handler;
        grant select on points.setting to candhook_handler;
        grant select, insert, update on points.product, points.vote to candhook_handler;
        grant select, insert on points.award to candhook_handler;
    end if;
end
$$;

insert into candhook.handler (name, module, type, kind, target)
values ('points: author', 'MOIM', 'product.created', 'sql', 'points.product_created'),
       ('points: vote', 'MOIM', 'product.voted', 'sql', 'points.product_voted')
on conflict (name) do update
    set module = excluded.module, type = excluded.type, target = excluded.target;

commit;
