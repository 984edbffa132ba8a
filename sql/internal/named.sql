-- Names in a line for people: the first ten, and how many more there are.
create or replace function candhook_internal.named(names text[])
returns text
language sql stable parallel safe
return array_to_string(names[1 : 10], ', ')
    || case when cardinality(names) > 10 then ' and ' || (cardinality(names) - 10) || ' more' else '' end;
comment on function candhook_internal.named(text[]) is 'names in a line: the first ten, and how many more there are';
