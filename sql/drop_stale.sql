-- Drops the functions that an older version left. Each function of this version was written by this transaction until here.
-- Any other internal one is of an older version. So is one that has the name of one of this version: with its other parameters
-- it would be called by mistake.
do $$
declare
    stale regprocedure;
begin
    for stale in
        select p.oid::regprocedure
          from pg_proc p
         where p.xmin <> pg_current_xact_id()::xid
           and (p.pronamespace = 'candhook_internal'::regnamespace
                or p.pronamespace = 'candhook'::regnamespace
                   and exists (select from pg_proc q
                                where q.pronamespace = p.pronamespace and q.proname = p.proname
                                  and q.xmin = pg_current_xact_id()::xid)) loop
        execute format('drop function %s', stale);
    end loop;
end
$$;
