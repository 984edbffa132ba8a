-- What an unfinished delivery waits for; `enabled` is that of its handler.
create or replace function candhook_internal.delivery_state(waiting candhook.delivery, enabled boolean)
returns text
language sql volatile
return case when (waiting).held then 'held'
            when (waiting).lease is not null and (waiting).due_at > clock_timestamp() then 'running'
            when not enabled then 'paused'
            when (waiting).due_at > clock_timestamp() then 'put off'
            else 'due' end;
comment on function candhook_internal.delivery_state(candhook.delivery, boolean) is
    'what an unfinished delivery waits for: held (for a bot token), running, paused (with its handler), put off, due';
