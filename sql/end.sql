-- The schema candhook: end. The partitions of today and of the months ahead; then workers look again.

do $$
begin
    perform candhook.maintain();
end
$$;

notify candhook;

commit;
