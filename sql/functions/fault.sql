create or replace function candhook.fault(body bytea)
returns text
language plpgsql stable
as $$
-- What keeps a body from being an event, a line for people; null when it is one. For the second pass of record: which
-- of a batch is the culprit? An exception block that writes nothing takes no transaction id, so unlike inserting one
-- by one in subtransactions this costs neither ids nor the cache of subtransactions, however many culprits there are.
declare
    more text;
begin
    return candhook.shape_fault(candhook.document(body));
exception
    when data_exception or program_limit_exceeded then
        get stacked diagnostics more = pg_exception_detail;
        return left(concat_ws(': ', sqlerrm, nullif(more, '')), 1000);
end
$$;
comment on function candhook.fault(bytea) is 'what keeps a body from being an event; null when it is one';
