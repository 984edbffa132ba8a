-- The signature by which handler_check looks up the target of a new or changed sql handler; null when there is nothing
-- to look up. `before` is null for an insert.
create or replace function candhook_internal.handler_signature(before candhook.handler, after candhook.handler)
returns text
language sql immutable parallel safe
return case when (after).kind = 'sql'
                 and ((before).kind is distinct from (after).kind or (before).target is distinct from (after).target)
            then case when (after).target like '%)' then (after).target
                      else (after).target || '(candhook.event,pg_catalog.text)' end end;
comment on function candhook_internal.handler_signature(candhook.handler, candhook.handler) is
    'the signature by which the target of an sql handler is looked up; null: nothing to look up; a part of the '
    'trigger handler_check';
