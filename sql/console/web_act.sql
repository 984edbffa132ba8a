create or replace function candhook_internal.web_act(asked jsonb, who text)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- Does what a user of the console asked for, and notes it; or, with count, tells how many deliveries that concerns.
declare
    what constant text := candhook_internal.web_text(asked, 'do');
    handler constant text := candhook_internal.web_text(asked, 'handler');
    error constant text := case when asked ? 'error' then coalesce(candhook_internal.web_text(asked, 'error'), '') end;
    id constant uuid := candhook_internal.web_id(asked, 'id');
    handlers text[];
    concerned bigint;
begin
    if exists (select from jsonb_object_keys(asked) k where k <> all (array['do', 'handler', 'error', 'id', 'handlers', 'count'])) then
        raise exception 'only do, handler, error, id, handlers and count have a meaning' using errcode = 'invalid_parameter_value';
    end if;
    if jsonb_typeof(asked -> 'count') <> 'boolean' then
        raise exception 'count must be true or false' using errcode = 'invalid_parameter_value';
    end if;
    if jsonb_typeof(asked -> 'handlers') <> 'array' or jsonb_path_exists(asked, '$.handlers[*] ? (@.type() != "string")') then
        raise exception 'handlers must be a list of names' using errcode = 'invalid_parameter_value';
    end if;
    if what is null or what <> all (array['replay', 'retry', 'give_up', 'enable', 'disable']) then
        raise exception 'do must be replay, retry, give_up, enable or disable' using errcode = 'invalid_parameter_value';
    end if;
    if what = 'replay' and id is null then
        raise exception 'replay needs the id of an event' using errcode = 'invalid_parameter_value';
    end if;
    if what <> 'replay' then
        perform candhook_internal.handler_known(handler);
    end if;
    if asked ? 'handlers' then
        handlers := array(select jsonb_array_elements_text(asked -> 'handlers'));
    end if;

    if asked -> 'count' = 'true' then
        return jsonb_build_object('concerned', candhook_internal.web_concerned(what, id, handler, handlers, error));
    end if;
    concerned := case what
        when 'replay' then candhook.replay(id, handlers)
        when 'retry' then candhook.retry_failed(handler, null, error)
        when 'give_up' then candhook.give_up(id, handler)
        when 'enable' then candhook.enable_handler(handler)
        when 'disable' then candhook.disable_handler(handler) end;
    perform candhook_internal.web_note(who, what, concat_ws('; ', 'handler ' || coalesce(handler, array_to_string(handlers, ', ')),
                                                            'event ' || id, 'error ' || nullif(error, '')), concerned);
    return jsonb_build_object('done', concerned);
end
$$;
comment on function candhook_internal.web_act(jsonb, text) is
    'does what a user of the console asked for, or with count tells how many deliveries that concerns';
