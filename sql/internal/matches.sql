-- Whether a module or a type fits a handler's pattern: the exact word, `*` for every word, or `product.*` for every
-- word that begins with `product.`; case-sensitive. A constraint of handler allows only these patterns.
create or replace function candhook_internal.matches(pattern text, word text)
returns boolean
language sql immutable parallel safe
return pattern = word
    or pattern = '*'
    or (right(pattern, 2) = '.*' and starts_with(word, left(pattern, -1)));
comment on function candhook_internal.matches(text, text) is
    'whether a module or type fits the pattern of a handler: exact, *, or a trailing .*';
