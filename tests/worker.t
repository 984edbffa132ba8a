# SPDX-License-Identifier: ISC
#
# The life of a worker: one for a spool, started by the responder's monitor, stopped by a person, ended by a new program
# or schema, patient with a database that goes away, and run once for cron.
use v5.36;
use Test::More;
use Rig;

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;

sub version ($number) {
    $rig->sql("create or replace function candhook.version() returns integer language sql immutable as \$\$ select $number \$\$");
}
sub events { return $rig->sql('select count(*) from candhook.event') }
sub log_text { return $rig->read_file('log/candhook.log') }
sub said ($pattern) { return scalar(() = log_text() =~ /$pattern/g) }
sub recorded ($count, $what) {
    $rig->wait_until(sub { events() == $count }, $what);
    is events(), $count, $what;
}

# ---- started by the monitor ----
my $responder = $rig->responder;
$rig->nginx;
is $rig->post($rig->path, $rig->event)->{status}, 200, 'an event is taken';
recorded(1, 'and recorded by a worker that nobody started by hand');
my $worker = $rig->worker_pid;
is readlink "/proc/$worker/fd/0", '/dev/null', 'the worker has not the listening socket';
is +(stat "$rig->{dir}/spool")[2] & 07777, 0700, 'the spool is closed to others';

# ---- one for a spool ----
is +($rig->candhook('work'))[0], 75, 'a second worker ends';
like +($rig->candhook('work'))[2], qr/a worker runs for the spool \S+ already \(process $worker\)/, 'and names the first';
is $rig->worker_pid, $worker, 'the first goes on';
is +($rig->candhook('work', '--unless-stopped'))[0], 75, 'as does one that a monitor starts';

# ---- killed ----
$rig->kill9($worker);
$rig->wait_until(sub { my $now = $rig->worker_pid; $now && $now != $worker }, 'the monitor starts another');
pass 'killed, it is started again';
is $rig->post($rig->path, $rig->event)->{status}, 200, 'an event is taken';
recorded(2, 'and recorded');

# ---- stopped by a person ----
like $rig->candhook_ok('stop'), qr/^the worker \(process \d+\) ended$/, 'candhook stop ends it';
$rig->wait_until(sub { !$rig->worker_pid }, 'its process is gone');
pass 'no worker runs';
like $rig->candhook_ok('stop'), qr/^no worker was running$/, 'again it says that none runs';
is $rig->post($rig->path, $rig->event)->{status}, 200, 'events are taken all the same';
is +($rig->candhook('work', '--once', '--unless-stopped'))[0], 0, 'what is started by others does nothing';
is events(), 2, 'nothing is recorded';
my ($month) = $rig->sql(q{select to_char(now() at time zone 'UTC' + interval '3 months', 'YYYY_MM')});
$rig->sql("drop table candhook_internal.event_$month");
is $rig->candhook_ok('work', '--once'), '', 'by hand it runs once';
is said(qr/maintained="made partition event_$month"/), 1, 'and maintains the schema';
is events(), 3, 'and records what had gathered';
$rig->wait_until(sub { $rig->worker_pid }, 'the monitor starts a worker again');
pass 'and the stop is over';

# ---- the database goes away ----
$worker = $rig->worker_pid;
$rig->wait_until(sub { $rig->sql("select count(*) from pg_stat_activity where application_name = 'candhook'") >= 2 }, 'it is connected');
$rig->pg_stop;
is $rig->post($rig->path, $rig->event)->{status}, 200, 'events are taken without a database' for 1 .. 3;
$rig->wait_until(sub { said(qr/recording=failing/) }, 'the worker says so');
$rig->pg_start;
recorded(6, 'all are recorded when it is back');
$rig->wait_until(sub { said(qr/recording=recovered/) }, 'it says that it works again');
my @reasons = log_text() =~ /recording=failing reason=(.*?) next=/g;
is_deeply [ grep { $reasons[$_] eq $reasons[ $_ - 1 ] } 1 .. $#reasons ], [], 'a reason is said once, not with each try';
is $rig->worker_pid, $worker, 'the worker is the same';

# ---- a new program ----
$rig->install_program(Rig::build_path('candhook'));
$rig->wait_until(sub { my $now = $rig->worker_pid; $now && $now != $worker }, 'a worker of the new program');
like log_text(), qr/worker=ending reason="its program changed"/, 'a replaced program ends the worker, and another is started';
$worker = $rig->worker_pid;
$rig->post($rig->path, $rig->event);
recorded(7, 'which records');

# ---- another schema ----
version(99);
$rig->wait_until(sub { said(qr/worker=ending reason="the schema candhook has version 99/) }, 'a changed schema ends the worker');
is +($rig->candhook('token', 'set', 'G1', { stdin => "x\n" }))[0], 69, 'a verb refuses the schema, too';
$rig->post($rig->path, $rig->event);
is events(), 7, 'nothing is recorded into a schema that the program does not know';
version(1);
recorded(8, 'it goes on when the schema is the one it knows');

# ---- told to end ----
$worker = $rig->worker_pid;
my $before = said(qr/worker=ended/);
$rig->pg_stop;
kill TERM => $worker;
$rig->wait_gone($worker, 15);
is said(qr/worker=ended/), $before + 1, 'TERM ends it in good order, and no database is waited for when nothing is left to record';

# ---- the responder's end ----
my $answering = $rig->answering_pid($responder);
$rig->stop($responder);
$rig->wait_gone($answering);
pass 'the process that answers ends with its monitor';

done_testing;
