# SPDX-License-Identifier: ISC
#
# The rig itself: what it starts answers, and nothing of it is left.
use v5.36;
use Test::More;
use Rig;

my $rig = Rig->new(programs => []);
my $dir = $rig->{dir};

# ---- running programs ----
{
    my ($status, $out, $err) = $rig->run({ stdin => "in\n", env => { X => 'y' } }, 'sh', '-c', 'cat; echo $X >&2; exit 3');
    is_deeply [ $status, $out, $err ], [ 3, "in\n", "y\n" ], 'status, stdout and stderr of a program, its stdin and environment';
    ($status) = $rig->run({}, 'sh', '-c', 'kill -9 $$');
    is $status, 137, 'a program ended by a signal';
    (undef, $out) = $rig->run({}, 'id', '-u');
    chomp $out;
    isnt $out, 0, 'nothing runs as root';
    ok !eval { $rig->run({ seconds => 0.2 }, 'sleep', 600); 1 }, 'a program that does not end in time is an error';
    like $@, qr/did not end in time/, 'and is named';
}

# ---- the cluster ----
$rig->cluster;
is $rig->sql('select 1; select $$two$$'), "1\ntwo", 'SQL answers';
is $rig->sql('show server_encoding'), 'UTF8', 'the cluster is UTF-8';
like $rig->sql_error('select 1/0'), qr/division by zero/, 'an SQL error has its message';
is $rig->sql_error('select 1'), '', 'and no error has none';
ok !eval { $rig->sql('nonsense'); 1 }, 'sql dies when the SQL is wrong';

my ($one, $two) = map { $rig->psql_session } 1, 2;
$rig->sql('create table t(a integer)');
is $one->query('begin; insert into t values (1) returning a;'), '1', 'a session answers';
like $two->query('lock table t; select count(*) from t;'), qr/can only be used in transaction blocks.*\n0$/s,
  'errors and rows come back in one text';
$one->query('commit;');
$one->query('begin; lock table t;');
$two->async('select count(*) from t;');
$rig->wait_until(sub { $rig->sql('select count(*) from pg_locks where not granted') }, 'the second session waits again');
is $two->ready, undef, 'a blocked session has no answer yet';
$one->query('rollback;');
is $two->result, '1', 'and has it when it is free';
$_->close for $one, $two;

$rig->sql('insert into t values (2)');
$rig->pg_kill9;
$rig->pg_start;
is $rig->sql('select count(*) from t'), 2, 'the cluster comes back after kill -9';
$rig->pg_stop;
like $rig->sql_error('select 1'), qr/No such file|refused/, 'a stopped cluster is gone';
$rig->pg_start;
is $rig->sql('select count(*) from t'), 2, 'and back after pg_start';

# ---- waiting, ending ----
ok !eval { $rig->wait_until(sub { die "not yet\n" }, 'the moon is green', 0.1); 1 }, 'waiting ends';
like $@, qr/the moon is green.*not yet/s, 'and says for what it waited and why in vain';

my $sleeper = $rig->spawn('sleeper', 'sh', '-c', 'trap "" TERM; echo ready; while :; do sleep 600; done');
$rig->wait_until(sub { $rig->read_file('log/sleeper.log') =~ /ready/ }, 'it is deaf');
is $rig->stop($sleeper, 'TERM', 0.3), 0, 'a process that ignores TERM is killed';
ok !$rig->running($sleeper), 'and gone';

# A program of the folder that nobody here has as a child, as the workers are that a monitor starts.
$rig->install_program('/bin/sleep', 'candhook');
$rig->run({}, 'sh', '-c', "$dir/bin/candhook 600 >/dev/null 2>&1 &");
my ($stray) = $rig->wait_until(sub { $rig->own_processes }, 'the stray runs') && $rig->own_processes('candhook');
ok $stray, 'a process of the folder is found';

my $postmaster = $rig->{postmaster};
$rig->end;
ok !-e $dir, 'the folder is gone';
ok !$rig->running($stray), 'so is the stray';
ok !-e "/proc/$postmaster", 'and the cluster';

# ---- a test that dies, and one that is killed ----
for my $case ([ 'die "on purpose\n"', 'dies' ], [ 'kill TERM => $$; sleep 60', 'is ended by TERM' ]) {
    my $library = Rig::source_path('tests/lib');
    open my $child, '-|', $^X, "-I$library", '-e',
      'use v5.36; use Rig; open STDERR, ">", "/dev/null"; my $r = Rig->new(programs => []); my $p = $r->spawn("s", "sleep", 600); $| = 1; say $r->{dir}; say $p; '
      . $case->[0] or die;
    chomp(my $folder = <$child>);
    chomp(my $pid = <$child>);
    my $rest = <$child>;
    ok !close $child, "a test that $case->[1] fails";
    ok !-e $folder, 'its folder is gone';
    ok !-e "/proc/$pid", 'and its process';
}

done_testing;
