-- A text in which [token] stands for the bot token: no outcome and no log line may show it, whatever a handler or an
-- error says.
create or replace function candhook_internal.masked(detail text, token text)
returns text
language sql immutable parallel safe
return case when token <> '' then replace(detail, token, '[token]') else detail end;
comment on function candhook_internal.masked(text, text) is 'a text in which the bot token is replaced by [token]';
