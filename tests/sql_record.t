# SPDX-License-Identifier: ISC
#
# candhook.record: events once, malformed bodies with every byte, deliveries, unhandled events, positions of the spool.
use v5.36;
use utf8;
use Test::More;
use SqlRig;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);
my $rig = SqlRig->new;

# Records bodies (bytes) in one call; gives their ids, and what record returned in $returned.
my $returned;
sub record (@bodies) {
    my $list = join ', ', map { "'\\x" . unpack('H*', $_) . "'::bytea" } @bodies;
    my $text = $rig->sql(qq{
        create temp table call as select array_agg(id order by n) as ids, array_agg(body order by n) as bodies
          from (select n, t.id(n::integer) as id, body from unnest(array[$list]) with ordinality as u (body, n)) x;
        select id from call, unnest(ids) as id;
        select '--';
        select r.kind, array_position(ids, r.id), r.module, r.type, r.detail, r.events
          from call, candhook.record('{}', '{}', ids, bodies, array_fill(null::text, array[cardinality(ids)])) r});
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
my $text = '{"module":"MOIM","type":"product.voted","context":{"originCommunityId":"G1","userId":null,"communityId":"G2","later":[1]},'
  . '"payload":{"big":123456789012345678901234567890,"exact":1.10000000000000000000000000000000000001,"e":1e400},"more":{"a":[true,null]}}';
my ($id) = record($text);
is $returned, 'unhandled|1|MOIM|product.voted|{"later": [1], "userId": null, "communityId": "G2", "originCommunityId": "G1"}|1',
  'an event that no handler matches is told';
is $rig->sql(qq{select module, type, origin_community_id, user_id, community_id, profile_id, payload->>'big', payload->>'exact', length(payload->>'e'), extra
                from candhook.event where id = '$id'}),
  'MOIM|product.voted|G1||G2||123456789012345678901234567890|1.10000000000000000000000000000000000001|401|'
  . '{"more": {"a": [true, null]}, "context": {"later": [1], "userId": null}}', 'columns, every digit, what is beyond in extra';
is $rig->sql(qq{select candhook.body(e) = '$text'::jsonb from candhook.event e}), 't', 'body gives the same value back';
is $rig->sql("select candhook.body(e)::text like '%1.10000000000000000000000000000000000001%' from candhook.event e"), 't', 'to the last digit';
is $rig->outcomes($id), '/0 unhandled', 'its outcome is unhandled';

for my $same (
    '{"module":"M","type":"t","context":{},"payload":{}}',
    '{"module":"M","type":"t","context":{"originCommunityId":"","x":null},"payload":{"context":1},"originCommunityId":5}',
    '{"module":"M","type":"t","context":{"originCommunityId":null,"userId":null,"communityId":null,"profileId":null},"payload":{"a":{"b":null}}}',
    '{"module":"Ünï","type":"😀","context":{"userId":"\u00e9"},"payload":{"":"\u001f\\\\\""},"":{},"MODULE":1,"extra":{}}'
) {
    my $bytes = $same;
    utf8::encode($bytes);
    ($id) = record($bytes);
    is $rig->sql("select candhook.body(e) = \$x\$$bytes\$x\$::jsonb from candhook.event e where id = '$id'"), 't', "the same value: $same";
}
is $rig->sql("select count(*) from candhook.event where extra = '{}'"), 0, 'extra is null when there is nothing beyond';

# ---- as a browser reads it ----
($id) = record("\xef\xbb\xbf" . '{"module":"A","module":"B","type":"t","context":{"userId":5},"context":{"userId":"u"},"payload":{}}');
is $rig->sql("select module, user_id from candhook.event where id = '$id'"), 'B|u', 'a byte order mark is tolerated, the last of equal names wins';
($id) = record('{"Module":"A","type":"t","context":{},"payload":{}}');
like malformed($id), qr/module is not text/, 'names are case-sensitive';

# ---- malformed, between two good ones ----
my $good = '{"module":"M","type":"t","context":{},"payload":{}}';
my %bad = (
    'no JSON'            => [ '{"module":', qr/invalid input syntax/ ],
    'empty'              => [ '', qr/invalid input syntax/ ],
    'text behind'        => [ "$good x", qr/invalid input syntax/ ],
    'a second mark'      => [ "\xef\xbb\xbf\xef\xbb\xbf$good", qr/invalid input syntax/ ],
    'a NUL'              => [ '{"module":"M","type":"t","context":{},"payload":{"a":"\u0000"}}', qr/unsupported Unicode escape sequence: \\u0000/ ],
    'a raw NUL'          => [ "$good\0", qr/invalid byte sequence.*0x00/ ],
    'a lone surrogate'   => [ '{"module":"M","type":"t","context":{},"payload":{"a":"\ud800"}}', qr/Unicode/ ],
    'a low surrogate'    => [ '{"module":"M","type":"t","context":{},"payload":{"a":"\udc00x"}}', qr/Unicode/ ],
    'invalid UTF-8'      => [ "{\"module\":\"M\",\"type\":\"\xff\",\"context\":{},\"payload\":{}}", qr/invalid byte sequence for encoding "UTF8": 0xff/ ],
    'a raw control byte' => [ "{\"module\":\"M\ntype\",\"type\":\"t\",\"context\":{},\"payload\":{}}", qr/invalid input syntax/ ],
    'a leading zero'     => [ '{"module":"M","type":"t","context":{},"payload":{"a":01}}', qr/invalid input syntax/ ],
    'a vast number'      => [ '{"module":"M","type":"t","context":{},"payload":{"a":1e131072}}', qr/overflow/ ],
    'too deep'           => [ '{"module":"M","type":"t","context":{},"payload":' . '{"a":' x 20000 . '1' . '}' x 20001, qr/stack depth/ ],
    'an array'           => [ '[]', qr/not a JSON object/ ],
    'a scalar'           => [ '"x"', qr/not a JSON object/ ],
    'null'               => [ 'null', qr/not a JSON object/ ],
    'no module'          => [ '{"type":"t","context":{},"payload":{}}', qr/module is not text/ ],
    'module a number'    => [ '{"module":5,"type":"t","context":{},"payload":{}}', qr/module is not text/ ],
    'module empty'       => [ '{"module":"","type":"t","context":{},"payload":{}}', qr/module is empty/ ],
    'module long'        => [ '{"module":"' . "\xc3\xa9" x 128 . '","type":"t","context":{},"payload":{}}', qr/module is .*longer than 255 bytes/ ],
    'type null'          => [ '{"module":"M","type":null,"context":{},"payload":{}}', qr/type is not text/ ],
    'type empty'         => [ '{"module":"M","type":"","context":{},"payload":{}}', qr/type is empty/ ],
    'no context'         => [ '{"module":"M","type":"t","payload":{}}', qr/context is not an object/ ],
    'context an array'   => [ '{"module":"M","type":"t","context":["userId"],"payload":{}}', qr/context is not an object/ ],
    'context null'       => [ '{"module":"M","type":"t","context":null,"payload":{}}', qr/context is not an object/ ],
    'payload text'       => [ '{"module":"M","type":"t","context":{},"payload":"{}"}', qr/payload is not an object/ ],
    map({ ("$_ a number" => [ qq({"module":"M","type":"t","context":{"$_":5},"payload":{}}), qr/context\.$_ is not text/ ],
          "$_ long" => [ qq({"module":"M","type":"t","context":{"$_":") . 'x' x 256 . '"},"payload":{}}', qr/context\.$_ is longer than 255 bytes/ ])
    } qw(originCommunityId userId communityId profileId))
);
for my $what (sort keys %bad) {
    my ($body, $reason) = $bad{$what}->@*;
    my ($one, $two, $three) = record($good, $body, $good);
    my ($hex, $said) = split / /, malformed($two), 2;
    ok $hex eq unpack('H*', $body) && $said =~ $reason, "$what: malformed, with the reason and every byte" or diag $said;
    like $returned, qr/^malformed\|2\|\|\|.*\|1$/m, "$what: and told";
    is $rig->sql("select count(*) from candhook.event where id in ('$one', '$two', '$three')"), 2, "$what: its neighbours are recorded";
}
my @bodies = map { $bad{$_}[0] } sort keys %bad;
my @ids = record($good, @bodies, $good);
is $rig->sql("select count(*) from candhook.malformed where id in ('" . join("','", @ids) . "')"), scalar @bodies, 'all of them in one batch';
is scalar(() = $returned =~ /^malformed/gm), scalar @bodies, 'each is told';
like $returned, qr/^unhandled\|1\|M\|t\|\{\}\|2$/m, 'unhandled events are told once for each module and type';
my $vast = '{"module":"' . 'm' x 255 . '","type":"' . 't' x 255 . '","context":{"userId":"' . 'u' x 255 . '"},"payload":{}}';
($id) = record($vast);
like body($id), qr/m{255}/, '255 bytes are not too long';

# ---- given reasons ----
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
is $rig->sql(qq{select r.kind from candhook.record('{}', '{}', array['$event', '$broken']::uuid[], array[t.event(), 'x']::bytea[], array[null, null]) r}), '',
  'recorded again, there is nothing to tell';
is $rig->sql($all), '1|1|1|0', 'and nothing new';
$rig->work;
$rig->sql("select t.put(t.event(), '$event')");
is $rig->sql($all), '1|0|1|1', 'what is done is not done again';
$rig->sql("select t.put('x', '$event'); select t.put(t.event(), '$broken')");
is $rig->sql($all), '1|0|1|1', 'an id that is an event becomes no malformed body, nor the other way round';
is $rig->sql(qq{select count(*) from candhook.record('{}', '{}', array['$event', '$broken']::uuid[], array[t.event(), 'x']::bytea[], array['cut off', 'cut off'])}), 0, 'nor with a reason';
$id = $rig->sql('select t.id()');
$rig->sql(qq{select count(*) from candhook.record('{}', '{}', array['$id', '$id']::uuid[], array[t.event(), t.event()]::bytea[], array[null, null]::text[])});
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
is $rig->sql(q{select candhook.spool_position('00000000-0000-7000-8000-000000000001')}), 0, 'an unknown file is read from its beginning';
$rig->sql(q{select count(*) from candhook.record(array['00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000001']::uuid[],
              array[10, 20, 30], '{}', '{}', '{}')});
is $rig->sql(q{select candhook.spool_position('00000000-0000-7000-8000-000000000001'), candhook.spool_position('00000000-0000-7000-8000-000000000002')}), '30|20', 'positions are stored';
$rig->sql(q{select count(*) from candhook.record(array['00000000-0000-7000-8000-000000000001']::uuid[], array[5], '{}', '{}', '{}')});
is $rig->sql(q{select candhook.spool_position('00000000-0000-7000-8000-000000000001')}), 30, 'and never go back';
$rig->sql(q{select candhook.forget(array['00000000-0000-7000-8000-000000000001']::uuid[])});
is $rig->sql(q{select candhook.spool_position('00000000-0000-7000-8000-000000000001'), candhook.spool_position('00000000-0000-7000-8000-000000000002')}), '0|20', 'until they are forgotten';
is $rig->sql(q{begin; select count(*) from candhook.record(array['00000000-0000-7000-8000-000000000003']::uuid[], array[7], array[t.id()], array[t.event()]::bytea[], array[null::text]);
               rollback; select candhook.spool_position('00000000-0000-7000-8000-000000000003')}), "1\n0", 'they belong to the transaction that records';
like $rig->sql_error(q{select * from candhook.record('{}', '{}', array[t.id()], '{}', '{}')}), qr/do not fit together/, 'arrays of different lengths are refused';

# ---- durable, and told ----
is $rig->sql(q{set synchronous_commit = off; begin; select t.put() is null; show synchronous_commit; commit; show synchronous_commit}), "f\non\noff", 'a recording is durable, whatever the session is';
my $listener = $rig->psql_session;
$listener->query('listen candhook;');
$rig->sql(q{select t.put(t.event('nobody.cares'))});
unlike $listener->query('select 1;') . $listener->query('select 1;'), qr/notification/, 'no delivery, no notice';
$rig->sql(q{select t.put(t.event('product.voted'))});
like $listener->query('select 1;') . $listener->query('select 1;'), qr/notification "candhook"/, 'a delivery is told';
$rig->sql(q{select count(*) from candhook.record('{}', '{}', array[t.id()], array[t.event()]::bytea[], array[null::text], notify => false)});
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
