create or replace function candhook.add_handler(name text, module text, type text, kind text, target text,
                                                needs_token boolean default false,
                                                timeout interval default '30 seconds',
                                                max_attempts integer default 8,
                                                first_delay interval default '10 seconds',
                                                backoff_factor double precision default 2,
                                                max_delay interval default '1 hour',
                                                jitter double precision default 0.5,
                                                concurrency integer default null,
                                                ordered_by text default 'none',
                                                enabled boolean default true)
returns void
language plpgsql
as $$
-- Makes a handler. It gets the events that are recorded from now on; replay gives it earlier ones. The defaults are those
-- of the table. Invoker's rights and search_path, since handler_check looks up the target of an sql handler with them.
--
-- What the table refuses is told as the column, what was given, and what may stand there: the column's comment.
declare
    broken text;
    wrong text;
    allowed text;
begin
    insert into candhook.handler (name, module, type, kind, target, needs_token, timeout, max_attempts, first_delay,
                                  backoff_factor, max_delay, jitter, concurrency, ordered_by, enabled)
    values (name, module, type, kind, target, needs_token, timeout, max_attempts, first_delay,
            backoff_factor, max_delay, jitter, concurrency, ordered_by, enabled);
exception
    when unique_violation then
        raise exception 'there is a handler % already', quote_literal(name)
            using errcode = 'unique_violation',
                  hint = 'Choose another name, or change it: update candhook.handler set ... where name = '
                         || quote_literal(name);
    when check_violation or not_null_violation then
        get stacked diagnostics broken = constraint_name, wrong = column_name;
        select a.attname, col_description(a.attrelid, a.attnum) into wrong, allowed
          from pg_catalog.pg_attribute a
         where a.attrelid = 'candhook.handler'::regclass and a.attnum > 0
           and (a.attname = wrong or starts_with(broken, 'handler_' || a.attname || '_'))
         order by length(a.attname) desc
         limit 1;
        raise exception 'handler %: % cannot be %', coalesce(quote_literal(name), 'null'), wrong,
                        coalesce(quote_literal(jsonb_build_object(
                            'name', name, 'module', module, 'type', type, 'kind', kind, 'target', target,
                            'timeout', timeout, 'max_attempts', max_attempts, 'first_delay', first_delay,
                            'backoff_factor', backoff_factor, 'max_delay', max_delay, 'jitter', jitter,
                            'concurrency', concurrency, 'ordered_by', ordered_by) ->> wrong), 'null')
            using errcode = sqlstate, hint = wrong || ': ' || allowed;
end
$$;
comment on function candhook.add_handler(text, text, text, text, text, boolean, interval, integer, interval,
                                         double precision, interval, double precision, integer, text, boolean) is
    'makes a handler; \d+ candhook.handler tells what each argument means. Name those that you give: '
    'select candhook.add_handler(''greet'', ''MOIM'', ''product.*'', ''sql'', ''app.greet'', max_attempts => 3)';
