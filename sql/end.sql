-- End of install.sql: makes the partitions of this month and of the months ahead, and wakes the workers at the commit.

do $$
begin
    perform candhook_internal.maintain();
end
$$;

notify candhook;

commit;
