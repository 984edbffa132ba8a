create or replace function candhook_internal.refused_events(ids uuid[], modules text[], types text[], origin_community_ids text[],
                                                            user_ids text[], community_ids text[], profile_ids text[],
                                                            payloads text[], extras text[])
returns table (id uuid, reason text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
-- Which events of a batch the database refuses, and why, as a line for people. record calls this when a batch failed: jsonb has
-- limits that JSON does not have, and people add constraints, indexes and triggers. Each event is recorded alone, after those
-- before it, and all of it is undone. A plain event comes first: when the database refuses that one, no event is at fault, and
-- its error is raised.
declare
    plain constant uuid := left(ids[1]::text, 15) || substr(gen_random_uuid()::text, 16);
    refused uuid[] := '{}';
    why text[] := '{}';
    more text;
begin
    begin
        perform from candhook_internal.record_rows(array[plain], '{candhook}', '{doctor.probe}', '{null}', '{null}', '{null}',
                                                   '{null}', '{"{}"}', '{null}', '{}', '{}', '{}', null);
        for n in 1 .. coalesce(cardinality(ids), 0) loop
            begin
                perform from candhook_internal.record_rows(ids[n:n], modules[n:n], types[n:n], origin_community_ids[n:n],
                                                           user_ids[n:n], community_ids[n:n], profile_ids[n:n],
                                                           payloads[n:n], extras[n:n], '{}', '{}', '{}', null);
            exception
                when others then
                    if candhook_internal.may_pass(sqlstate) then
                        raise;
                    end if;
                    -- The detail of a constraint's error shows the row: somebody's data.
                    get stacked diagnostics more = pg_exception_detail;
                    refused := refused || ids[n];
                    why := why || left(concat_ws(': ', sqlerrm, case when sqlstate ~ '^(22|54)' then nullif(more, '') end), 1000);
            end;
        end loop;
        raise exception using errcode = 'CH000';
    exception
        when sqlstate 'CH000' then
            null;
    end;
    return query select r.id, r.reason from unnest(refused, why) as r (id, reason);
end
$$;
comment on function candhook_internal.refused_events(uuid[], text[], text[], text[], text[], text[], text[], text[], text[]) is
    'which of these events the database refuses to store, each tried alone, and why; stores nothing';
