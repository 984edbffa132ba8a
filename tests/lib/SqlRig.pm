# SPDX-License-Identifier: ISC
#
# A rig for the tests of the schema alone: a cluster, the joined install.sql, and a schema t with what such tests need:
#
#     t.id(ms)                    a new event id, of now plus so many milliseconds
#     t.event(type, payload)      the body of an event of community G1
#     t.record(ids, bodies, ...)  records bodies, taken apart in SQL as the recorder does it in C
#     t.put(body, id)             records one body, returns its id
#     t.app_*                     functions for sql handlers
package SqlRig;
use v5.36;
use parent 'Rig';

# The schema t with t.record. What is no event is malformed, with or without a reason.
our $record = <<~'SQL';
    create schema t;
    create function t.doc(body text) returns jsonb language plpgsql as $$
        begin
            return case when body::jsonb ->> 'module' <> '' and jsonb_typeof(body::jsonb -> 'payload') = 'object' then body::jsonb end;
        exception when others then
            return null;
        end $$;
    create function t.record(ids uuid[], bodies text[], reasons text[] default null, segments uuid[] default '{}',
                             positions bigint[] default '{}', notify boolean default true, not_at_once text[] default null)
    returns table (kind text, id uuid, module text, type text, detail text, events bigint) language plpgsql as $$
        #variable_conflict use_column
        begin
            return query
            with given as (
                select g.id, g.body, case when g.reason is null then t.doc(g.body) end as doc, coalesce(g.reason, 'no event') as reason
                  from unnest(ids, bodies, reasons) as g (id, body, reason)
            ), event as (
                select coalesce(array_agg(g.id), '{}') as ids, coalesce(array_agg(g.doc ->> 'module'), '{}') as modules, coalesce(array_agg(g.doc ->> 'type'), '{}') as types,
                       coalesce(array_agg(g.doc -> 'context' ->> 'originCommunityId'), '{}') as origins, coalesce(array_agg(g.doc -> 'context' ->> 'userId'), '{}') as users,
                       coalesce(array_agg(g.doc -> 'context' ->> 'communityId'), '{}') as communities, coalesce(array_agg(g.doc -> 'context' ->> 'profileId'), '{}') as profiles,
                       coalesce(array_agg((g.doc -> 'payload')::text), '{}') as payloads,
                       coalesce(array_agg(nullif(g.doc - '{module,type,context,payload}'::text[]
                           || coalesce(nullif(jsonb_build_object('context', (g.doc -> 'context') - '{originCommunityId,userId,communityId,profileId}'::text[]),
                                              '{"context":{}}'), '{}'), '{}')::text), '{}') as extras
                  from given g where g.doc is not null
            ), malformed as (
                select coalesce(array_agg(g.id), '{}') as ids, coalesce(array_agg(convert_to(g.body, 'UTF8')), '{}') as bodies, coalesce(array_agg(g.reason), '{}') as reasons
                  from given g where g.doc is null
            )
            select r.kind, r.id, r.module, r.type, r.detail, r.events
              from event e, malformed m, candhook_internal.record(segments, positions, e.ids, e.modules, e.types, e.origins, e.users, e.communities, e.profiles,
                                                         e.payloads, e.extras, m.ids, m.bodies, m.reasons, notify, not_at_once) r;
        end $$;
    SQL

# Only the cluster.
sub bare ($class, %setting) {
    my $rig = Rig::new($class, programs => []);
    $rig->cluster(%setting);
    return $rig;
}

sub new ($class, %setting) {
    my $rig = $class->bare(%setting);
    $rig->schema_file;
    $rig->sql($record);
    $rig->sql(<<~'SQL');
        grant usage on schema t to public;
        create function t.id(milliseconds integer default 0) returns uuid language sql volatile as $$
            select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint + milliseconds), 12, '0')
                    || '7' || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid $$;
        create function t.event(type text default 'product.created', payload text default '{}', community text default 'G1')
        returns text language sql as $$
            select format('{"module":"MOIM","type":"%s","context":{"originCommunityId":"%s"},"payload":%s}', type, community, payload) $$;
        create function t.put(body text default t.event(), id uuid default t.id(), reason text default null) returns uuid language plpgsql as $$
            begin
                perform t.record(array[id], array[body], array[reason]);
                return id;
            end $$;
        create table t.effect (event_id uuid, said text);
        grant insert, select on t.effect to public;
        create function t.note(event candhook.event, bot_token text) returns text language plpgsql as $$
            begin
                insert into t.effect values (event.id, coalesce(bot_token, '-'));
                return 'noted';
            end $$;
        create function t.fail(event candhook.event, bot_token text) returns text language plpgsql as $$
            begin
                insert into t.effect values (event.id, 'must not stay');
                raise exception 'it is broken, said %', coalesce(bot_token, 'nobody');
            end $$;
        SQL
    return $rig;
}

# Stores a handler named as its function in t; members override.
sub handler ($rig, $function, %member) {
    my %row = (name => $function, module => 'MOIM', type => 'product.created', kind => 'sql', target => "t.$function", %member);
    my @columns = sort keys %row;
    my @values = map { defined $row{$_} ? "'" . $row{$_} =~ s/'/''/gr . "'" : 'null' } @columns;
    local $" = ', ';
    $rig->sql("insert into candhook.handler (@columns) values (@values)");
}

# Claims in one transaction; returns the lease, '' when there was nothing.
sub claim ($rig, $worker = 'w', $batch = 100) {
    return $rig->sql("select distinct lease from candhook_internal.claim('$worker', $batch)");
}

# A worker's loop: claims and runs until nothing is due. Returns how many batches there were.
sub work ($rig) {
    my $batches = 0;
    while (my $lease = $rig->claim) {
        $rig->sql("select count(*) from candhook_internal.run_sql($lease)");
        $batches++;
    }
    return $batches;
}

# What came of an event, in order: 'handler/attempt result', one a line.
sub outcomes ($rig, $id) {
    return $rig->sql("select handler || '/' || attempt || ' ' || result from candhook.outcome where event_id = '$id' order by handler, attempt");
}

# Everything that is due later is due now.
sub skip_time ($rig) {
    $rig->sql("update candhook.delivery set due_at = now() where due_at > now()");
}

# Empties all but the schema.
sub clear ($rig) {
    $rig->sql('set session_replication_role = replica; truncate candhook.event, candhook.outcome, candhook.malformed, candhook.delivery, candhook.handler, candhook.bot_token, '
          . 'candhook_internal.spool_position, t.effect');
}

1;
