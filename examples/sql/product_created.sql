-- SPDX-License-Identifier: ISC
--
-- A handler of kind sql: keeps a table of the products that were created. It runs in the transaction that records its
-- outcome, so a product is stored exactly when the outcome says so.
--
-- Install:  psql -d candhook -f product_created.sql          (as who owns the database; again after a change)
-- Try:      candhook send https://your.site/candhook/SECRET --type product.created
--           select * from app.product;
--           select * from candhook.recent limit 5;

\set ON_ERROR_STOP on
begin;

create schema if not exists app;

create table if not exists app.product (
    origin_community_id text not null,
    id text not null,
    community_id text,
    author_id text,
    created_at timestamptz not null,
    constraint product_pkey primary key (origin_community_id, id)
);

create or replace function app.product_created(event candhook.event, bot_token text)
returns text
language plpgsql
as $$
-- bot_token is the token of event.origin_community_id, for calls of canD's API: needs_token below asks for it. What is
-- returned becomes the outcome's detail; an error becomes it too, undoes what this function did, and is tried again.
begin
    if event.origin_community_id is null or event.payload ->> 'id' is null then
        return 'names no product: nothing to store';
    end if;
    -- The platform may send one event twice: then they are two events with one product.
    insert into app.product (origin_community_id, id, community_id, author_id, created_at)
    values (event.origin_community_id, event.payload ->> 'id', event.community_id, event.profile_id, event.received_at)
    on conflict on constraint product_pkey do nothing;
    return case when found then 'stored product ' else 'knew product ' end || (event.payload ->> 'id');
end
$$;

-- sql handlers run under this role. It exists unless whoever ran `candhook init` could not make roles: they run as the
-- worker's own user then.
do $$
begin
    if to_regrole('candhook_handler') is not null then
        grant usage on schema app to candhook_handler;
        grant select, insert on app.product to candhook_handler;
    end if;
end
$$;

insert into candhook.handler (name, module, type, kind, target, needs_token)
values ('store product', 'MOIM', 'product.created', 'sql', 'app.product_created', true)
on conflict (name) do update
    set module = excluded.module, type = excluded.type, target = excluded.target, needs_token = excluded.needs_token;

commit;
