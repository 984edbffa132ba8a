create or replace function candhook_internal.fault(payload text, extra text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
-- Why jsonb refuses the payload or the extra of an event, as a line for people; null when it takes both. jsonb has
-- limits that JSON does not have. record calls this for each event of a batch that could not be stored.
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
comment on function candhook_internal.fault(text, text) is
    'why these cannot be stored as payload and extra of an event; null when they can';
