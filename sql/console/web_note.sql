create or replace function candhook_internal.web_note(who text, what text, detail text, concerned bigint)
returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
-- Notes in candhook.audit what a user of the console did.
insert into candhook.audit (who, what, detail, concerned) values ($1, $2, $3, $4)
$$;
comment on function candhook_internal.web_note(text, text, text, bigint) is 'notes what a user of the console did';
