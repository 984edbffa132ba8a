-- The version of this schema. A program that does not know it refuses to work. `return` bodies as this one are parsed
-- when they are created: no search_path can change what they call, and they can be inlined.
create or replace function candhook.version()
returns integer
language sql immutable parallel safe
return 1;
comment on function candhook.version() is
    'The version of this schema. Type: select candhook.version();';
