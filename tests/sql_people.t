# SPDX-License-Identifier: ISC
#
# What people do in psql: handlers made, paused and removed; replay, retry and giving up; the views; and the policy of a
# handler: budget, strict order, concurrency, a token that is refused, a delay that was asked for.
use v5.36;
use Test::More;
use SqlRig;

my $rig = SqlRig->new;
my @c = (kind => 'c', target => 'x.so');

sub finish ($lease, $ids, $result, $detail = 'said', $delay = 'null') {
    my @ids = ref $ids ? @$ids : $ids;
    my $list = sub ($value) { 'array[' . join(', ', ($value) x @ids) . ']' };
    my $names = join ', ', map { "'$_'" } @ids;
    return $rig->sql("select result from candhook_internal.finish($lease, array[$names]::uuid[], " . $list->("'$result'") . ', ' . $list->("'$detail'") . ', '
          . $list->('now()') . ', ' . $list->('now()') . ', ' . $list->($delay) . '::integer[])');
}
sub delivery ($columns, $where = 'true') { return $rig->sql("select $columns from candhook.delivery where $where order by received_at, event_id") }
sub due_now { $rig->sql("update candhook.delivery set due_at = now() - interval '1 ms' where lease is null") }
sub event_ids ($lease) { return split /\n/, $rig->sql("select event_id from candhook.delivery where lease = $lease order by received_at, event_id") }

# ---- handlers by name ----
$rig->sql(q{select candhook.add_handler('a', 'MOIM', 'product.*', 'c', 'x.so', max_attempts => 2, first_delay => '10 s')});
is $rig->sql(q{select type, max_attempts, first_delay, jitter, ordered_by, enabled from candhook.handler}), 'product.*|2|00:00:10|0.5|none|t', 'a handler, with defaults';
like $rig->sql_error(q{select candhook.add_handler('a', 'MOIM', '*', 'c', 'x.so')}), qr/there is a handler 'a' already.*HINT:.*another name/s, 'twice';
like $rig->sql_error(q{select candhook.add_handler('b', 'MOIM', 'x*', 'c', 'x.so')}), qr/handler 'b': type cannot be 'x\*'.*HINT:  type: events of this type/s, 'what is refused is explained';
like $rig->sql_error(q{select candhook.add_handler('b', 'MOIM', 'x', 'c', 'x.so', max_attempts => 0)}), qr/max_attempts cannot be '0'.*HINT/s, 'by column';
like $rig->sql_error(q{select candhook.add_handler('b', 'MOIM', 'x', 'sql', 'nowhere.f')}), qr/there is no function nowhere\.f/, 'sql targets, too';
my $id = $rig->sql('select t.put()');
is $rig->sql(q{select count(*) from (select candhook.disable_handler('a')) x}), 1, 'paused';
is $rig->claim // '', '', 'nothing is given out';
is $rig->sql(q{select candhook.enable_handler('a')}), 1, 'it tells what has waited';
for my $call (q{enable_handler('nobody')}, q{disable_handler('nobody')}, q{remove_handler('nobody')}, q{retry_failed('nobody')}, q{give_up(handler => 'nobody')}, "replay('$id', array['nobody'])") {
    like $rig->sql_error("select candhook.$call"), qr/there is no handler 'nobody'.*HINT:  There are: 'a'/s, "$call names those there are";
}

# ---- failing, replay, a fresh budget ----
is finish($rig->claim, $id, 'retry'), 'retry', 'the first attempt may be retried';
due_now();
is finish($rig->claim, $id, 'retry', 'the end'), 'failed', 'two attempts, then failed';
is $rig->sql('select handler, event, event_id, attempts, detail from candhook.failed'), "a|MOIM:product.created|$id|2|the end", 'the view failed';
is $rig->sql("select candhook.replay('$id')"), 1, 'replay';
is delivery('attempt, failures, due_at <= clock_timestamp()'), '2|0|t', 'numbers on, with a fresh budget, now';
is $rig->sql('select count(*) from candhook.failed'), 0, 'it is not failed meanwhile';
is finish($rig->claim, $id, 'retry'), 'retry', 'the third attempt may be retried';
due_now();
my $lease = $rig->claim;
is $rig->sql("select candhook.replay('$id')"), 0, 'what runs is left alone';
is finish($lease, $id, 'retry', 'again'), 'failed', 'the fourth is the end';
is $rig->sql('select string_agg(attempt || result, $$,$$ order by attempt) from candhook.outcome'), '1retry,2failed,3retry,4failed', 'all attempts are there';
is $rig->sql("select candhook.retry_failed(since => now() + interval '1 hour')"), 0, 'none since then';
is $rig->sql('select candhook.retry_failed()'), 1, 'retry_failed';
is finish($rig->claim, $id, 'ok'), 'ok', 'works at last';
is $rig->sql('select count(*) from candhook.failed'), 0, 'nothing is failed';
is $rig->sql('select candhook.retry_failed()'), 0, 'nothing to retry';
like $rig->sql_error("select candhook.replay('00000000-0000-7000-8000-000000000000')"), qr/there is no event 0{8}/, 'no such event';

# ---- replay of many ----
$rig->clear;
$rig->handler('a', @c, type => 'product.*');
$rig->handler('other', @c, type => 'product.voted');
$rig->handler('off', @c, type => '*', enabled => 'false');
my @ids = split /\n/, $rig->sql(q{select t.put(t.event(case n % 2 when 0 then 'product.created' else 'product.voted' end), t.id(n * 1000 - 100000)) from generate_series(1, 20) n});
$rig->sql('delete from candhook.delivery');
is $rig->sql(q{select candhook.replay(now() - interval '1 hour', now() + interval '1 hour', 'product.*')}), 30, 'all enabled handlers that match';
is $rig->sql(q{select string_agg(handler || n, ' ' order by handler) from (select handler, count(*) n from candhook.delivery group by handler) x}), 'a20 other10', 'each its own';
$rig->sql('delete from candhook.delivery');
is $rig->sql(q{select candhook.replay(now() - interval '1 hour', now() + interval '1 hour', 'product.voted', 'off')}), 10, 'a named one, though it is disabled';
$rig->sql('delete from candhook.delivery');
is $rig->sql("select candhook.replay('$ids[1]', array['other'])"), 1, 'a named one, though it does not match';
like $rig->sql_error(q{select candhook.replay(now(), now() - interval '1 h', '*')}), qr/there is no time from/, 'times the wrong way round';
like $rig->sql_error(q{select candhook.replay('-infinity'::timestamptz, 'infinity', 'a*b')}), qr/no type of event is like 'a\*b'/, 'a pattern that is none';

# ---- giving up ----
$rig->clear;
$rig->handler('a', @c);
my ($first, $second) = map { $rig->sql('select t.put()') } 1 .. 2;
like $rig->sql_error('select candhook.give_up()'), qr/neither an event nor a handler/, 'of what?';
$lease = $rig->claim;
is $rig->sql("select candhook.give_up('$first')"), 1, 'what runs';
is finish($lease, [ $first, $second ], 'ok'), 'ok', 'its late end counts only for the other';
is $rig->sql("select result, detail ~ '^given up by ' from candhook.outcome where event_id = '$first'"), 'failed|t', 'it is recorded who did';
$rig->sql('select t.put()') for 1 .. 3;
is $rig->sql(q{select candhook.give_up(handler => 'a', received_before => now() - interval '1 hour')}), 0, 'older ones only';
is $rig->sql(q{select candhook.give_up(handler => 'a')}), 3, 'all of a handler';
is $rig->sql('select count(*) from candhook.delivery '), 0, 'are gone';

# ---- views ----
$rig->clear;
$rig->handler('a', @c, type => 'product.created');
$rig->sql(q{select t.put(t.event('message.created')) from generate_series(1, 3)});
$rig->sql(q{select t.put(t.event('member.joined'))});
$rig->sql('select t.put()');
is $rig->sql('select module, type, events, first_at <= last_at from candhook.unhandled_types'), "MOIM|message.created|3|t\nMOIM|member.joined|1|t", 'unhandled_types';
$rig->handler('m', @c, type => 'message.*');
is $rig->sql('select type from candhook.unhandled_types'), 'member.joined', 'without those that are handled now';
is $rig->sql('select handler, event, attempt, running, worker is null from candhook.due'), 'a|MOIM:product.created|0|f|t', 'due';
$lease = $rig->claim;
is $rig->sql('select attempt, running, worker from candhook.due'), '1|t|w', 'due, running';
finish($lease, [ event_ids($lease) ], 'ok');
is $rig->sql(q{select enabled, last_ok > now() - interval '1 min', last_failed is null, ok_1h, failed_1h, retry_1h, ok_24h, unfinished, held, oldest_unfinished_age is null from candhook.handler_health where handler = 'a'}),
  't|t|t|1|0|0|1|0|0|t', 'handler_health';

# ---- a refused token ----
$rig->clear;
$rig->handler('n', @c, needs_token => 'true', max_attempts => 2);
$rig->sql(q{select candhook.set_bot_token('G1', 'one')});
$id = $rig->sql('select t.put()');
$lease = $rig->claim;
my $stored = $rig->sql(q{select stored_at from candhook_internal.bot_token('G1')});
is $rig->sql("select candhook_internal.refuse_bot_token('G1', '$stored')"), 't', 'the token is refused';
is finish($lease, $id, 'failed', 'refused'), 'retry', 'failing then is no end';
is delivery('held, attempt, failures, lease is null'), 't|1|0|t', 'held, and the attempt does not count as a failure';
is $rig->sql('select count(*) from candhook_internal.bot_token($$G1$$)'), 0, 'nobody is given it';
$rig->sql(q{select candhook.set_bot_token('G1', 'two')});
is finish($rig->claim, $id, 'retry'), 'retry', 'a new one releases it';
due_now();
is finish($rig->claim, $id, 'retry'), 'failed', 'with its whole budget';

# ---- Retry-After ----
$rig->clear;
$rig->handler('a', @c, first_delay => '1 s', jitter => 0);
$id = $rig->sql('select t.put()');
finish($rig->claim, $id, 'retry', '', 100);
cmp_ok delivery('extract(epoch from due_at - clock_timestamp())'), '>', 95, 'a delay that was asked for';
due_now();
finish($rig->claim, $id, 'retry', '', 10_000_000);
cmp_ok delivery('extract(epoch from due_at - clock_timestamp())'), '<=', 86400, 'is a day at most';
due_now();
finish($rig->claim, $id, 'retry', '', 0);
my $wait = delivery('extract(epoch from due_at - clock_timestamp())');
ok $wait > 3 && $wait <= 4, 'without jitter a delay is exact' or diag $wait;

# ---- strict order ----
for my $by ('community', 'payload id') {
    $rig->clear;
    $rig->handler('o', @c, ordered_by => $by);
    my %put = map { my $key = $_; $key => [ map { $rig->sql($by eq 'community' ? "select t.put(t.event(community => '$key'))" : qq{select t.put(t.event(payload => '{"id":"$key"}'))}) } 1 .. 3 ] } qw(A B);
    $lease = $rig->claim;
    is_deeply [ sort(event_ids($lease)) ], [ sort map { $put{$_}[0] } qw(A B) ], "$by: the first of each";
    is $rig->claim // '', '', 'nothing else begins';
    cmp_ok $rig->sql('select candhook_internal.due_in()'), '>', 5, 'and nobody spins';
    is finish($lease, $put{A}[0], 'ok'), 'ok', 'one is settled';
    is finish($lease, $put{B}[0], 'retry'), 'retry', 'one is put off';
    $lease = $rig->claim;
    is_deeply [ event_ids($lease) ], [ $put{A}[1] ], 'the next of the one begins, the other key waits';
    finish($lease, $put{A}[1], 'failed');
    is_deeply [ event_ids($lease = $rig->claim) ], [ $put{A}[2] ], 'failed is settled';
    # An event that was recorded late comes before one that runs.
    my $late = $rig->sql($by eq 'community' ? "select t.put(t.event(community => 'A'), t.id(-60000))" : qq{select t.put(t.event(payload => '{"id":"A"}'), t.id(-60000))});
    is $rig->claim // '', '', 'one that comes late does not run beside one that runs';
    finish($lease, $put{A}[2], 'ok');
    is_deeply [ event_ids($lease = $rig->claim) ], [$late], 'but after it';
    finish($lease, $late, 'ok');
    due_now();
    is_deeply [ event_ids($lease = $rig->claim) ], [ $put{B}[0] ], 'what was put off comes first of its key';
    finish($lease, $put{B}[0], 'ok');
}
$rig->clear;
$rig->handler('o', @c, ordered_by => 'community');
my $body = q{'{"module":"MOIM","type":"product.created","context":{},"payload":{}}'};
$rig->sql("select t.put($body)") for 1 .. 3;
is scalar(event_ids($rig->claim)), 3, 'events without a key wait for nobody';

# The order is changed while deliveries wait, and while a recorder is at it.
$rig->clear;
$rig->handler('o', @c);
$rig->sql('select t.put()') for 1 .. 2;
my $recorder = $rig->psql_session;
$recorder->query('begin; select count(t.put());');
my $admin = $rig->psql_session;
$admin->async(q{update candhook.handler set ordered_by = 'community' where name = 'o';});
$rig->wait_until(sub { $rig->sql(q{select count(*) from pg_stat_activity where wait_event_type = 'Lock'}) == 1 }, 'it waits for the recorder');
$recorder->query('commit;');
$admin->result;
is $rig->sql(q{select count(*), count(order_key), min(order_key) from candhook.delivery}), '3|3|G1', 'all have the key';
is scalar(event_ids($lease = $rig->claim)), 1, 'one runs';
$rig->sql(q{update candhook.handler set ordered_by = 'none' where name = 'o'});
is scalar(event_ids($rig->claim)), 2, 'without order, the rest';

# Two that claim at the same moment.
$rig->clear;
$rig->handler('o', @c, ordered_by => 'community');
$rig->sql('select t.put()') for 1 .. 4;
my ($one, $two) = map { $rig->psql_session } 1 .. 2;
my $got = $one->query(q{begin; select count(*) from candhook_internal.claim('one', 10);});
is $two->query(q{select count(*) from candhook_internal.claim('two', 10);}), 0, 'the other gets nothing';
$one->query('commit;');
is $two->query(q{select count(*) from candhook_internal.claim('two', 10);}), 0, 'then neither';

# ---- concurrency of sql ----
$rig->clear;
$rig->handler('note', concurrency => 1);
$rig->sql('select t.put()') for 1 .. 4;
my @leases = map { $rig->sql("select distinct lease from candhook_internal.claim('w$_', 2)") } 1 .. 2;
$one->query("begin; select count(*) from candhook_internal.run_sql($leases[0]);");
is $two->query("select count(*) from candhook_internal.run_sql($leases[1]);"), 0, 'a second batch does not run beside the first';
is $rig->sql('select count(*), max(attempt) from candhook.delivery where lease is null'), '2|0', 'it is given back, and not counted';
is $rig->sql("select count(*) from candhook_internal.claim('x', 10)"), 0, 'nor is it claimed';
is $rig->sql('select candhook_internal.due_in()'), 1, 'and nobody spins';
$one->query('commit;');
is $rig->sql("select count(*) from candhook_internal.claim('x', 10)"), 2, 'then it is';

# ---- kinds, busy handlers, giving back some ----
$rig->clear;
$rig->handler('c', @c);
$rig->handler('e', kind => 'exec', target => 'x');
my $event = $rig->sql('select t.put()');
is $rig->sql(q{select count(*) from candhook_internal.claim('w', 10, array['sql', 'http'])}), 0, 'no kind of these';
is $rig->sql(q{select candhook_internal.due_in(array['sql']) is null}), 't', 'for them nothing waits';
is $rig->sql(q{select handler from candhook_internal.claim('w', 10, array['c', 'exec'], array['c'])}), 'e', 'one that is busy is left out';
$rig->sql('select t.put()') for 1 .. 2;
$lease = $rig->sql(q{select distinct lease from candhook_internal.claim('w', 10, array['c'])});
my @mine = event_ids($lease);
is $rig->sql("select candhook_internal.give_back($lease, array['$mine[0]', '$mine[2]']::uuid[])"), 2, 'some are given back';
is_deeply [ event_ids($lease) ], [ $mine[1] ], 'the rest is kept';

# ---- ten thousand that fail, beside healthy ones ----
$rig->clear;
$rig->handler('fail', max_attempts => 2, type => 'bad.event', first_delay => '1 ms');
$rig->handler('note', type => 'good.event');
$rig->sql(q{select count(t.put(t.event('bad.event'))) from generate_series(1, 10000)});
$rig->sql(q{select count(t.put(t.event('good.event'))) from generate_series(1, 50)});
my $claims = 0;
while ($rig->sql(q{select count(*) from candhook.delivery where handler = 'note'}) > 0 && $claims++ < 400) {
    $rig->sql(q{select distinct lease from candhook_internal.claim('w', 64) \gset
select count(*) from candhook_internal.run_sql(:lease);});
}
is $rig->sql(q{select count(*) from candhook.outcome where handler = 'note' and result = 'ok'}), 50, 'the healthy are done';
cmp_ok $claims, '<=', 10000 / 64 + 10, 'no later than those that came before them have had one attempt';

# ---- nothing waits for a handler that is gone ----
$rig->clear;
$rig->handler('note');
$rig->sql('select t.put()') for 1 .. 2;
my $person = $rig->psql_session;
$person->query('begin isolation level repeatable read; select count(*) from candhook.handler;');
$rig->sql('select t.put()');
for my $change ('delete from candhook.handler', q{select candhook.remove_handler('note')}, q{update candhook.handler set name = 'other'}) {
    $person->query('savepoint s;');
    like $person->query("$change;"), qr/read committed only/, "with an old snapshot: no $change";
    $person->query('rollback to s;');
}
like $person->query('truncate candhook.handler;'), qr/cannot be truncated/, 'truncate settles nothing, so it is refused';
$person->query('rollback;');
$person->close;
is $rig->sql(q{select candhook.remove_handler('note')}), 3, 'a removal settles all';
$rig->handler('note');
$rig->sql('select t.put()') for 1 .. 3;
$rig->sql(q{set session_replication_role = replica; delete from candhook.handler});    # as a restored table: no trigger fires
is $rig->sql('select count(*) from candhook.delivery'), 3, 'where triggers do not fire, deliveries stay';
my $orphan = $rig->sql('select event_id from candhook.delivery limit 1');
is $rig->sql("select candhook.give_up('$orphan')"), 1, 'one is given up by its event';
is $rig->sql(q{select * from candhook_internal.maintain()}), 'settled 2 deliveries as failed whose handler is gone', 'the worker settles the others, and says so';
is $rig->sql(q{select count(*) from candhook.outcome where handler = 'note' and result = 'failed' and detail = 'handler removed'}), 5, 'each has its outcome';
$rig->handler('note');
$rig->sql('select t.put()');
$rig->sql(q{set session_replication_role = replica; delete from candhook.handler});
is $rig->sql(q{select candhook.give_up(handler => 'note')}), 1, 'a name that only deliveries have is given up, too';
like $rig->sql_error(q{select candhook.give_up(handler => 'note')}), qr/note/, 'a name that nothing has is a mistake';
done_testing;
