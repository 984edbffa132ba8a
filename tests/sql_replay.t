# SPDX-License-Identifier: ISC
#
# What people do in psql, while others are at it and when there is much: replay and giving up beside workers, in strict
# order, by role; what the views cost; a slow handler beside healthy ones.
use v5.36;
use Test::More;
use SqlRig;

my $rig = SqlRig->new;
my @c = (kind => 'c', target => 'x.so');

sub finish ($lease, $id, $result) {
    return $rig->sql("select result from candhook_internal.finish($lease, array['$id']::uuid[], array['$result'], array['said'], array[now()], array[now()])");
}
sub delivery ($columns, $where = 'true') { return $rig->sql("select $columns from candhook.delivery where $where order by handler, received_at, event_id") }
sub leased ($lease) { return $rig->sql("select event_id from candhook.delivery where lease = $lease") }

# ---- add_handler: its defaults are those of the table ----
$rig->sql(q{select candhook.add_handler('f', '*', '*', 'c', 'x.so'); insert into candhook.handler (name, module, type, kind, target) values ('t', '*', '*', 'c', 'x.so')});
is $rig->sql(q{select count(distinct to_jsonb(h) - array['name', 'created_at', 'changed_at']) from candhook.handler h}), 1, 'the defaults of add_handler and of the table are the same';
is $rig->sql(q{select array_agg(a.attname::text order by a.attnum) = (select p.proargnames from pg_proc p where p.proname = 'add_handler')
               from pg_attribute a where a.attrelid = 'candhook.handler'::regclass and a.attnum > 0 and a.attname not in ('created_at', 'changed_at')}), 't', 'and it takes every column';
like $rig->sql_error(q{select candhook.add_handler(null, '*', '*', 'c', 'x.so')}), qr/handler null: name cannot be null.*HINT:  name: any name/s, 'a name is needed';
like $rig->sql_error(q{select candhook.add_handler('x', '*', '*', 'http', 'ftp://x')}), qr/target cannot be 'ftp:\/\/x'.*HINT:  target: .*http:/s, 'a target that is none';
like $rig->sql_error(q{select candhook.add_handler('x', '*', '*', 'c', 'x.so', ordered_by => 'user')}), qr/ordered_by cannot be 'user'.*HINT:  ordered_by: none:/s, 'an order that is none';
$rig->sql(q{set search_path = t; select candhook.add_handler('s', '*', '*', 'sql', 'note')});
is $rig->sql(q{select target from candhook.handler where name = 's'}), 't.note(candhook.event,text)', 'a bare name is looked up by the search_path of the caller';
is $rig->sql(q{select candhook.remove_handler('s')}), 0, 'nothing waited for it';
$rig->sql('select t.put()');
is $rig->sql(q{select candhook.remove_handler('t')}), 1, 'one delivery waited';
is $rig->sql(q{select result, detail from candhook.outcome where handler = 't'}), 'failed|handler removed', 'and has failed';
is $rig->sql(q{select candhook.retry_failed()}), 0, 'what failed of a removed handler cannot be tried again';
is $rig->sql(q{select handler from candhook.failed}), 't', 'and stays visible';
$rig->clear;
like $rig->sql_error(q{select candhook.enable_handler('x')}), qr/HINT:  There is none at all: candhook.add_handler/, 'when there is none, how to make one';

# ---- which handlers a replay runs ----
$rig->clear;
my $id = $rig->sql('select t.put()');
my ($status, $out, $err) = $rig->run_sql("select candhook.replay('$id')");
is $out, "0\n", 'nobody handles it';
like $err, qr/NOTICE:  no enabled handler matches MOIM:product.created/, 'and that is said';
$rig->handler('on', @c);
$rig->handler('off', @c, enabled => 0);
$rig->handler('other', @c, type => 'x');
my $listener = $rig->psql_session;
$listener->query('listen candhook;');
is $rig->sql("select candhook.replay('$id')"), 1, 'an event that nobody handled, to the one that is enabled and matches';
like $listener->query('select 1;') . $listener->query('select 1;'), qr/notification "candhook"/, 'workers are told';
is finish($rig->claim, $id, 'ok'), 'ok', 'it runs';
is $rig->outcomes($id), "/0 unhandled\non/1 ok", 'what was recorded before stays';
is $rig->sql("select candhook.replay('$id', '{}'::text[])"), 0, 'to none';
is $rig->sql("select candhook.replay('$id', array['off', 'other', 'off'])"), 2, 'to those that are named';
is $rig->sql(q{select string_agg(handler, ' ' order by handler) from candhook.delivery}), 'off other', 'and to no other';
is $rig->sql(q{select handler from candhook_internal.claim('w', 10)}), 'other', 'one that is disabled waits';
$rig->sql(q{select candhook.enable_handler('off')});
is $rig->sql(q{select handler from candhook_internal.claim('w', 10)}), 'off', 'until it is enabled';
like $rig->sql_error("select candhook.replay('$id', array['on', null])"), qr/there is no handler null/, 'a name that is null';
like $rig->sql_error("select candhook.replay(null::uuid)"), qr/there is no event null/, 'an id that is null';
my $bad = $rig->sql(q{select t.put('{}')});
like $rig->sql_error("select candhook.replay('$bad')"), qr/there is no event $bad.*HINT:  The body was no event: select \* from candhook.malformed/s, 'what was malformed';
like $rig->sql_error("select candhook.replay(null, now(), '*')"), qr/no time from null/, 'a time that is null';
like $rig->sql_error("select candhook.replay('2025-01-01', '2025-02-01', '*', 'nobody')"), qr/there is no handler 'nobody'/, 'literals need no cast';
for my $call ("replay('$id')", q{replay('-infinity', 'infinity', '*')}, 'retry_failed()') {
    like $rig->sql_error("begin isolation level repeatable read; select candhook.$call"), qr/needs the isolation level read committed/, "$call refuses another isolation level";
}
# Half-open, to the millisecond.
my ($low, $high) = map { $rig->sql("select candhook.received_at('$id') + interval '$_'") } '0', '1 ms';
is $rig->sql("select candhook.replay('$low', '$high', 'product.created', 'on'), candhook.replay('$high', 'infinity', '*', 'on'), candhook.replay('-infinity', '$low', '*', 'on')"), '1|0|0', 'from, to before';

# ---- budgets of what waits and what is held ----
$rig->clear;
$rig->handler('a', @c, max_attempts => 2);
$id = $rig->sql('select t.put()');
is finish($rig->claim, $id, 'retry'), 'retry', 'one attempt is used';
is $rig->sql("select candhook.replay('$id')"), 1, 'replay of what waits';
is finish($rig->claim, $id, 'retry'), 'retry', 'it is due, with two more attempts';
$rig->skip_time;
is finish($rig->claim, $id, 'retry'), 'failed', 'and not more';
$rig->clear;
$rig->handler('a', @c, needs_token => 1);
$id = $rig->sql('select t.put()');
is $rig->claim, '', 'held';
is $rig->sql("select candhook.replay('$id')"), 1, 'replay of what is held';
is delivery('held, due_at > now()'), 't|t', 'leaves it held: only a token helps';
is $rig->sql(q{select candhook.give_up(handler => 'a')}), 1, 'what is held is given up, too';
is $rig->outcomes($id), 'a/1 failed', 'with its outcome';

# ---- replay beside those who run: no attempt gets a number twice ----
my ($one, $two) = map { $rig->psql_session } 1, 2;
$rig->clear;
$rig->handler('note');
$id = $rig->sql('select t.put()');
my $lease = $rig->claim;
$one->query("begin; select count(*) from candhook_internal.run_sql($lease);");
is $two->query("select candhook.replay('$id');"), 0, 'replay waits for nobody, and leaves alone what runs';
$one->query('commit;');
is $rig->sql("select candhook.replay('$id')"), 1, 'once it is settled, it is run again';
$rig->work;
is $rig->outcomes($id), "note/1 ok\nnote/2 ok", 'as the next attempt';

# What was settled while a replay waited for another one.
$rig->clear;
$rig->handler('note');
$id = $rig->sql('select t.put()');
$one->query(q{begin; select candhook.replay('2000-01-01', '2000-01-02', '*');});
$two->async("select candhook.replay('$id');");
$rig->wait_until(sub { $rig->sql('select count(*) from pg_locks where not granted') == 1 }, 'one replay waits for the other');
$rig->work;
is $rig->outcomes($id), 'note/1 ok', 'meanwhile it runs';
$one->query('commit;');
is $two->result, 1, 'the replay makes it anew';
$rig->work;
is $rig->outcomes($id), "note/1 ok\nnote/2 ok", 'and knows what has happened';

# ---- giving up beside those who run ----
$rig->clear;
$rig->handler('note');
$id = $rig->sql('select t.put()');
$lease = $rig->claim;
$one->query("begin; select count(*) from candhook_internal.run_sql($lease);");
$two->async("select candhook.give_up('$id');");
$rig->wait_until(sub { $rig->sql('select count(*) from pg_locks where not granted') == 1 }, 'giving up waits for the sql handler that runs');
$one->query('commit;');
is $two->result, 0, 'what it has settled is not given up';
is $rig->outcomes($id), 'note/1 ok', 'its effect stays, and its outcome';
$rig->clear;
$rig->handler('fail');
$id = $rig->sql('select t.put()');
$lease = $rig->claim;
$one->query("begin; select count(*) from candhook_internal.run_sql($lease);");
$two->async("select candhook.give_up('$id');");
$rig->wait_until(sub { $rig->sql('select count(*) from pg_locks where not granted') == 1 }, 'giving up waits again');
$one->query('commit;');
is $two->result, 1, 'what it has put off is given up';
is $rig->outcomes($id), "fail/1 retry\nfail/2 failed", 'after the attempt that it had';
is delivery('1'), '', 'nothing is left';
is $rig->sql("select candhook.give_up('$id')"), 0, 'there is nothing more to give up';

# ---- strict order ----
$rig->clear;
$rig->handler('o', @c, ordered_by => 'community');
my @ids = map { $rig->sql("select t.put(t.event(), t.id($_))") } -3000, -2000, -1000;
$rig->sql('select t.put()'); # a fourth
is finish($rig->claim, $ids[0], 'ok'), 'ok', 'the first is done';
is leased($lease = $rig->claim), $ids[1], 'the second runs';
is $rig->sql("select candhook.replay('$ids[0]')"), 1, 'the first is replayed';
is $rig->claim, '', 'it does not run beside the second';
cmp_ok $rig->sql('select candhook_internal.due_in()'), '>', 5, 'and nobody spins';
$rig->sql("select candhook.give_up('$ids[1]')");
is leased($lease = $rig->claim), $ids[0], 'given up is settled: it comes now';
finish($lease, $ids[0], 'ok');
is leased($rig->claim), $ids[2], 'then the third';

# An sql handler that runs for longer than its lease, and an event that comes before it.
$rig->clear;
$rig->handler('note', ordered_by => 'community');
$rig->sql('select t.put()');
$lease = $rig->claim;
# What run_sql begins with: it locks what it runs.
$one->query("begin; select cardinality(events) from candhook_internal.leased($lease, null);");
$rig->sql('select t.put(t.event(), t.id(-5000))');
is $rig->claim, '', 'what runs keeps an earlier one from beginning';
# Its lease runs out, as when a clock goes on.
$one->query("update candhook.delivery set due_at = now() - interval '1 s' where lease = $lease;");
$one->query('commit; begin;');
$one->query("select cardinality(events) from candhook_internal.leased($lease, null);");
is $rig->claim, '', 'also when its lease has run out while it is locked';
cmp_ok $rig->sql('select candhook_internal.due_in()'), '>', 0, 'and nobody spins';
$one->query('commit;');
is $rig->sql(q{select count(*) from candhook_internal.claim('w', 10)}), 1, 'when it is gone, the earlier one runs';

# ---- jitter ----
$rig->sql(q{update candhook.handler set jitter = 1});
is $rig->sql(q{select min(d) < interval '2 s', max(d) > interval '18 s', max(d) <= interval '20 s' from (select candhook_internal.backoff(1, h) as d from generate_series(1, 500), candhook.handler h) x}),
  't|t|t', 'with jitter 1 a delay is anything up to twice as long';

# ---- a slow handler beside a healthy one ----
$rig->clear;
$rig->sql(q{create function t.slow(event candhook.event, bot_token text) returns text language plpgsql as $$ begin perform pg_sleep(0.01); return 'slow'; end $$});
$rig->handler('slow', concurrency => 1);
$rig->handler('note');
$rig->sql('select count(t.put()) from generate_series(1, 300)');
$rig->sql(q{update candhook.delivery set due_at = now() - interval '1 hour' where handler = 'slow'});
$lease = $one->query(q{select distinct lease from candhook_internal.claim('one', 20);});
$one->query("begin; select count(*) from candhook_internal.run_sql($lease);");
my $claims = $rig->work;
is $rig->sql(q{select count(*) from candhook.outcome where handler = 'note' and result = 'ok'}), 300, 'while the slow one has used up its slots, the healthy one is done';
cmp_ok $claims, '<=', 4, 'in as many claims as it has batches' or diag $claims;
$one->query('commit;');

# ---- roles ----
$rig->clear;
$rig->sql('create role my_admin login; grant candhook_admin to my_admin; create role my_reader login; grant candhook_reader to my_reader');
my (@admin, @reader) = (user => 'my_admin');
@reader = (user => 'my_reader');
$rig->sql(q{select candhook.add_handler('note', '*', '*', 'sql', 't.fail', max_attempts => 1)}, @admin);
$id = $rig->sql('select t.put()');
$rig->work;
is $rig->sql("select candhook.disable_handler('note'), candhook.enable_handler('note'), candhook.retry_failed(), candhook.replay('$id'), candhook.replay('-infinity', 'infinity', '*')", @admin),
  '0|0|1|1|1', 'an admin may do all of it';
is $rig->sql("select candhook.give_up('$id')", @admin), 1, 'and give up';
is $rig->sql(q{select detail from candhook.outcome order by attempt desc limit 1}), 'given up by my_admin', 'by name';
is $rig->sql(q{select candhook.remove_handler('note')}, @admin), 0, 'and remove';
for my $call ("replay('$id')", 'retry_failed()', "give_up('$id')", q{enable_handler('x')}, q{add_handler('x', '*', '*', 'c', 'x.so')}) {
    like $rig->sql_error("select candhook.$call", @reader), qr/permission denied/, "a reader may not $call";
}
like $rig->sql_error(q{select candhook_internal.deliver_again(now(), now(), null, '*', null, true)}, @admin), qr/permission denied/, 'nor an admin what is inside';
for my $view (qw(failed due held unhandled_types handler_health recent)) {
    is $rig->sql("select count(*) >= 0 from candhook.$view", @reader), 't', "a reader reads $view";
}
is $rig->sql(q{select string_agg(c.relname || '.' || a.attname, ' ') from pg_attribute a join pg_class c on c.oid = a.attrelid
               where c.relnamespace = 'candhook'::regnamespace and c.relkind = 'v' and a.attnum > 0 and col_description(c.oid, a.attnum) is null}), '', 'every column of a view is described';

# ---- what the views and a replay read, when there is much ----
$rig->clear;
$rig->handler('a', @c, type => 'x');
$rig->handler('b', @c, type => 'x');
$rig->handler('never', @c, type => 'y');
$rig->sql(<<'END');
update candhook.handler set created_at = now() - interval '5 days' where name <> 'never';
insert into candhook.event (id, received_at, module, type, payload)
select id, candhook.received_at(id), 'MOIM', 'x', '{}' from (select t.id(-n * 4320) as id from generate_series(100000, 1, -1) n) x;
insert into candhook.outcome (event_id, received_at, handler, attempt, result, finished_at)
select id, received_at, 'a', 1, case when n % 100 = 0 then 'failed' when n > 60000 and n % 2 = 0 then 'retry' else 'ok' end, received_at
  from (select e.*, row_number() over (order by received_at) as n from candhook.event e) e order by n;
insert into candhook.outcome (event_id, received_at, handler, attempt, result, finished_at)
select event_id, received_at, 'b', 1, 'ok', finished_at from candhook.outcome where finished_at between now() - interval '70 hours' and now() - interval '69 hours';
analyze candhook.outcome; analyze candhook.event;
END
$rig->sql('vacuum candhook.outcome');
my $total = $rig->sql(q{select sum(pg_relation_size(c.oid)) / 8192 from pg_class c where c.relname ~ '^outcome_(2|d)' and c.relkind = 'r'});
my $ok = $rig->sql(q{select handler, age(now(), last_ok) between '0' and '2 min', age(now(), last_ok) between '69 h' and '69 h 2 min', last_ok is null, last_failed is null, ok_24h > 0, failed_1h > 0, failed_24h > 0, retry_24h > 0, unfinished
                     from candhook.handler_health});
is $ok, "a|t|f|f|f|t|t|t|t|0\nb|f|t|f|t|f|f|f|f|0\nnever|||t|t|f|f|f|f|0", 'handler_health: last success, also days ago, and rates';
sub pages ($query) {
    my $plan = $rig->sql("explain (analyze, buffers, timing off, summary off, costs off) $query");
    my ($hit) = $plan =~ /shared hit=(\d+)/;
    my ($read) = $plan =~ /^[^\n]*\n\s*Buffers: shared[^\n]*read=(\d+)/;
    return ($hit + ($read // 0), $plan);
}
$rig->sql(q{delete from candhook.handler where name in ('b', 'never')});
my ($pages, $plan) = pages('select * from candhook.handler_health');
cmp_ok $pages, '<', 0.5 * $total + 100, "handler_health reads what happened lately, not all of it ($pages of $total)" or diag $plan;
($pages, $plan) = pages('select * from candhook.failed limit 20');
cmp_ok $pages, '<', 300, "the newest of failed cost the same, however many outcomes there are ($pages of $total)" or diag $plan;

# A replay of an hour reads no month before it.
my $others = q{select coalesce(sum(seq_tup_read + idx_tup_fetch), 0) from pg_stat_xact_user_tables where relname ~ '^event_' and relname <> 'event_' || to_char(now() at time zone 'UTC', 'YYYY_MM')};
is $rig->sql("begin; select candhook.replay(greatest(now() - interval '1 hour', date_trunc('month', now(), 'UTC')), 'infinity', '*') >= 0; $others; commit"), "t\n0", 'a replay reads the months that it names';
$rig->sql('truncate candhook.delivery');
is $rig->sql(q{select candhook.replay('-infinity', 'infinity', 'x')}), 100000, 'a hundred thousand are replayed by one call';
is $rig->sql('select count(*), min(attempt), max(attempt), bool_and(failures = 0) from candhook.delivery'), '100000|1|1|t', 'each with its number and a fresh budget';
is $rig->sql('select count(*) from candhook.failed'), 0, 'nothing is failed meanwhile';
is $rig->sql(q{select candhook.give_up(handler => 'a')}), 100000, 'and given up by one';

$_->close for $one, $two, $listener;
done_testing;
