create or replace function candhook_internal.bot_token_truncated()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
-- Truncate fires no trigger for a row, and removes them all.
begin
    update candhook.bot_token_history h set ended_at = now(), ended = 'removed' where h.ended_at is null;
    return null;
end
$$;
comment on function candhook_internal.bot_token_truncated() is 'trigger: keeps bot_token_history when all tokens are removed';
