create or replace function candhook.masked(detail text, token text)
returns text
language sql immutable parallel safe
as $$
-- A text without the secret: whatever a handler or an error says, no token gets into outcome or a log.
select case when token <> '' then replace(detail, token, '[token]') else detail end
$$;
comment on function candhook.masked(text, text) is 'a text in which the bot token is replaced by [token]';
