# SPDX-License-Identifier: ISC
#
# candhook_internal.claim with only_lock: deliveries of an unordered sql handler run in the transaction that claims them. They are
# nobody else's meanwhile, and whatever ends that transaction early leaves them as they were.
use v5.36;
use Test::More;
use SqlRig;

my $rig = SqlRig->new;
my ($one, $two) = map { $rig->psql_session } 1, 2;
my $claim = q{candhook_internal.claim('w', 10, '{sql}', '{}', true)};

sub put ($payload = '{}', $community = 'G1') { return $rig->sql("select t.put(t.event('product.created', '$payload', '$community'))") }

# Begins a transaction in $one that locks the first of what is due; returns its event.
sub claimed { return $one->query("begin; select event_id from $claim;") }

# What came of running what is due from the one of this event on, a line each.
sub run_from ($handler, $id, $batch = 10) {
    return $one->query("select result, detail from candhook_internal.run_sql(null, '{$id}', '$handler', $batch);");
}

sub run_due ($handler) {
    my $id = claimed();
    my $said = $id eq '' ? '' : run_from($handler, $id);
    $one->query('commit;');
    return $said;
}

sub delivery ($what) { return $rig->sql("select $what from candhook.delivery order by event_id") }

# ---- locked, and run ----
$rig->handler('note');
my $id = put();
is $one->query("begin; select lease is null, handler, kind, target, timeout_ms, event_id, attempt is null from $claim;"),
  "t|note|sql|t.note(candhook.event,text)|30000|$id|t", 'a claim that only locks says what to run';
is delivery('lease is null, attempt, due_at <= now()'), 't|0|t', 'and changes nothing';
is $two->query("select count(*) from $claim;"), 0, 'but nobody else gets it';
is $rig->claim, '', 'nor leases it';
is $rig->sql('select candhook_internal.due_in()'), 1, 'nor spins';
is $rig->sql("select candhook.replay('$id')"), 0, 'nor replays it';
$one->query('rollback;');
is delivery('attempt'), 0, 'a rollback leaves it as it was';
is run_due('note'), 'ok|noted', 'then it runs';
is $rig->outcomes($id), 'note/1 ok', 'which is its first attempt';
is $rig->sql('select event_id from t.effect'), $id, 'its effect is there';
is delivery('*'), '', 'and no delivery';
is run_from('note', $id), '', 'nothing due, nothing run';

# ---- retries are counted as ever ----
$rig->clear;
$rig->handler('fail', max_attempts => 3, first_delay => '10 s');
$id = put();
is run_due('fail'), 'retry|it is broken, said nobody (P0001)', 'one that fails is tried again';
is delivery(q{attempt, failures, lease is null, held, due_at - now() between '5 s' and '20 s'}), '1|1|t|f|t', 'later, and the attempt is counted';
$rig->skip_time;
is run_due('fail'), 'retry|it is broken, said nobody (P0001)', 'and again';
cmp_ok delivery('extract(epoch from due_at - now())'), '>', 9, 'after a longer wait';
$rig->skip_time;
is $rig->sql('select result from candhook_internal.run_sql(' . $rig->claim . ')'), 'failed', 'the last time, leased, it has failed';
is $rig->outcomes($id), "fail/1 retry\nfail/2 retry\nfail/3 failed", 'all are recorded';
is $rig->sql('select count(*) from t.effect'), 0, 'nothing of them stays';

# ---- tokens ----
$rig->clear;
$rig->sql(q{select candhook.set_bot_token('G1', 'secret')});
$rig->handler('note', needs_token => 1);
$id = put();
my $lacking = put('{}', 'G2');
is run_due('note'), 'ok|noted', 'what has its token runs';
is $rig->sql('select said from t.effect'), 'secret', 'with the token';
is delivery('event_id, held, attempt, lease is null'), "$lacking|t|0|t", 'the other is held, uncounted';
$rig->sql(q{select candhook.set_bot_token('G2', 'two')});
$id = claimed();
is $id, $lacking, 'until its token is stored';
$rig->sql(q{delete from candhook.bot_token where origin_community_id = 'G2'});
is run_from('note', $id), '', 'a token that goes after the claim: the handler does not run';
$one->query('commit;');
is delivery('held, attempt'), 't|0', 'it is held again, for the next token';

$rig->clear;
$rig->handler('note', needs_token => 1);
put('{}', "G$_") for 1 .. 5;
$rig->sql(q{insert into candhook.bot_token (origin_community_id, token) values ('G5', 'five'), ('G4', 'four')});
is run_due('note'), "ok|noted\nok|noted", 'those that lack it hold up nobody';
is delivery('origin_community_id, held'), "G1|t\nG2|t\nG3|t", 'all of them are held';

$rig->clear;
$rig->sql(q{select candhook.set_bot_token('G1', 'secret')});
$rig->handler('fail', needs_token => 1, max_attempts => 1);
$id = put();
my $first = claimed();
$rig->sql(q{update candhook.bot_token set valid = false});
is run_from('fail', $first), '', 'a token that is refused after the claim does not reach the handler';
$one->query('rollback;');
$rig->sql(q{select candhook.set_bot_token('G1', 'secret')});
$rig->sql(q{create function t.refuse(event candhook.event, bot_token text) returns text language plpgsql security definer as $$
    begin
        if event.payload ? 'refused' then raise exception 'refused'; end if;
        return null;
    end $$});
is $rig->sql('select held from candhook.delivery'), 'f', 'the delivery waits for nothing';
is run_due('fail'), 'failed|it is broken, said [token] (P0001)', 'an error does not give the token away';

# ---- what is leased all the same ----
for my $case ([ 'an ordered handler', ordered_by => 'community' ], [ 'another kind', kind => 'exec', target => 'note' ]) {
    my ($what, %member) = @$case;
    $rig->clear;
    $rig->handler('note', %member);
    put();
    is $rig->sql(q{select lease is not null, attempt from candhook_internal.claim('w', 10, '{sql,exec}', '{}', true)}), 't|1', "$what is leased";
}
$rig->clear;
$rig->handler('note');
put();
$rig->claim;
$rig->skip_time;
put();
is $rig->sql("select lease is not null, attempt from $claim"), 't|2', 'what was lost is leased, alone';
is $rig->sql("select lease is not null from $claim"), 'f', 'then others are locked again';

# ---- an event that was dropped ----
$rig->clear;
$rig->handler('note');
put();
put();
$rig->sql('delete from candhook.event where id = (select id from candhook.event limit 1)');
is run_due('note'), 'ok|noted', 'what is there runs';
is delivery('*'), '', 'what is not is cleaned away';

# ---- a batch that takes long is cut short ----
$rig->sql(q{create function t.slow(event candhook.event, bot_token text) returns text language plpgsql as $$
    begin
        perform pg_sleep(0.6);
        return 'slow';
    end $$});
$rig->clear;
$rig->handler('slow');
put() for 1, 2;
is run_due('slow'), 'ok|slow', 'after half a second no other is begun';
is delivery('attempt, lease is null, candhook_internal.due_in()'), '0|t|0', 'the rest is due as before';

# ---- slots ----
$rig->clear;
$rig->handler('note', concurrency => 1);
put() for 1 .. 3;
is $one->query(q{begin; select count(*) from candhook_internal.claim('w', 1, '{sql}', '{}', true);}), 1, 'who has the one slot';
is $two->query("select count(*) from $claim;"), 0, 'keeps others from beginning';
$one->query('commit;');
is $two->query("select count(*) from $claim;"), 1, 'until it ends';

# ---- what is somebody else's ----
$rig->clear;
$rig->handler('note');
put() for 1, 2;
$id = claimed();
is $two->query(q{select count(*) from candhook_internal.claim('two', 10);}), 1, 'what is behind the one that is locked can still be leased';
is run_from('note', $id), 'ok|noted', 'and is not run beside that';
$one->query('commit;');
is $rig->sql('select count(*) from t.effect'), 1, 'once';

# ---- a handler that touches its own delivery ----
$rig->sql(q{create function t.again(event candhook.event, bot_token text) returns text language plpgsql security definer as $$
    begin
        insert into t.effect values (event.id, 'again');
        return candhook.replay(event.id)::text;
    end $$});
$rig->clear;
$rig->handler('note');
$rig->handler('again');
$id = put();
is run_due('again'), 'ok|2', 'a handler that replays its own event';
run_due('note');
is $rig->outcomes($id), "again/1 ok\nnote/1 ok", 'is recorded all the same';
is delivery('*'), '', 'and settled';

# ---- killed between any two steps ----
$rig->clear;
$rig->handler('note', max_attempts => 1);
my @steps = ('begin;', "select array_agg(event_id) as ids from $claim \\gset", q{select count(*) from candhook_internal.run_sql(null, :'ids', 'note', 10);}, 'commit;');
for my $n (0 .. @steps) {
    put();
    my $victim = $rig->psql_session;
    my $backend = $victim->backend;
    $victim->query($_) for @steps[ 0 .. $n - 1 ];
    $rig->sql("select pg_terminate_backend($backend)");
    $rig->wait_until(sub { !$rig->sql("select count(*) from pg_stat_activity where pid = $backend") }, 'the backend has ended');
    $victim->close;
    run_due('note');
}
my $all = @steps + 1;
is $rig->sql('select count(*), count(distinct event_id) from t.effect'), "$all|$all", 'every effect happened exactly once';
is $rig->sql('select distinct result, attempt, count(*) from candhook.outcome group by 1, 2'), "ok|1|$all", 'at its first attempt, for none was lost';
is delivery('*'), '', 'and nothing is left';

$_->close for $one, $two;
done_testing;
