# SPDX-License-Identifier: ISC
#
# Waking up: a recorded event reaches its handler at once although nobody polls; idle runners rest; and all of it behind
# pgbouncer in transaction mode, where LISTEN does not work.
use v5.36;
use Test::More;
use HandlerRig;

my $rig = HandlerRig->new;
my $dir = $rig->{dir};
$rig->sql(<<'END');
grant usage on schema t to public;
create function t.note(event candhook.event, bot_token text) returns text language sql as $$ select 'noted' $$;
END

# How many statements the runners have asked of the database so far.
sub asked {
    return $rig->sql(q{select xact_commit + xact_rollback from pg_stat_database where datname = 'candhook'});
}

sub cpu ($pid) {
    my @stat = split ' ', $rig->read_file("/proc/$pid/stat") =~ s/^.*\) //sr;
    return $stat[11] + $stat[12];
}

# Posts events one after the other, each when the one before was handled, through the spool.
sub handled_in_turn ($handler, $count, $what) {
    my $done = @{ $rig->results($handler) };
    my $worst = 0;
    for my $n (1 .. $count) {
        is $rig->post($rig->path, $rig->event(type => $handler))->{status}, 200, "$what: posted";
        my $began = Rig::Process::now();
        $rig->wait_until(sub { @{ $rig->results($handler) } == $done + $n }, "$what: handled");
        my $took = Rig::Process::now() - $began;
        $worst = $took if $took > $worst;
    }
    return $worst;
}

$rig->handler('sql', kind => 'sql', target => 't.note');
$rig->handler_file('exec', "#!/bin/sh\necho noted\n");
$rig->handler('exec', kind => 'exec', target => 'exec');
$rig->responder;
$rig->nginx;
$rig->wait_until(sub { $rig->worker_pid }, 'the worker runs');

# The polls are five seconds apart: ten events in turn that each waited for one would take most of a minute.
my $before = Rig::Process::now();
handled_in_turn($_, 10, "LISTEN, $_") for qw(sql exec);
cmp_ok Rig::Process::now() - $before, '<', 40, 'nobody waited for the next poll';

# ---- idle ----
my $worker = $rig->worker_pid;
my @family = ($worker, $rig->children($worker));
is scalar @family, 4, 'a worker, two runners of sql, one of what runs outside';
my $ticks = 0;
$ticks += cpu($_) for @family;
my $until = Rig::Process::now() + 3;
$rig->wait_until(sub { Rig::Process::now() > $until }, 'three idle seconds have passed');
my $later = 0;
$later += cpu($_) for @family;
cmp_ok $later - $ticks, '<=', 6, 'which cost next to no CPU (ticks of 10 ms)';

# ---- a retry is not late, a token wakes ----
$rig->handler('held', kind => 'sql', target => 't.note', needs_token => 'true');
$rig->event_of('held');
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.held') == 1 }, 'held');
$rig->token('wake-secret-123456');
is_deeply $rig->settled('held'), ['ok|noted'], 'a stored token wakes';

# ---- a handler that lasts: the spare runner takes over ----
$rig->sql('create function t.wait(event candhook.event, bot_token text) returns text language sql as $$ select pg_advisory_xact_lock_shared(77)::text $$');
$rig->handler('wait', kind => 'sql', target => 't.wait', timeout => '60 s');
my $session = $rig->psql_session;
$session->query('select pg_advisory_lock(77);');
$rig->event_of('wait');
$rig->wait_until(sub { $rig->sql(q{select count(*) from pg_locks where locktype = 'advisory' and objid = 77 and not granted}) == 1 }, 'one runner waits');
handled_in_turn('sql', 3, 'while one runner waits');
is scalar @{ $rig->results('wait') }, 0, 'which it still does';
$session->query('select pg_advisory_unlock(77);');
is_deeply $rig->settled('wait'), ['ok|'], 'and then ends';
$session->close;
$rig->candhook_ok('stop');

# ---- behind pgbouncer ----
SKIP: {
    my $pid = $rig->pgbouncer(pool_mode => 'transaction', default_pool_size => 4) // skip 'pgbouncer is not installed', 1;
    my $pooled = "host=$dir/b port=6432 dbname=candhook user=postgres";
    $rig->conf(runners => 2, database => $pooled);
    $rig->spawn('worker', $rig->program('candhook'), 'work');
    $rig->wait_until(sub { $rig->worker_pid }, 'the worker runs');
    $before = Rig::Process::now();
    handled_in_turn($_, 10, "pgbouncer, $_") for qw(sql exec);
    cmp_ok Rig::Process::now() - $before, '<', 40, 'nobody waited for the next poll, since the worker wakes its runners';
    $rig->sql("update candhook.bot_token set valid = false");
    $rig->event_of('held');
    $rig->wait_until(sub { $rig->sql('select count(*) from candhook.held') == 1 }, 'held');
    $rig->token('wake-secret-654321');
    is_deeply $rig->settled('held', 2), [ ('ok|noted') x 2 ], 'what no worker is told of is found by polling';
    $rig->candhook_ok('stop');
    $rig->stop($pid, 'INT');
}
done_testing;
