# SPDX-License-Identifier: ISC
#
# Attempts while the database is away, or makes a statement wait: deadlines hold, what programs print is read, answers are
# taken, and the outcomes are recorded afterwards.
use v5.36;
use Test::More;
use HandlerRig;
use Rig::Cand;

my $rig = HandlerRig->new(log_level => 'debug');
my $dir = $rig->{dir};
my $shop = Rig::Cand->service($rig);
$rig->start_worker;

sub shell ($name, $text) { $rig->handler_file($name, "#!/bin/sh\n$text") }

# `hang` runs past its timeout; `chatty` prints more than a pipe holds and says when it is through.
shell('hang', "echo \$\$ >$dir/hang.pid.new; mv $dir/hang.pid.new $dir/hang.pid; exec sleep 1000");
shell('chatty', "until [ -e $dir/chatty.go ]; do sleep 0.01; done; head -c 300000 /dev/zero | tr '\\0' x; : >$dir/chatty.done; echo; exit 0");
shell('queue', "echo \$CANDHOOK_EVENT_ID >>$dir/queue.begun; [ -e $dir/queue.go ] || until [ -e $dir/queue.go ]; do sleep 0.01; done");
$rig->compile('hang.so', "#include <candhook/handler.h>\n#include <stdio.h>\n#include <unistd.h>\nenum candhook_result hang(const struct candhook_call *c)\n"
    . "{ FILE *f = fopen(\"$dir/c.pid\", \"w\"); (void)c; fprintf(f, \"%d\\n\", (int)getpid()); fclose(f); for (;;) pause(); }\n");
$rig->handler('hang', kind => 'exec', target => 'hang', timeout => '2 s', max_attempts => 1);
$rig->handler('c', kind => 'c', target => 'hang.so:hang', timeout => '2 s', max_attempts => 1);
$rig->handler('chatty', kind => 'exec', target => 'chatty', timeout => '60 s', max_attempts => 1);
$rig->handler('post', kind => 'http', target => $shop->url . '/post', timeout => '1500 ms', first_delay => '10 ms');

# The pids of the server's processes for candhook.
sub backends { return split /\n/, $rig->sql("select pid from pg_stat_activity where application_name = 'candhook'") }

my $holder;
my @stopped;
my %outage = (
    # The claims are on the disk: one that a crash undoes is made again, and its attempt, too.
    'no server'       => [ sub { $rig->sql('checkpoint'); $rig->pg_kill9 }, sub { $rig->pg_start } ],
    'stopped server'  => [ sub { kill STOP => @stopped = backends() }, sub { kill CONT => @stopped } ],
    'locked tables'   => [
        sub {
            $holder = $rig->psql_session;
            $holder->query('begin; lock table candhook.delivery, candhook.outcome in access exclusive mode;');
        },
        sub { $holder->query('commit;') }
    ],
);
my $round = 0;
for my $name (sort keys %outage) {
    my ($begin, $end) = @{ $outage{$name} };
    $round++;
    unlink map { "$dir/$_" } qw(hang.pid c.pid chatty.go chatty.done);
    $shop->clear->on({ path => '^/post', status => 200, delay => 0.5 });
    $rig->event_of($_) for qw(chatty hang c post);
    $rig->wait_until(sub { -s "$dir/hang.pid" && -s "$dir/c.pid" && $shop->count(qr/post/) }, 'all run');
    my @pids = map { 0 + $rig->read_file("$_.pid") } qw(hang c);
    $begin->();
    $rig->write_file('chatty.go', '');
    # The deadlines are 2 s from the beginning; that of the POST, which is answered after half a second, is over by then.
    ok eval { $rig->wait_gone($_, 15) for @pids; 1 }, "$name: what runs too long is ended";
    ok eval { $rig->wait_until(sub { -e "$dir/chatty.done" }, 'it has printed', 15) }, 'what is printed is read';
    $end->();
    is $rig->settled('hang', $round, 60)->[-1], 'failed|the program ran past its timeout of 2000 ms', 'each has its outcome: exec,';
    is $rig->settled('c', $round)->[-1], 'failed|the handler ran past its timeout of 2000 ms', 'c,';
    like $rig->settled('chatty', $round)->[-1], qr/^ok\|x+$/, 'output and all,';
    is $rig->settled('post', $round)->[-1], 'ok|HTTP 200 OK', 'and http';
    is scalar(@{ $rig->results('post') }), $round, 'there was one attempt';
    is $shop->count(qr/post/), 1, 'and one POST';
    is $rig->sql("select count(*) from candhook.outcome where detail like 'attempt lost%'"), 0, 'no attempt is lost';
}

# ---- what waits is not begun while the lease may be another's by now ----
$rig->handler('queue', kind => 'exec', target => 'queue', concurrency => 1, timeout => '1 hour');
my @queue = $rig->events_of('queue', [ map { { id => $_ } } 1 .. 5 ]);
$rig->wait_until(sub { -s "$dir/queue.begun" }, 'the first one runs');
my ($old) = split /\n/, $rig->sql("select extract(epoch from clock_timestamp() + interval '9 s')");
kill STOP => @stopped = backends();
$rig->wait_until(sub { time > $old }, 'the last renewal is old', 20);
$rig->write_file('queue.go', '');
$rig->event_of('chatty');    # nothing is seen of it until the server goes on
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.delivery where handler = 'chatty'") }, 'it waits');
is scalar(() = $rig->read_file('queue.begun') =~ /\n/g), 1, 'nothing is begun under a lease that was not renewed';
kill CONT => @stopped;
$rig->settled('queue', 5);
is scalar(() = $rig->read_file('queue.begun') =~ /\n/g), 5, 'and afterwards each is done once';

# ---- the end of a worker whose database waits ----
unlink "$dir/hang.pid";
$rig->event_of('hang');
$rig->wait_until(sub { -s "$dir/hang.pid" }, 'it runs');
$outage{'locked tables'}[0]->();
my $worker = $rig->worker_pid;
my $pid = 0 + $rig->read_file('hang.pid');
kill TERM => $worker;
ok eval { $rig->wait_gone($pid, 15); 1 }, 'deadlines hold while it ends';
$outage{'locked tables'}[1]->();
$rig->wait_gone($worker);
is $rig->results('hang')->[-1], 'failed|the program ran past its timeout of 2000 ms', 'and the outcome is recorded';

# ---- work --once whose dispatcher loses its connection ----
unlink "$dir/chatty.go";
$rig->event_of('chatty');
my $once = $rig->spawn('once', "$dir/bin/candhook", 'work', '--once');
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.delivery where handler = 'chatty' and lease is not null") }, 'it runs the attempt');
# Its connection is the one that has asked when more is due.
$rig->wait_until(sub { $rig->sql(q{select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'candhook' and state = 'idle' and query like '%due_in%'}) == 1 }, 'it waits');
$rig->write_file('chatty.go', '');
$rig->wait_gone($once);
like $rig->read_file('log/candhook.log'), qr/warning: worker=failing reason="the database connection was lost"/, 'it says so';
done_testing;
