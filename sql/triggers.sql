-- Triggers on handler and bot_token. They hold for every change of a row, since people change these tables in psql.

create or replace trigger handler_check
    before insert or update on candhook.handler
    for each row execute function candhook_internal.handler_check();
comment on trigger handler_check on candhook.handler is 'looks up the target of an sql handler, and keeps changed_at';

create or replace trigger handler_changed
    after insert or update or delete on candhook.handler
    for each row execute function candhook_internal.handler_changed();
comment on trigger handler_changed on candhook.handler is 'updates the handler''s deliveries, and wakes the workers';

create or replace trigger handler_truncated
    before truncate on candhook.handler
    for each statement execute function candhook_internal.handler_truncated();
comment on trigger handler_truncated on candhook.handler is 'refuses truncate, which would leave deliveries without a handler';

create or replace trigger bot_token_check
    before insert or update on candhook.bot_token
    for each row execute function candhook_internal.bot_token_check();
comment on trigger bot_token_check on candhook.bot_token is 'refuses what is no token, without showing it; another token is valid again';

create or replace trigger bot_token_kept
    after insert or update or delete on candhook.bot_token
    for each row execute function candhook_internal.bot_token_kept();
comment on trigger bot_token_kept on candhook.bot_token is 'keeps bot_token_history';

create or replace trigger bot_token_truncated
    after truncate on candhook.bot_token
    for each statement execute function candhook_internal.bot_token_truncated();
comment on trigger bot_token_truncated on candhook.bot_token is 'keeps bot_token_history';

-- Only a constraint trigger can be deferred to the commit. `create constraint trigger` has no `or replace`.
do $$
begin
    if not exists (select from pg_trigger t
                    where t.tgrelid = 'candhook.bot_token'::regclass and t.tgname = 'bot_token_stored') then
        create constraint trigger bot_token_stored
            after insert or update on candhook.bot_token
            deferrable initially deferred
            for each row execute function candhook_internal.bot_token_stored();
    end if;
end
$$;
comment on trigger bot_token_stored on candhook.bot_token is 'releases held deliveries at the commit';
