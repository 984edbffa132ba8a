# SPDX-License-Identifier: ISC
#
# The shipped nginx/fastcgi.conf, mounted as it is before a candhook.fcgi that is started as systemd/candhook.service says, by
# its socket; and a worker as systemd/candhook-worker.service says. The suite that every mount passes, and what is systemd's.
use v5.36;
use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM);
use Test::More;
use FastCGI;
use Rig;
use Conformance;

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;

# The command line of a unit's ExecStart.
sub command ($unit) {
    my ($words) = $rig->read_file($rig->fill_shipped("systemd/$unit", $unit)) =~ /^ExecStart=(.+)$/m or die "$unit has no ExecStart\n";
    return split / /, $words;
}

my ($program, @args) = command('candhook.service');
is $program, $rig->program('candhook.fcgi'), 'candhook.service runs candhook.fcgi';
is_deeply \@args, ['--no-worker'], 'and starts no worker';
my $responder = $rig->socket_activated(args => \@args);
$rig->nginx;

# ---- no worker without its service ----
my $first = $rig->event(payload => { id => 'first' });
is $rig->post($rig->path, $first)->{status}, 200, 'an event is taken';
is_deeply [ $rig->children($responder) ], [ $rig->answering($responder) ], 'no process but the one that answers runs';
is $rig->worker_pid, undef, 'and no worker';
is $rig->sql('select count(*) from candhook.event'), 0, 'so that nothing is recorded';
my $worker = $rig->spawn('worker', command('candhook-worker.service'));
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.event') == 1 }, 'it is recorded');
is $rig->worker_pid, $worker, 'until the worker\'s service starts';
$rig->sql('truncate candhook.event, candhook.outcome');

Conformance::run(
    $rig, $rig->nginx_hooks,
    readme         => 'nginx/README',
    column         => 'systemd',
    kill_responder => sub {
        $rig->kill9($responder);
        $responder = $rig->socket_activated(args => \@args);
    }
);

# ---- the socket outlives the program: what comes meanwhile waits ----
{
    ok $rig->stop($responder), 'TERM ends the responder';
    my $waiting = FastCGI->new($rig->{socket});
    my $event = $rig->event(payload => { id => 'waited' });
    $waiting->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path, CONTENT_LENGTH => length $event }, body => $event);
    $responder = $rig->socket_activated(args => \@args);
    is $waiting->answer->{status}, 200, 'what came while none ran is taken by the next';
    ok $rig->stop($responder), 'which ends as well';
    ok -S $rig->{socket}, 'and leaves the socket, which is not its own';
}

# ---- a socket that is meant for another process is none ----
{
    my ($status, undef, $err) = $rig->run({ env => { LISTEN_FDS => 1, LISTEN_PID => 1 }, listener => $rig->{listeners}{ $rig->{socket} } }, $program, @args);
    is $status, 64, 'LISTEN_PID of another process: not started';
    like $err, qr/not started by a web server/, 'and says so';
}

# ---- the same by systemd's own tool ----
SKIP: {
    skip 'systemd-socket-activate is not installed', 3 if !$rig->have('systemd-socket-activate');
    my $socket = "$rig->{dir}/activate.sock";
    my $pid = $rig->spawn('systemd-socket-activate', 'systemd-socket-activate', '-l', $socket,
        '-E', "CANDHOOK_CONF=$rig->{dir}/candhook.conf", $program, @args);
    # The socket's name is there a moment before anybody listens.
    $rig->wait_until(sub { $rig->read_file('log/systemd-socket-activate.log') =~ /^Listening on/m }, 'it listens');
    my $event = $rig->event(payload => { id => 'activated' });
    my $fcgi = FastCGI->new($socket);
    $fcgi->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path, CONTENT_LENGTH => length $event }, body => $event);
    is $fcgi->answer->{status}, 200, 'started by systemd-socket-activate it takes an event';
    $rig->wait_until(sub { $rig->sql(q{select count(*) from candhook.event where payload ->> 'id' in ('waited', 'activated')}) == 2 }, 'both are recorded');
    pass 'which is recorded';
    ok $rig->stop($pid), 'and TERM ends it';
}
ok $rig->stop($worker), 'TERM ends the worker';
done_testing;
