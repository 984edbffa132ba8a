create or replace function candhook_internal.bot_token_kept()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
-- After a row of bot_token changed, by whatever statement: writes it into bot_token_history. A row begins there when a token
-- is stored, or an ended one is made valid again, and at most one of a community is open. Definer's rights, so that nobody
-- else can write there.
declare
    moved constant boolean := tg_op = 'UPDATE' and new.origin_community_id <> old.origin_community_id;
    stored constant boolean := case tg_op
        when 'INSERT' then true
        when 'UPDATE' then moved or new.token <> old.token or new.stored_at <> old.stored_at or new.valid and not old.valid
        else false end;
begin
    if tg_op = 'DELETE' or moved then
        update candhook.bot_token_history h set ended_at = now(), ended = 'removed'
         where h.community = old.origin_community_id and h.ended_at is null;
    end if;
    if stored then
        update candhook.bot_token_history h set ended_at = now(), ended = 'replaced'
         where h.community = new.origin_community_id and h.ended_at is null;
        insert into candhook.bot_token_history (community, stored_at, stored_by, how, scopes, expires_at, ended_at, ended)
        values (new.origin_community_id, case when tg_op = 'UPDATE' and new.stored_at = old.stored_at then now() else new.stored_at end,
                session_user, new.how, new.scopes, new.expires_at, case when not new.valid then now() end, new.ended);
    elsif tg_op = 'UPDATE' then
        update candhook.bot_token_history h
           set how = new.how, scopes = new.scopes, expires_at = new.expires_at,
               ended_at = case when not new.valid then now() end, ended = new.ended
         where h.community = new.origin_community_id and h.ended_at is null;
    end if;
    return null;
end
$$;
comment on function candhook_internal.bot_token_kept() is 'trigger: keeps bot_token_history';
