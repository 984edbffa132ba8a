create or replace function candhook.replay(event_id uuid, handlers text[] default null)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
-- Runs handlers at one event again: those named, whether they match it or not, or all enabled ones that match. Earlier
-- outcomes stay recorded. A delivery that runs right now is left alone. Returns the number of deliveries that will run.
declare
    found_event candhook.event;
    one text;
    again integer;
begin
    select e.* into found_event
      from candhook.event e
     where e.received_at = candhook.received_at(replay.event_id) and e.id = replay.event_id;
    if not found then
        raise exception 'there is no event %', coalesce(replay.event_id::text, 'null')
            using errcode = 'no_data_found',
                  hint = case when exists (select from candhook.malformed m
                                            where m.received_at = candhook.received_at(replay.event_id)
                                              and m.id = replay.event_id)
                              then 'The body was no event: select * from candhook.malformed.'
                              else 'The view candhook.recent shows the ids of events.' end;
    end if;
    foreach one in array coalesce(handlers, '{}') loop
        perform candhook_internal.handler_known(one);
    end loop;

    again := candhook_internal.deliver_again(found_event.received_at, found_event.received_at + interval '1 millisecond',
                                             found_event.id, '*', handlers, handlers is null);
    if handlers is null and again = 0
       and not exists (select from candhook.handler h
                        where h.enabled and candhook_internal.matches(h.module, found_event.module)
                          and candhook_internal.matches(h.type, found_event.type)) then
        raise notice 'no enabled handler matches %:%', found_event.module, found_event.type
            using hint = 'Name the handlers that shall run: candhook.replay(EVENT, array[''HANDLER''])';
    end if;
    return again;
end
$$;
comment on function candhook.replay(uuid, text[]) is
    'Runs handlers at an event again, with max_attempts anew: the ones named, or all enabled ones that match. Returns '
    'how many. Type: select candhook.replay(''EVENT ID''); or: select candhook.replay(''EVENT ID'', '
    'array[''greet'']);';
