# SPDX-License-Identifier: ISC
#
# The helper of a responder that nobody would start again (--listen): when it dies, the responder goes on answering and forks
# another one, which holds nothing of the responder's and starts workers as the first one did.
use v5.36;
use Test::More;
use Rig;
use FastCGI;

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
my $responder = $rig->responder;

# On a connection that stays open, as nginx keeps them.
my $connection = FastCGI->new("$rig->{dir}/candhook.sock");

sub post {
    my $body = $rig->event;
    $connection->request(
        params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path, CONTENT_LENGTH => length $body },
        body   => $body,
        keep   => 1
    );
    return $connection->answer->{status};
}
sub events { return $rig->sql('select count(*) from candhook.event') }
sub log_text { return $rig->read_file('log/candhook.log') }

sub recorded ($count, $what) {
    $rig->wait_until(sub { events() == $count }, $what);
    is events(), $count, $what;
}

# The one child of the responder, when it is another than the one before.
sub next_helper ($before) {
    my $helper;
    $rig->wait_until(sub { ($helper) = grep { $_ != $before } $rig->children($responder); $helper }, 'a helper runs');
    is_deeply [ $rig->children($responder) ], [$helper], 'the responder has one helper';
    return $helper;
}

# What the descriptors of a process are, by number.
sub descriptors ($pid) {
    return map { m{/(\d+)$} ? ($1 => readlink $_) : () } glob "/proc/$pid/fd/*";
}

sub is_clean ($helper) {
    $rig->wait_until(sub { my %open = descriptors($helper); grep { m{/worker\.lock$} } values %open }, 'the helper looks at the worker lock');
    my %open = descriptors($helper);
    is_deeply [ @open{ 0, 1 } ], [ '/dev/null', '/dev/null' ], 'descriptors 0 and 1 of the helper are /dev/null';
    delete @open{ 0 .. 2 };
    is_deeply [ grep { !m{/spool$|/worker\.(?:lock|start)$|/candhook\.log$} } values %open ], [],
      'and beyond 2 it holds only the spool, its files of the worker, and the log';
}

my $helper = next_helper(0);
is post(), 200, 'an event is taken';
recorded(1, 'and recorded');
is_clean($helper);

# ---- the helper is killed ----
kill KILL => $helper;
is post(), 200, 'an event is taken when the helper was killed';
recorded(2, 'and recorded by the worker, which runs on');
my $second = next_helper($helper);
like log_text(), qr/error: helper=ended pid=$helper signal=9 /, 'the responder logs the end of the helper';
is_clean($second);
my $worker = $rig->worker_pid;
$rig->kill9($worker);
is post(), 200, 'an event is taken when the worker was killed';
recorded(3, 'and recorded by a worker that the new helper started');
isnt $rig->worker_pid, $worker, 'which is another one';

# ---- again: with a back-off ----
kill KILL => $second;
my $third = next_helper($second);
ok $rig->running($responder), 'the responder runs on';
my %at = map { m{^\S+T(\d+):(\d+):([\d.]+)Z .*helper=started pid=(\d+)} ? ($4 => ($1 * 60 + $2) * 60 + $3) : () } split /\n/, log_text();
cmp_ok +($at{$third} - $at{$second}) % 86400, '>=', 2, 'a helper that ended soon is not followed at once';

# ---- the responder's end ----
ok $rig->stop($responder), 'the responder ends when told to';
$rig->wait_gone($third);
pass 'and the helper with it';

done_testing;
