# SPDX-License-Identifier: ISC
#
# candhook.fcgi is two processes: the monitor, which somebody started and which starts workers, and the responder, its child,
# which answers. A responder that crashes is followed by another, since under --listen nobody else would start one.
use v5.36;
use Test::More;
use Rig;
use FastCGI;

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
my $monitor = $rig->responder;

sub post ($path = $rig->path) {
    my $body = $rig->event;
    my $connection = FastCGI->new("$rig->{dir}/candhook.sock");
    $connection->request(
        params => { REQUEST_METHOD => 'POST', REQUEST_URI => $path, CONTENT_LENGTH => length $body },
        body   => $body
    );
    return $connection->answer->{status};
}
sub log_text { return $rig->read_file('log/candhook.log') }

sub recorded ($count, $what) {
    $rig->wait_until(sub { $rig->sql('select count(*) from candhook.event') == $count }, $what);
    pass $what;
}

# What the descriptors of a process are, by number.
sub descriptors ($pid) {
    return map { m{/(\d+)$} ? ($1 => readlink $_) : () } glob "/proc/$pid/fd/*";
}

my $first = $rig->answering_pid($monitor);
is post(), 200, 'an event is taken';
recorded(1, 'and recorded');
my $worker = $rig->worker_pid;
my %open = descriptors($worker);
is_deeply [ grep { /candhook\.sock|socket:/ && !/^socket:/ } values %open ], [], 'the worker holds nothing of the front';
is $open{0}, '/dev/null', 'nor its stdin';

# ---- the responder crashes ----
kill KILL => $first;
my $second;
$rig->wait_until(sub { ($second) = grep { $_ != $first } $rig->answering($monitor) }, 'another responder');
is post(), 200, 'when the responder has crashed, another one answers';
recorded(2, 'and the event is recorded');
like log_text(), qr/error: responder=crashed signal=9 /, 'the monitor logs it';
ok $rig->running($monitor), 'and goes on';

# ---- it starts workers all the while ----
$rig->kill9($worker);
is post(), 200, 'an event is taken when the worker was killed';
recorded(3, 'and recorded by a worker that the monitor started');
isnt $rig->worker_pid, $worker, 'which is another one';

# ---- the back-off of workers is of a time that has not come yet: the clock was set back ----
$worker = $rig->worker_pid;
$rig->write_file('spool/worker.start', '9 ' . (time + 1_000_000) * 1000 . "\n");
$rig->kill9($worker);
$rig->wait_until(sub { my $now = $rig->worker_pid; $now && $now != $worker }, 'a worker is started all the same');
pass 'a clock that is set back keeps no worker from starting';

# ---- crashing at once, again and again: with a back-off ----
kill KILL => $second;
my $third;
$rig->wait_until(sub { ($third) = grep { $_ != $second } $rig->answering($monitor) }, 'a third');
my @started = map { m{^\S+T(\d+):(\d+):([\d.]+)Z .*responder=started} ? ($1 * 60 + $2) * 60 + $3 : () } split /\n/, log_text();
cmp_ok +($started[-1] - $started[-2]) % 86400, '>=', 2, 'a responder that crashed soon is not followed at once';

# ---- the monitor is killed: what was begun ends in good order ----
my $slow = FastCGI->new("$rig->{dir}/candhook.sock");
is post(), 200, 'the third answers';
kill KILL => $monitor;
$rig->wait_gone($_) for $monitor, $third;
like log_text(), qr/candhook\.fcgi\[$third\] info: responder=ended$/m, 'without its monitor a responder ends as if told to';
recorded(4, 'nothing is lost');

# ---- told to end, or wrong from the start ----
unlink "$rig->{dir}/candhook.sock";
$monitor = $rig->responder;
my $last = $rig->answering_pid($monitor);
ok $rig->stop($monitor), 'TERM ends the monitor';
ok !$rig->running($last), 'and its responder before it';
ok !-e "$rig->{dir}/candhook.sock", 'the socket is removed';
$rig->write_file('secrets', "# nothing\n");
my ($status) = $rig->run({}, $rig->program('candhook.fcgi'), '--listen', "$rig->{dir}/other.sock");
is $status, 78, 'a responder that cannot start is the end of both, with its exit status';
$rig->write_file('secrets', "$rig->{secret}\n");
chmod 0755, "$rig->{dir}/spool" or die;
($status) = $rig->run({}, $rig->program('candhook.fcgi'), '--listen', "$rig->{dir}/other.sock");
is $status, 78, 'nor one whose spool is open to others';
like log_text(), qr/error: $_=not_started reason="the spool \S+ is open to other users/, "which is said: no $_ starts" for qw(responder worker);

done_testing;
