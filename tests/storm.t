#!/usr/bin/env perl
# SPDX-License-Identifier: ISC
#
# A storm: while events arrive through the real nginx, processes of every sort are killed (-9) at random, PostgreSQL is stopped,
# restarted in a hurry, out of connections, or refuses, its synchronous standby is away or takes over, nobody may write to the
# spool or its disk is full, and people change handlers and tokens in psql. In the end a ledger: what was sent, answered, recorded, handled. Nothing that was answered 200 is lost, nothing is
# doubled, each sql handler's effect is there exactly once, an ordered handler saw its keys in order, and nothing is stuck.
#
#     make check TESTS=tests/storm.t                               a minute
#     make check-faults EVENTS=100000 [SEED=n]                     longer; a seed repeats the choice of faults
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench/lib";
use Bench;
use List::Util qw(max shuffle);
use POSIX ();
use Test::More;

-x Rig::build_path('bench/load') or plan skip_all => 'bench/load is not built: make bench/load';
Rig->have('nginx') or plan skip_all => 'nginx is not installed';

my $events = $ENV{EVENTS} || 6000;
my $seed = $ENV{SEED} || time;
my $rate = $ENV{RATE} || 200;    # a second: so that the faults fall into the load
srand $seed;
diag "$events events, SEED=$seed";

my $rig = Bench->new;
$rig->cluster(max_connections => 20, wal_retrieve_retry_interval => '100ms', wal_keep_size => '256MB');
$rig->conf(
    runners  => 2,
    min_free => 0,
    database => "host=$rig->{dir},$rig->{dir} port=5432,5433 dbname=candhook user=postgres target_session_attrs=read-write"
);
$rig->schema;
my $disk = small_disk();
$rig->sql(<<'END');
create schema app;
grant usage on schema app to candhook_handler;
create table app.effect (handler text, event_id uuid, key text, at bigint generated always as identity);
grant insert on app.effect to candhook_handler;
create function app.mark(event candhook.event, bot_token text) returns text language sql as $$
    insert into app.effect values ('mark', event.id, event.payload ->> 'id') returning null::text $$;
create function app.flaky(event candhook.event, bot_token text) returns text language plpgsql as $$
begin
    insert into app.effect values ('flaky', event.id, event.payload ->> 'id');
    if random() < 0.1 then raise 'at random'; end if;
    return null;
end $$;
create function app.ordered(event candhook.event, bot_token text) returns text language sql as $$
    insert into app.effect values ('ordered', event.id, event.origin_community_id) returning null::text $$;
select candhook.add_handler('mark', 'MOIM', '*', 'sql', 'app.mark', max_attempts => 1000, first_delay => '50 ms', max_delay => '1 s');
select candhook.add_handler('flaky', 'MOIM', '*', 'sql', 'app.flaky', needs_token => true, max_attempts => 1000,
                            first_delay => '50 ms', max_delay => '1 s');
select candhook.add_handler('ordered', 'MOIM', '*', 'sql', 'app.ordered', ordered_by => 'community', max_attempts => 1000,
                            first_delay => '50 ms', max_delay => '1 s');
select candhook.add_handler('program', 'MOIM', '*', 'exec', 'program', max_attempts => 1000, first_delay => '50 ms', max_delay => '1 s');
END
$rig->write_file('handlers/program', "#!/bin/sh\nread -r event\nexit 0\n", 0755);
$rig->standby_make;
$rig->standby_start;
$rig->sql("alter system set synchronous_standby_names = '*'");
$rig->sql('select pg_reload_conf()');
my $communities = 5;
my $token = 0;
sub store_tokens { $token++; $rig->sql("select candhook.set_bot_token('G' || to_char(g, 'FM000000000'), 'token-$token') from generate_series(1, $communities) g") }
store_tokens();

my $responder = $rig->responder;
$rig->nginx;
$rig->wait_until(sub { $rig->worker_pid }, 'a worker runs');

# The spool on a disk of its own, which can be filled: only root can have one.
sub small_disk () {
    my $spool = $rig->make_folder('spool');
    my ($user, $group) = (stat $spool)[4, 5];
    return 0 if $> != 0 || system("mount -t tmpfs -o size=32m,mode=0700,uid=$user,gid=$group candhook-storm $spool 2>/dev/null") != 0;
    return 1;
}
END {
    local $?;
    system 'umount', '-l', "$rig->{dir}/spool" if $disk;    # what uses it ends a moment later
}

# ---- the faults; each leaves all as it was, but for what it killed, which candhook has to start again ----

sub one_of (@of) { return $of[ rand @of ] }

# Once the storm is over PostgreSQL is there; within it a query may meet a server that is away.
sub try_sql ($text) { return eval { $rig->sql($text) } }

sub backends { return split /\n/, try_sql(q{select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()}) // '' }

sub descendants ($pid) {
    my @children = $rig->children($pid);
    return (@children, map { descendants($_) } @children);
}

# Waits until what was killed is there again, and notes how long that took.
my %recovery;
sub recovers ($what, $condition) {
    my $from = Rig::Process::now();
    $rig->wait_until($condition, "$what has recovered", 120);
    push $recovery{$what}->@*, Rig::Process::now() - $from;
}

my %fault = (
    responder => sub {
        $rig->kill9($responder);
        unlink $rig->{socket};
        $responder = $rig->responder(name => 'responder' . int rand 1e6);
    },
    worker  => sub { my $pid = $rig->worker_pid or return; $rig->kill9($pid); recovers(worker => sub { $rig->worker_pid }) },
    runner  => sub { my $pid = $rig->worker_pid or return; my @runners = $rig->children($pid); kill KILL => one_of(@runners) if @runners },
    child   => sub { my $pid = $rig->worker_pid or return; my @all = map { descendants($_) } $rig->children($pid); kill KILL => one_of(@all) if @all },
    backend => sub { my @all = backends(); kill KILL => one_of(@all) if @all; $rig->wait_until(sub { defined try_sql('select 1') }, 'PostgreSQL is back', 60) },
    backends_end => sub { try_sql('select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = $$client backend$$') },
    database_stops => sub { $rig->pg_stop; select undef, undef, undef, rand 2; $rig->pg_start },
    database_immediate => sub { $rig->stop(delete $rig->{postmaster}, 'QUIT'); $rig->pg_start },
    database_killed => sub { $rig->pg_kill9; $rig->pg_start },
    no_connections => sub {
        my @sessions = map { eval { $rig->psql_session } // () } 1 .. 18;
        try_sql('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $$candhook$$');
        select undef, undef, undef, 0.5 + rand 1;
        eval { $_->close } for @sessions;
    },
    refusing => sub {
        # By way of another database: this one refuses everybody, the test too.
        eval {
            $rig->sql($_, dbname => 'postgres')
              for 'alter database candhook allow_connections false', "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = 'candhook'";
        };
        select undef, undef, undef, 0.2 + rand 1;
        $rig->wait_until(sub { $rig->sql('alter database candhook allow_connections true', dbname => 'postgres'); 1 }, 'it takes connections again');
    },
    spool_closed => sub { my $dir = "$rig->{dir}/spool"; chmod 0500, $dir; select undef, undef, undef, rand 1; chmod 0700, $dir },
    (
        $disk
        ? (
            disk_full => sub {
                my $ballast = "$rig->{dir}/spool/ballast";
                system("head -c 64m /dev/zero > $ballast 2>/dev/null");
                select undef, undef, undef, rand 2;
                unlink $ballast or die "cannot free the disk: $!\n";
            }
          )
        : ()
    ),
    standby_away => sub { $rig->standby_stop; select undef, undef, undef, rand 2; $rig->standby_start },
    failover => sub {
        $rig->pg_kill9;
        $rig->promote;
        $rig->standby_make;
        $rig->standby_start;
    },
    people => sub {
        one_of(
            sub { try_sql(q{select candhook.disable_handler('mark')}); select undef, undef, undef, rand 1; $rig->wait_until(sub { $rig->sql(q{select candhook.enable_handler('mark')}); 1 }, 'mark is on again') },
            sub { eval { store_tokens() } },
            sub { try_sql(q{update candhook.handler set concurrency = 1 + (random() * 3)::int where name = 'program'}) },
            sub { try_sql(q{update candhook.handler set timeout = '20 s' where name = 'flaky'}) },
            sub { try_sql(q{select candhook.retry_failed()}) },
        )->();
    }
);

# ---- the load, and faults until it ends ----

my $file = "$rig->{dir}/acknowledged.storm";
$rig->write_file("acknowledged.storm", '');
my $load = fork // die "fork: $!\n";
if (!$load) {
    open STDOUT, '>', "$rig->{dir}/load.json";
    exec Rig::build_path('bench/load'), '--count', $events, '--rate', $rate, '--communities', $communities, '--prefix', 'storm',
      '--acknowledged', $file, '--timeout', 60, "http://127.0.0.1:$rig->{port}" . $rig->path;
    die;
}
my @kinds = sort keys %fault;
my (%count, @queue);
while (waitpid($load, POSIX::WNOHANG()) == 0) {
    @queue = shuffle @kinds if !@queue;    # each kind comes as often
    my $kind = shift @queue;
    $fault{$kind}->();
    $count{$kind}++;
    select undef, undef, undef, 0.1 + rand 0.5;
}
is $?, 0, 'the load ended' or diag $rig->read_file('load.json');
diag 'faults: ' . join ', ', map { "$_ $count{$_}" } sort keys %count;

# What is left may take long on a slow machine; nothing is stuck as long as it becomes less.
sub left { return scalar(() = glob "$rig->{dir}/spool/*.seg") + $rig->sql('select count(*) from candhook.delivery') }
my $end = Rig::Process::now();
for (my $left = left() + 1; $left > left();) {
    $left = left();
    last if eval { $rig->wait_until(sub { left() == 0 }, 'the spool is empty and no delivery waits', 60); 1 };
}
diag $rig->sql('select handler, count(*), min(due_at), max(attempt) from candhook.delivery group by 1') if left();
diag sprintf 'all was done %.1f s after the load; recovery: %s', Rig::Process::now() - $end,
  join ', ', map { sprintf '%s %.1f s at most', $_, max $recovery{$_}->@* } sort keys %recovery;

# ---- the ledger ----

my %acknowledged;
for my $range (split /\n/, $rig->read_file($file)) {
    my ($first, $last) = split / /, $range;
    $acknowledged{$_} = 1 for $first .. $last;
}
my %recorded;
for (split /\n/, $rig->sql(q{select payload ->> 'id' from candhook.event})) {
    /^storm-0*(\d+)$/ ? $recorded{$1}++ : fail("recorded what was not sent: $_");
}
cmp_ok scalar keys %acknowledged, '>', $events / 2, scalar(keys %acknowledged) . " of $events were answered 200";
is_deeply [ grep { !$recorded{$_} } sort { $a <=> $b } keys %acknowledged ], [], 'lost 0: each acknowledged event is recorded';
is_deeply [ grep { $recorded{$_} > 1 } sort { $a <=> $b } keys %recorded ], [], 'doubled 0';
is_deeply [ grep { $_ >= $events } keys %recorded ], [], 'nothing else is recorded';
my $total = keys %recorded;
for my $handler (qw(mark flaky ordered)) {
    is $rig->sql("select count(*), count(distinct event_id) from app.effect where handler = '$handler'"), "$total|$total", "the effect of $handler is there exactly once for each event";
}
is $rig->sql(q{select count(*), count(distinct (event_id, handler)) from candhook.outcome where result = 'ok'}), 4 * $total . '|' . 4 * $total, 'each event has one outcome ok of each handler';
is $rig->sql(q{select count(*) from candhook.outcome where result not in ('ok', 'retry')}), 0, 'and none that failed';
is $rig->sql(q{select count(*) from (select event_id < lag(event_id) over (partition by key order by at) as back from app.effect where handler = 'ordered') x where back}), 0,
  'the ordered handler saw each community in the order of receipt';
is $rig->sql('select count(*) from candhook.delivery'), 0, 'nothing is stuck';
is $rig->sql('select count(*) from candhook.malformed'), 0, 'nothing is malformed';
done_testing;
