-- A time as text, as RFC 3339 has it, in UTC and to the second; infinity as such.
create or replace function candhook_internal.utc(moment timestamptz)
returns text
language sql stable parallel safe
return case when isfinite(moment) then to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') else moment::text end;
comment on function candhook_internal.utc(timestamptz) is 'a time as RFC 3339 in UTC, to the second';
