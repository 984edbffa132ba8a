create or replace function candhook_internal.delivery_states()
returns table (handler text, state text, deliveries bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
-- How many deliveries of each handler are due, running, put off, held (for a bot token) or paused (with their handler).
-- Reads all deliveries.
begin
    return query
    select d.handler, d.state, count(*)
      from (select w.handler, candhook_internal.delivery_state(w, h.enabled) as state
              from candhook.delivery w
              left join candhook.handler h on h.name = w.handler) d
     group by d.handler, d.state
     order by d.handler, d.state;
end
$$;
comment on function candhook_internal.delivery_states() is
    'how many deliveries of each handler are due, running, put off, held or paused; reads all of them';
