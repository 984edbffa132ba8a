create or replace function candhook.fault(payload text, extra text)
returns text
language plpgsql stable
as $$
-- Why an event cannot be stored although it is one: numbers have bounds here that JSON does not know. A line for people,
-- null when it can be. Only for what record could not store: which of a batch is the culprit?
declare
    more text;
begin
    perform payload::jsonb, extra::jsonb;
    return null;
exception
    when data_exception or program_limit_exceeded then
        get stacked diagnostics more = pg_exception_detail;
        return left(concat_ws(': ', sqlerrm, nullif(more, '')), 1000);
end
$$;
comment on function candhook.fault(text, text) is
    'why these cannot be stored as payload and extra of an event; null when they can';
