create or replace function candhook_internal.diagnose()
returns table (item text, name text, detail text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC' -- of the bounds of partitions
set datestyle = 'ISO'
as $$
#variable_conflict use_column
-- What `candhook doctor` asks of the database, for the session's user (not for the owner, whose rights this function
-- has). Items: user, superuser, clock (milliseconds since 1970), readonly: always returned, the value in
-- detail; right: a function that the worker calls and this user may not call; partition: a month without a partition,
-- rows in a default one; sql: an enabled sql handler that cannot run, and why; file: an enabled handler that is a file,
-- kind and target in detail; malformed, failed, unhandled, token, paused: counts of what needs attention; token_refused,
-- token_revoked, token_expired, token_expiring (detail: when the first one expires): communities of such tokens, ten of them
-- by name; token_sibling: an origin whose events are held for a token, while a community that they name has one, and in detail
-- what makes it an alias; token_siblings: how many more of these there are.
declare
    runs_as constant text := case when pg_has_role(session_user, to_regrole('candhook_handler')::oid, 'member')
                                  then 'candhook_handler' else session_user end;
begin
    return query
    select v.item, '', v.detail
      from (values ('user', session_user::text),
                   ('superuser', (select r.rolsuper::text from pg_roles r where r.rolname = session_user)),
                   ('clock', floor(extract(epoch from clock_timestamp()) * 1000)::bigint::text),
                   ('readonly', (pg_is_in_recovery() or current_setting('transaction_read_only') = 'on')::text))
           as v (item, detail);

    return query
    select 'right', p.oid::regprocedure::text, ''
      from pg_proc p
     where p.pronamespace = 'candhook_internal'::regnamespace
       and p.proname in ('spool_position', 'forget', 'record', 'record_once', 'run_handler', 'finish_first', 'claim', 'run_sql', 'leased',
                         'take_lease_slot', 'handler_role', 'finish', 'renew', 'give_back', 'release', 'due_in', 'maintain')
       and not has_function_privilege(session_user, p.oid, 'execute')
     order by 2;

    return query
    select 'partition', t.name, to_char(m.month, 'YYYY-MM') || ' has none'
      from unnest(array['event', 'outcome', 'malformed']) t (name)
     cross join (select date_trunc('month', now() at time zone 'UTC') + n * interval '1 month' as month
                   from generate_series(0, 1) n) m
     where not exists (select
                         from pg_inherits i
                         join pg_class c on c.oid = i.inhrelid
                        where i.inhparent = ('candhook.' || t.name)::regclass
                          and pg_get_expr(c.relpartbound, c.oid) like '%FROM (''' || to_char(m.month, 'YYYY-MM-DD') || '%');
    return query
    select 'partition', 'event', 'there are events of months that have none'
     where exists (select from candhook_internal.event_default);

    return query
    select 'sql', h.name,
           case when p.oid is null then 'there is no function ' || h.target || ' any more'
                else format('%s may not call %s: grant usage on schema %I to %I; grant execute on function %s to %I',
                            runs_as, h.target, n.nspname, runs_as, h.target, runs_as) end
      from candhook.handler h
      left join (pg_proc p join pg_namespace n on n.oid = p.pronamespace)
             on format('%I.%I(candhook.event,text)', n.nspname, p.proname) = h.target
            and p.pronargs = 2 and p.proargtypes[0] = 'candhook.event'::regtype and p.proargtypes[1] = 'text'::regtype
     where h.kind = 'sql' and h.enabled
       and (p.oid is null
            or not has_schema_privilege(runs_as, n.oid, 'usage')
            or not has_function_privilege(runs_as, p.oid, 'execute'));

    return query
    select 'file', h.name, h.kind || ' ' || h.target
      from candhook.handler h
     where h.kind in ('c', 'exec') and h.enabled
     order by h.name;

    return query
    select 'malformed', '', count(*)::text
      from candhook.malformed m
     where m.received_at >= now() - interval '1 day'
    having count(*) > 0;

    return query
    select 'failed', o.handler, count(*)::text
      from candhook.outcome o
     where o.result = 'failed' and o.finished_at >= now() - interval '1 day'
     group by o.handler
     order by count(*) desc, o.handler;

    -- Probe events of doctor are meant to be unhandled.
    return query
    select 'unhandled', e.module || ':' || e.type, count(*)::text
      from candhook.outcome o
      join candhook.event e on e.received_at = o.received_at and e.id = o.event_id
     where o.result = 'unhandled' and o.finished_at >= now() - interval '1 day'
       and (e.module, e.type) <> ('candhook', 'doctor.probe')
       and not exists (select from candhook.handler h
                        where h.enabled and candhook_internal.matches(h.module, e.module)
                          and candhook_internal.matches(h.type, e.type))
     group by e.module, e.type
     order by count(*) desc, e.module, e.type
     limit 5;

    return query
    select 'token', d.origin_community_id, count(*)::text
      from candhook.delivery d
     where d.held
     group by d.origin_community_id
     order by count(*) desc, d.origin_community_id
     limit 5;

    return query
    select 'token_' || t.ended, candhook_internal.named(array_agg(t.origin_community_id order by t.origin_community_id)), ''
      from candhook.bot_token t
     where not t.valid
     group by t.ended
     order by 1;
    return query
    select 'token_expiring', candhook_internal.named(array_agg(t.origin_community_id order by t.expires_at)),
           candhook_internal.utc(min(t.expires_at))
      from candhook.bot_token t
     where t.valid and t.expires_at < now() + interval '7 days'
    having count(*) > 0;

    return query
    with sibling as (
        select distinct d.origin_community_id as origin, e.community_id as child
          from candhook.delivery d
          join candhook.event e on e.received_at = d.received_at and e.id = d.event_id
          join candhook.bot_token t on t.origin_community_id = e.community_id and t.valid
         where d.held and e.community_id <> d.origin_community_id
    )
    select 'token_sibling', s.origin, format('select candhook.alias_community(%L, %L)', s.child, s.origin)
      from (select * from sibling order by origin, child limit 10) s
    union all
    select 'token_siblings', (count(*) - 10)::text, '' from sibling having count(*) > 10;

    return query
    select 'paused', d.handler, count(*)::text
      from candhook.delivery d
      join candhook.handler h on h.name = d.handler
     where not h.enabled
     group by d.handler
     order by d.handler;
end
$$;
comment on function candhook_internal.diagnose() is
    'what candhook doctor asks of the database about itself, its handlers and the session''s user';
