create or replace function candhook.matches(pattern text, word text)
returns boolean
language sql immutable parallel safe
as $$
-- Whether a module or a type fits a handler's pattern: the word itself, `*` for every word, or `product.*` for every
-- word that begins with `product.`. Case-sensitive. That a pattern has one of these shapes is a constraint of
-- handler.
select pattern = word
    or pattern = '*'
    or (right(pattern, 2) = '.*' and starts_with(word, left(pattern, -1)))
$$;
comment on function candhook.matches(text, text) is
    'whether a module or type fits the pattern of a handler: exact, *, or a trailing .*';
