create or replace function candhook_internal.may_pass(state text)
returns boolean
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
-- Errors of the moment by their SQLSTATE: a lost connection, a read-only or aborted transaction, a conflict, resources, locks,
-- an administrator's or a system's trouble, missing rights, corruption. Out of memory (53200) is not among them: the statement
-- may be what is too large.
select left(state, 2) in ('08', '25', '40', '53', '55', '57', '58', 'XX') and state <> '53200' or state = '42501'
$$;
comment on function candhook_internal.may_pass(text) is
    'whether an error with this SQLSTATE comes from the moment, not from the rows that were written';
