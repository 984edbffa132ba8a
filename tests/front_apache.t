# SPDX-License-Identifier: ISC
#
# The shipped apache/mod_fcgid.conf, included as it is by the real Apache: under the event MPM, and in short under prefork.
use v5.36;
use Test::More;
use Rig;

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
$rig->apache;
my $path = $rig->path;

sub event ($id) { return $rig->event(payload => { id => $id }) }

sub recorded { return split /\n/, $rig->sql(q{select payload ->> 'id' from candhook.event order by 1}) }

sub wait_recorded ($count) {
    $rig->wait_until(sub { $rig->sql('select count(*) from candhook.outcome') >= $count }, "$count events have an outcome", 60);
}

# ---- one event, all the way; nothing runs before it, since mod_fcgid starts the program when it is asked for ----
{
    my $answer = $rig->post($path, event('CP:1'));
    is $answer->{status}, 200, 'an event is taken';
    is $answer->{body}, '', 'with an empty body';
    wait_recorded(1);
    is_deeply [ recorded() ], ['CP:1'], 'and recorded';
    is $rig->sql('select handler, result from candhook.outcome'), '|unhandled', 'with its outcome';
    ok $rig->worker_pid, 'the worker was started by the helper';
}

# ---- the answers ----
{
    is $rig->post("$path?a=b", event('CP:2'))->{status}, 200, 'with a query: 200';
    is $rig->post("//candhook//$rig->{secret}", event('CP:3'))->{status}, 200, 'with slashes twice: 200';
    for my $wrong ('/candhook/x', '/candhook/', "$path/", "${path}x", "$path/x", '/candhook/%' . sprintf('%02x', ord $rig->{secret}) . substr $rig->{secret}, 1) {
        for my $method (qw(POST GET)) {
            my $answer = $rig->post($wrong, '', method => $method);
            is "$answer->{status} $answer->{body}", '404 ', "$method of a wrong path: 404, empty";
        }
    }
    my $answer = $rig->post($path, '', method => 'GET');
    is $answer->{status}, 405, 'GET: 405';
    is $answer->{headers}{allow}, 'POST', 'with Allow';
    is $rig->post($path, '')->{status}, 400, 'no body: 400';
    is $rig->post($path, '[]')->{status}, 400, 'no object: 400';
    my $large = $rig->event(payload => { id => 'CP:4', text => 'x' x 1_000_000 });
    is $rig->post($path, $large)->{status}, 200, 'a million bytes: 200, mod_fcgid would stop at 128 KiB';
    is $rig->post($path, $rig->event(payload => { text => 'x' x 1_100_000 }))->{status}, 413, 'more than max_body: 413';
    my $chunked = $rig->connect_front;
    print {$chunked} "POST $path HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    printf {$chunked} "%x\r\n%s\r\n", length $_, $_ for event('CP:5') =~ /(.{1,40})/gs;
    print {$chunked} "0\r\n\r\n";
    $chunked->flush;
    is $rig->answer($chunked)->{status}, 200, 'a chunked body: 200';
    my $cut = $rig->connect_front;
    print {$cut} $rig->request_text($path, event('cut'), length => 1000);
    $cut->flush;
    close $cut;
    wait_recorded(5);
    is_deeply [ recorded() ], [ map { "CP:$_" } 1 .. 5 ], 'each is recorded once';
    is $rig->sql('select body from candhook.malformed'), '\x5b5d', 'and what is no object is malformed';
    $rig->sql('truncate candhook.event, candhook.outcome');
}

# ---- many at once ----
{
    my @ids = map { sprintf 'many %03d', $_ } 1 .. 100;
    my @status = $rig->post_many($path, [ map { event($_) } @ids ], 100);
    is_deeply \@status, [ (200) x 100 ], '100 at once are taken';
    wait_recorded(100);
    is_deeply [ recorded() ], \@ids, 'and each is recorded once';
    $rig->sql('truncate candhook.event, candhook.outcome');
}

# ---- apachectl graceful under load ----
sub reloads { return scalar(() = $rig->read_file('log/apache_error.log') =~ /resuming normal operations/g) }
{
    my (%status, @acknowledged);
    for my $round (1 .. 3) {
        my @new = map { "graceful $round $_" } 1 .. 100;
        my $before = reloads();
        # A request that wants a new process while mod_fcgid's process manager ends may get no answer at all: the manager
        # logs `server is restarted, must exit` then. It is not acknowledged, and nothing hangs behind it.
        my @status = $rig->post_many($path, [ map { event($_) } @new ], 10,
            answered => [ 20, sub { kill USR1 => $rig->{apache} } ], unanswered => 30);
        $rig->wait_until(sub { reloads() > $before }, 'Apache has reloaded');
        $status{$_}++ for @status;
        push @acknowledged, @new[ grep { $status[$_] == 200 } 0 .. $#new ];
    }
    note join ', ', map { "$status{$_} times $_" } sort keys %status;
    cmp_ok scalar(@acknowledged), '>', 100, 'events are taken while Apache reloads';
    is $rig->post($path, event('last'))->{status}, 200, 'and after it';
    $rig->wait_until(sub { grep { $_ eq 'last' } recorded() }, 'the last is recorded');
    my %times;
    $times{$_}++ for recorded();
    is_deeply [ grep { !$times{$_} } @acknowledged ], [], 'all that were acknowledged are recorded';
    is_deeply [ grep { $times{$_} > 1 } keys %times ], [], 'nothing is recorded twice';
}

# ---- a worker outlives a restart of Apache, and the programs do not ----
{
    my $worker = $rig->worker_pid;
    ok $worker, 'a worker runs';
    ok $rig->stop($rig->{apache}), 'TERM ends Apache';
    $rig->wait_until(sub { !grep { $_ } $rig->own_processes('candhook.fcgi') }, 'the programs and their helpers are gone');
    is $rig->worker_pid, $worker, 'the worker has stayed';
    $rig->apache(mpm => 'prefork');
    is $rig->post($path, event('prefork'))->{status}, 200, 'under prefork an event is taken';
    $rig->wait_until(sub { grep { $_ eq 'prefork' } recorded() }, 'it is recorded');
    pass 'and recorded';
}

# ---- the secret is in no log, not even when the program cannot be reached ----
{
    is $rig->post('/elsewhere', '{}')->{status}, 403, 'what is not mounted is the site\'s';
    rename "$rig->{dir}/bin", "$rig->{dir}/moved" or die;
    my $answer = $rig->post($path, '{}');
    cmp_ok $answer->{status}, '>=', 403, "a program that is not there: $answer->{status}";
    rename "$rig->{dir}/moved", "$rig->{dir}/bin" or die;
    chmod 0, "$rig->{dir}/bin" or die;
    is $rig->post($path, '{}')->{status}, 403, 'a program that Apache may not reach: 403';
    chmod 0700, "$rig->{dir}/bin" or die;
    $rig->stop($rig->{apache}); # it writes its logs after it has answered
    like $rig->read_file('log/apache_access.log'), qr{"POST /elsewhere }, 'Apache logs what is not ours';
    for my $log (sort glob "$rig->{dir}/log/*") {
        unlike $rig->read_file($log), qr/\Q$rig->{secret}\E/, 'no secret in ' . $log =~ s{.*/}{}r;
    }
    unlike $rig->read_file('apache/mod_fcgid.conf'), qr/\@\w+\@/, 'every folder of the shipped file is filled in';
}
done_testing;
