create or replace function candhook_internal.web(path text, asked text, who text, may_act boolean, out status integer, out answer text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- Answers a request of the console's API (candhook-web.fcgi(8)): `path` is the last part of its address, `asked` a JSON object,
-- `who` the user. It reads as candhook_reader and acts as candhook_admin, where these roles are there and the caller is a
-- member. status is that of HTTP; an error is an answer, too.
declare
    given jsonb;
    role_name constant text := case when path = 'act' then 'candhook_admin' else 'candhook_reader' end;
    can_act constant boolean := may_act and not pg_is_in_recovery()
                                and (to_regrole('candhook_admin') is null or pg_has_role(to_regrole('candhook_admin'), 'member'));
    words text;
    remedy text;
begin
    given := asked;
    if jsonb_typeof(given) <> 'object' then
        raise exception 'what was sent is no JSON object' using errcode = 'invalid_parameter_value';
    end if;
    if to_regrole(role_name) is not null and pg_has_role(to_regrole(role_name), 'member') then
        perform set_config('role', role_name, true);
    end if;
    status := 200;
    if path = 'act' and not may_act then
        raise insufficient_privilege using message = 'you may look, and change nothing',
            hint = 'candhook web-user add NAME --replace gives a user the right to act.';
    elsif path = 'act' and pg_is_in_recovery() then
        raise read_only_sql_transaction;
    elsif path = 'act' then
        answer := candhook_internal.web_act(given, who);
    elsif path = 'body' then
        answer := candhook_internal.web_body(given, who);
    else
        answer := jsonb_build_object('can_act', can_act) || case path
            when 'overview' then candhook_internal.web_overview(given)
            when 'events' then candhook_internal.web_events(given)
            when 'event' then candhook_internal.web_event(given)
            when 'handlers' then candhook_internal.web_handlers()
            when 'failures' then candhook_internal.web_failures(given)
            when 'malformed' then candhook_internal.web_malformed(given)
            when 'unhandled' then candhook_internal.web_unhandled()
            when 'tokens' then candhook_internal.web_tokens()
            when 'audit' then candhook_internal.web_audit(given) end;
    end if;
    if answer is null then
        status := 404;
        answer := jsonb_build_object('error', 'there is nothing of this name');
    end if;
exception
    when data_exception or no_data_found or undefined_object or insufficient_privilege or read_only_sql_transaction
         or query_canceled or lock_not_available then
        get stacked diagnostics words = message_text, remedy = pg_exception_hint;
        status := case when sqlstate like '22%' then 400
                       when sqlstate in ('P0002', '02000', '42704') then 404
                       when sqlstate in ('42501', '25006') then 403
                       else 503 end;
        if sqlstate = '25006' then
            words := 'this database is a replica: nothing can be changed here, and no look at a body noted';
        elsif sqlstate = '57014' then
            words := 'the database was given too little time for this, and gave up';
            remedy := case when path = 'act' then 'Nothing was done. In psql the same has all the time that it needs.'
                           else 'Narrow what is asked for, or try again later.' end;
        elsif words like 'permission denied%' then
            remedy := format('The owner of the schema types: grant candhook_reader, candhook_admin to %I;', session_user);
        end if;
        answer := jsonb_strip_nulls(jsonb_build_object('error', words, 'hint', nullif(remedy, '')));
end
$$;
comment on function candhook_internal.web(text, text, text, boolean) is
    'answers a request of the console''s API: a status of HTTP and a JSON object';
