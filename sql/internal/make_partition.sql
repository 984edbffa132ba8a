create or replace function candhook_internal.make_partition(parent text, month timestamp)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
-- Makes the partition of a month (given by its first moment in UTC) of event, outcome or malformed, and moves the rows
-- of that month there from the default partition; returns their number. The default partition is locked first, so that
-- no row is inserted there meanwhile; queries over all months wait for that moment. `create table ... partition of`
-- would lock the parent as strongly, and would refuse a month of which there are rows.
declare
    part constant text := parent || '_' || to_char(month, 'YYYY_MM');
    low constant text := to_char(month, 'YYYY-MM-DD') || ' 00:00:00+00';
    high constant text := to_char(month + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00';
    moved bigint;
begin
    execute format('lock table candhook_internal.%I in access exclusive mode', parent || '_default');
    execute format('create table candhook_internal.%I (like candhook.%I including defaults including constraints)',
                   part, parent);
    execute format('with moved as (delete from candhook_internal.%I where received_at >= %L and received_at < %L returning *) '
                   'insert into candhook_internal.%I select * from moved', parent || '_default', low, high, part);
    get diagnostics moved = row_count;
    execute format('alter table candhook.%I attach partition candhook_internal.%I for values from (%L) to (%L)',
                   parent, part, low, high);
    execute format('comment on table candhook_internal.%I is %L',
                   part, format('candhook.%s of %s (UTC)', parent, to_char(month, 'YYYY-MM')));
    return moved;
end
$$;
comment on function candhook_internal.make_partition(text, timestamp) is
    'makes the partition of a month and moves its rows there from the default partition; returns how many; a part of '
    'candhook_internal.maintain';
