-- What failures have in common: the detail without ids and numbers, cut to 200 characters; '' without a detail. The newest
-- failures are grouped by it in the console, and retry_failed takes it as its third argument.
create or replace function candhook_internal.error_group(detail text)
returns text
language sql immutable parallel safe
return left(regexp_replace(
                regexp_replace(left(coalesce(detail, ''), 1000),
                               '[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9]+', '#', 'g'),
                '[[:space:]]+', ' ', 'g'), 200);
comment on function candhook_internal.error_group(text) is
    'what the details of like failures have in common: without ids and numbers, cut to 200 characters';
