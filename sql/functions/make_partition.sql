create or replace function candhook.make_partition(parent text, month timestamp)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
-- Makes the partition of a month (its first moment, UTC) of event, outcome or malformed, and moves there what the
-- default partition holds of that month; returns how many rows. The default partition is locked first, so that
-- nothing lands there meanwhile; who reads all months waits for the moment that this takes. `create table ...
-- partition of` would lock the parent as strongly, and refuse a month of which there are rows.
declare
    part constant text := parent || '_' || to_char(month, 'YYYY_MM');
    low constant text := to_char(month, 'YYYY-MM-DD') || ' 00:00:00+00';
    high constant text := to_char(month + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00';
    moved bigint;
begin
    execute format('lock table candhook.%I in access exclusive mode', parent || '_default');
    execute format('create table candhook.%I (like candhook.%I including defaults including constraints)', part, parent);
    execute format('with moved as (delete from candhook.%I where received_at >= %L and received_at < %L returning *) '
                   'insert into candhook.%I select * from moved', parent || '_default', low, high, part);
    get diagnostics moved = row_count;
    execute format('alter table candhook.%I attach partition candhook.%I for values from (%L) to (%L)',
                   parent, part, low, high);
    execute format('comment on table candhook.%I is %L',
                   part, format('candhook.%s of %s (UTC)', parent, to_char(month, 'YYYY-MM')));
    return moved;
end
$$;
comment on function candhook.make_partition(text, timestamp) is
    'makes the partition of a month and moves there what the default partition holds of it; returns how many '
    'rows; a part of candhook.maintain';
