create or replace function candhook_internal.web_replica_lag()
returns double precision
language sql stable
set search_path = pg_catalog, pg_temp
as $$
-- Seconds that this database is behind its primary; null when it is one. A replica that has replayed all that it received
-- is behind by nothing, however old that is; one that receives nothing, since it is cut off, is as old as what it has.
select case when not pg_is_in_recovery() then null
            when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() and exists (select from pg_stat_wal_receiver) then 0
            else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) end
$$;
comment on function candhook_internal.web_replica_lag() is 'seconds that a replica is behind; null: this is none';
