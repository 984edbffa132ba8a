# SPDX-License-Identifier: ISC
#
# candhook_internal.record: events once, malformed bodies with every byte, deliveries, unhandled events, positions of the spool.
use v5.36;
use utf8;
use Test::More;
use SqlRig;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);
my $rig = SqlRig->new;

# Records bodies in one call; gives their ids, and what record returned in $returned.
my $returned;
sub record (@bodies) {
    my $list = join ', ', map { "'" . s/'/''/gr . "'" } @bodies;
    my $text = $rig->sql(qq{
        create temp table call as select array_agg(id order by n) as ids, array_agg(body order by n) as bodies
          from (select n, t.id(n::integer) as id, body from unnest(array[$list]::text[]) with ordinality as u (body, n)) x;
        select id from call, unnest(ids) as id;
        select '--';
        select r.kind, array_position(ids, r.id), r.module, r.type, r.detail, r.events from call, t.record(ids, bodies) r});
    (my $ids, $returned) = split /^--\n?/m, $text;
    return split /\n/, $ids;
}

sub malformed ($id) {
    return $rig->sql("select encode(body, 'hex') || ' ' || reason from candhook.malformed where id = '$id' and received_at = candhook.received_at('$id')");
}

sub body ($id) {
    return $rig->sql("select candhook.body(e) from candhook.event e where id = '$id' and received_at = candhook.received_at('$id')");
}

# ---- the time in an id ----
is $rig->sql(q{select bool_and(extract(epoch from candhook.received_at((lpad(to_hex(n), 12, '0') || '7000800000000000ffff')::uuid)) * 1000 = n)
               from (select (random() * 281474976710655)::bigint n from generate_series(1, 1000)
                     union all values (0), (1), (65535), (65536), (4294967295), (4294967296), (281474976710655)) x}), 't',
  'every millisecond of 48 bits is exact';
is $rig->sql(q{set timezone = 'Asia/Kathmandu'; select candhook.received_at('019ab1c2-d3e4-7000-8000-000000000000') = to_timestamp(1763918926.820)}), 't',
  'whatever the time zone';

# ---- one event, whole ----
my $text = '{"module":"MOIM","type":"product.voted","context":{"originCommunityId":"G1","communityId":"G2","later":[1]},'
  . '"payload":{"big":123456789012345678901234567890,"exact":1.10000000000000000000000000000000000001,"e":1e400},"more":{"a":[true,null]}}';
my ($id) = record($text);
is $returned, 'unhandled|1|MOIM|product.voted|{"later": [1], "communityId": "G2", "originCommunityId": "G1"}|1',
  'an event that no handler matches is told';
is $rig->sql(qq{select module, type, origin_community_id, user_id, community_id, profile_id, payload->>'big', payload->>'exact', length(payload->>'e'), extra
                from candhook.event where id = '$id'}),
  'MOIM|product.voted|G1||G2||123456789012345678901234567890|1.10000000000000000000000000000000000001|401|'
  . '{"more": {"a": [true, null]}, "context": {"later": [1]}}', 'columns, every digit, what is beyond in extra';
is $rig->sql(qq{select candhook.body(e) = '$text'::jsonb from candhook.event e}), 't', 'body gives the same value back';
is $rig->sql("select candhook.body(e)::text like '%1.10000000000000000000000000000000000001%' from candhook.event e"), 't', 'to the last digit';
is $rig->outcomes($id), '/0 unhandled', 'its outcome is unhandled';

# ---- what jsonb cannot hold: nothing of the batch is recorded, and the caller is told which ----
my $good = '{"module":"M","type":"t","context":{},"payload":{}}';
sub record_payloads ($extra, @payloads) {
    my $list = join ', ', map { "'$_'" } @payloads;
    return $rig->sql(qq{with given as (select array_agg(t.id()) as ids, array_agg('M'::text) as m, array_agg(payload) as payloads, array_agg(null::text) as none
                                         from unnest(array[$list]) as payload)
        select r.kind, array_position(ids, r.id), r.module, r.type, r.detail, r.events
          from given, candhook_internal.record(array['00000000-0000-7000-8000-000000000009'::uuid], array[9], ids, m, m, none, none, none, none, payloads,
                                      array_fill('$extra'::text, array[cardinality(ids)]), '{}', '{}', '{}') r});
}
my $before = $rig->sql('select count(*) from candhook.event');
my $digits = '1' x 140_000;
like record_payloads('{}', '{}', qq({"a":$digits}), '{}', '{"a":"\u0000"}'),
  qr/\Arefused\|2\|\|\|[^\n]*overflow[^\n]*\|1\nrefused\|4\|\|\|[^\n]*\\u0000[^\n]*\|1\z/, 'a number beyond all bounds: refused, with the reason, and nothing else is told';
is $rig->sql('select count(*) from candhook.event'), $before, 'nothing of that batch is recorded';
is $rig->sql(q{select candhook_internal.spool_position('00000000-0000-7000-8000-000000000009')}), 0, 'nor how far the spool is';
like record_payloads(qq({"b":$digits}), '{}', '{}'), qr/\Arefused\|1\|[^\n]*\nrefused\|2\|[^\n]*\z/, 'in extra as well';
like record_payloads('{}', '{}', '{}'), qr/\Aunhandled\|1\|M\|M\|\{\}\|2\z/, 'unhandled events are told once for each module and type';
is $rig->sql(q{select candhook_internal.spool_position('00000000-0000-7000-8000-000000000009')}), 9, 'then the spool is further';

# ---- what people add: an event is refused when a plain one would be stored ----
my $row = q{select count(*) from candhook.event};
for my $case (
    [ 'a check', q{alter table candhook.event add constraint small check (length(payload::text) < 50) not valid}, q{alter table candhook.event drop constraint small},
        '{"id":"' . 'x' x 60 . '"}', qr/check constraint "small"/ ],
    [ 'an index of large values', q{create index large on candhook.event ((payload ->> 'text'))}, 'drop index candhook.large',
        '{"text":"' . join('', map { sprintf '%x', int rand 2**31 } 1 .. 3000) . '"}', qr/index row (?:size|requires)/ ],
    [ 'a trigger', q{create function public.refuse() returns trigger language plpgsql as $$ begin
            if new.payload ? 'bad' then raise 'no bad ones'; end if; return new; end $$;
            create trigger refuse before insert on candhook.event for each row execute function public.refuse()},
        'drop trigger refuse on candhook.event', '{"bad":1}', qr/no bad ones/ ],
    [ 'a deferred trigger', q{create constraint trigger refuse after insert on candhook.event deferrable initially deferred for each row execute function public.refuse()},
        'drop trigger refuse on candhook.event', '{"bad":2}', qr/no bad ones/ ],
    [ 'an exclusion of what is there twice', q{create table public.seen (id text primary key); create function public.see() returns trigger language plpgsql as $$ begin
            insert into public.seen select new.payload ->> 'once' where new.payload ? 'once'; return new; end $$;
            create trigger see before insert on candhook.event for each row execute function public.see()},
        'drop trigger see on candhook.event; drop table public.seen', '{"once":"a"}', qr/duplicate key/, '{"once":"a"}' ],
  ) {
    my ($what, $add, $drop, $bad, $reason, @beside) = @$case;
    $rig->sql($add);
    my $there = $rig->sql($row);
    my $number = @beside ? '[23]' : 2;    # of two alike, whichever comes second by its id
    like record_payloads('{}', '{}', @beside, $bad), qr/\Arefused\|$number\|\|\|[^\n]*$reason[^\n]*\|1\z/, "$what refuses one event, and its neighbour is none of it";
    unlike record_payloads('{}', $bad), qr/Failing row|\bxxx/, 'the reason shows no data' if $what eq 'a check';
    like record_payloads('{}', $bad), qr/\Arefused\|1\|/, 'alone, too' if !@beside;
    is $rig->sql($row), $there, 'nothing is stored';
    $rig->sql($drop);
}
$rig->sql(q{create function public.refuse_all() returns trigger language plpgsql as $$ begin raise 'none at all'; end $$;
            create trigger refuse before insert on candhook.event for each row execute function public.refuse_all()});
like $rig->sql_error(q{select t.put()}), qr/none at all/, 'what refuses every event is an error, and no event is to blame';
$rig->sql(q{create or replace function public.refuse_all() returns trigger language plpgsql as $$ begin
            if new.payload ? 'bad' then raise 'not now' using errcode = 'lock_not_available'; end if; return new; end $$});
like $rig->sql_error(q{select t.put(t.event(payload => '{"bad":1}'))}), qr/not now/, 'so is what may pass by itself';
$rig->sql('drop trigger refuse on candhook.event');

# ---- given reasons ----
my ($one, $two) = record($good, '{"module":');
is malformed($two), unpack('H*', '{"module":') . ' no event', 'a malformed body has its reason and every byte';
like $returned, qr/^malformed\|2\|\|\|no event\|1$/m, 'and is told';
is $rig->sql("select count(*) from candhook.event where id = '$one'"), 1, 'its neighbour is recorded';
$id = $rig->sql(q!select t.put('{"module":"M"', t.id(), 'cut off')!);
is malformed($id), unpack('H*', '{"module":"M"') . ' cut off', 'a body that is known to be malformed keeps that reason';
$id = $rig->sql("select t.put(\$\$$good\$\$, t.id(), 'nested too deeply')");
like malformed($id), qr/nested too deeply/, 'even when it is JSON';

# ---- idempotent ----
$rig->clear;
$rig->handler('note');
my ($event, $broken) = split /\n/, $rig->sql('select t.put(); select t.put($$x$$)');
my $all = 'select (select count(*) from candhook.event), (select count(*) from candhook.delivery), (select count(*) from candhook.malformed), (select count(*) from candhook.outcome)';
is $rig->sql($all), '1|1|1|0', 'one of each';
is $rig->sql(qq{select r.kind from t.record(array['$event', '$broken']::uuid[], array[t.event(), 'x']) r}), '',
  'recorded again, there is nothing to tell';
is $rig->sql($all), '1|1|1|0', 'and nothing new';
$rig->work;
$rig->sql("select t.put(t.event(), '$event')");
is $rig->sql($all), '1|0|1|1', 'what is done is not done again';
$rig->sql("select t.put('x', '$event'); select t.put(t.event(), '$broken')");
is $rig->sql($all), '1|0|1|1', 'an id that is an event becomes no malformed body, nor the other way round';
is $rig->sql(qq{select count(*) from t.record(array['$event', '$broken']::uuid[], array[t.event(), 'x'], array['cut off', 'cut off'])}), 0, 'nor with a reason';
$id = $rig->sql('select t.id()');
$rig->sql(qq{select count(*) from t.record(array['$id', '$id']::uuid[], array[t.event(), t.event()])});
is $rig->sql($all), '2|1|1|1', 'an id twice in one batch is one event';

# ---- handlers that match ----
$rig->clear;
my %pattern = (all => [ '*', '*' ], moim => [ 'MOIM', '*' ], product => [ 'MOIM', 'product.*' ], created => [ 'MOIM', 'product.created' ],
    deep => [ 'MOIM', 'product.created.*' ], other => [ 'OTHER', 'product.*' ], upper => [ 'MOIM', 'Product.*' ], off => [ 'MOIM', 'product.voted' ]);
$rig->handler('note', name => $_, module => $pattern{$_}[0], type => $pattern{$_}[1], enabled => $_ eq 'off' ? 0 : 1) for keys %pattern;
my %expected = ('product.created' => 'all created moim product', 'product.created.late' => 'all deep moim product', 'product.' => 'all moim product',
    product => 'all moim', productx => 'all moim', 'x.product.created' => 'all moim', 'product.voted' => 'all moim off product', '%' => 'all moim');
for my $type (sort keys %expected) {
    $id = $rig->sql("select t.put(t.event('$type'))");
    is $rig->sql("select string_agg(handler, ' ' order by handler) from candhook.delivery where event_id = '$id'"), $expected{$type}, "who gets $type";
}
$rig->sql(q{delete from candhook.handler where name <> 'off'});
$id = $rig->sql("select t.put(t.event('product.voted'))");
is $rig->outcomes($id), '', 'what only a disabled handler matches is not unhandled';
is $rig->sql("select handler from candhook.delivery where event_id = '$id'"), 'off', 'it waits';

# ---- positions ----
is $rig->sql(q{select candhook_internal.spool_position('00000000-0000-7000-8000-000000000001')}), 0, 'an unknown file is read from its beginning';
$rig->sql(q{select count(*) from candhook_internal.record(array['00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000001']::uuid[],
              array[10, 20, 30], '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')});
is $rig->sql(q{select candhook_internal.spool_position('00000000-0000-7000-8000-000000000001'), candhook_internal.spool_position('00000000-0000-7000-8000-000000000002')}), '30|20', 'positions are stored';
$rig->sql(q{select count(*) from candhook_internal.record(array['00000000-0000-7000-8000-000000000001']::uuid[], array[5], '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')});
is $rig->sql(q{select candhook_internal.spool_position('00000000-0000-7000-8000-000000000001')}), 30, 'and never go back';
$rig->sql(q{select candhook_internal.forget(array['00000000-0000-7000-8000-000000000001']::uuid[])});
is $rig->sql(q{select candhook_internal.spool_position('00000000-0000-7000-8000-000000000001'), candhook_internal.spool_position('00000000-0000-7000-8000-000000000002')}), '0|20', 'until they are forgotten';
is $rig->sql(q{begin; select count(*) from t.record(array[t.id()], array[t.event()], null, array['00000000-0000-7000-8000-000000000003']::uuid[], array[7]);
               rollback; select candhook_internal.spool_position('00000000-0000-7000-8000-000000000003')}), "1\n0", 'they belong to the transaction that records';
my @arrays = map { "'{}'" } 1 .. 14;
for my $n (0 .. $#arrays) {
    my @odd = @arrays;
    $odd[$n] = $n =~ /^(?:0|2|11)$/ ? 'array[t.id()]' : $n == 1 ? 'array[1]' : "'{x}'";
    my $list = join ', ', @odd;
    like $rig->sql_error("select * from candhook_internal.record($list)"), qr/do not fit together/, "an array of another length is refused, be it number $n";
}

# ---- durable, and told ----
is $rig->sql(q{set synchronous_commit = off; begin; select t.put() is null; show synchronous_commit; commit; show synchronous_commit}), "f\non\noff", 'a recording is durable, whatever the session is';
my $listener = $rig->psql_session;
$listener->query('listen candhook;');
$rig->sql(q{select t.put(t.event('nobody.cares'))});
unlike $listener->query('select 1;') . $listener->query('select 1;'), qr/notification/, 'no delivery, no notice';
$rig->sql(q{select t.put(t.event('product.voted'))});
like $listener->query('select 1;') . $listener->query('select 1;'), qr/notification "candhook"/, 'a delivery is told';
$rig->sql(q{select count(*) from t.record(array[t.id()], array[t.event()], notify => false)});
unlike $listener->query('select 1;') . $listener->query('select 1;'), qr/notification/, 'unless who records wakes its own workers';

# ---- a handler that is being removed or renamed ----
$rig->clear;
$rig->handler('note');
my ($admin, $recorder) = map { $rig->psql_session } 1, 2;
$admin->query(q{begin; update candhook.handler set name = 'new' where name = 'note';});
$recorder->async(q{select t.put();});
$rig->wait_until(sub { $rig->sql('select count(*) from pg_locks where not granted') }, 'the recorder waits for the renaming');
$admin->query('commit;');
$recorder->result;
is $rig->sql('select handler from candhook.delivery'), 'new', 'an event that is recorded meanwhile goes to the new name';
$admin->query(q{begin; update candhook.handler set enabled = false, timeout = '1 s', type = 'product.*' where name = 'new';});
$recorder->query(q{select t.put();});
is $rig->sql('select count(*) from candhook.delivery'), 2, 'any other change in an open transaction stops nobody';
$admin->query('rollback;');
$recorder->query('begin; select t.put();');
$admin->async('delete from candhook.handler;');
$rig->wait_until(sub { $rig->sql('select count(*) from pg_locks where not granted') }, 'the removal waits for the recorder');
$recorder->query('commit;');
$admin->result;
is $rig->sql('select count(*) from candhook.delivery'), 0, 'a removal leaves no delivery behind, however late it came';
is $rig->sql('select result, detail, count(*) from candhook.outcome group by 1, 2'), 'failed|handler removed|3', 'each has its outcome';

# ---- no table is read as a whole ----
$rig->clear;
$rig->handler('note');
$recorder->query('select t.put() from generate_series(1, 20);');
$recorder->query('select t.put($$x$$) from generate_series(1, 20);');
$rig->wait_until(sub { $rig->sql(q{select sum(n_tup_ins) from pg_stat_user_tables where relname ~ '^malformed'}) > 20 }, 'the statistics have arrived');
my $first = $rig->sql(q{select sum(seq_scan) from pg_stat_user_tables where relname ~ '^(event|malformed|outcome|delivery)'});
$recorder->query('select t.put() from generate_series(1, 200);');
$recorder->query('select t.put($$x$$) from generate_series(1, 200);');
$recorder->close;
$rig->wait_until(sub { $rig->sql(q{select n_tup_ins > 200 from pg_stat_user_tables where relname = 'delivery'}) eq 't' }, 'the statistics have arrived');
is $rig->sql(q{select sum(seq_scan) from pg_stat_user_tables where relname ~ '^(event|malformed|outcome|delivery)'}), $first, 'recording reads tables by their keys only';

done_testing;
