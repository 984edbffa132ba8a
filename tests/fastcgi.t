# SPDX-License-Identifier: ISC
#
# Whoever may write to the responder's socket, and what they send there: broken, slow, huge and interleaved records, from one
# connection and from a thousand. The requests beside them are answered soon and are in the spool exactly once, the responder
# goes on as the same process, and holds no descriptor longer than it must.
use v5.36;
use Test::More;
use Errno qw(EAGAIN EPIPE ECONNRESET);
use FastCGI;
use IO::Handle;
use POSIX ();
use Rig;

my $bound = 3;       # seconds for an answer; before there was a rule, each half request cost 5 of them
my $crowd_bound = 6; # the same behind a thousand others

$SIG{PIPE} = 'IGNORE';
my $rig = Rig->new;
my $max_body = 65536;
$rig->conf(max_body => $max_body, log_level => 'warning');
my $monitor = $rig->responder(args => ['--no-worker']);
my $pid = $rig->answering_pid($monitor);
my $path = $rig->path;

# ---- good requests ----

my @good; # the ids of the events that were answered 200

sub params ($body, %param) {
    return (REQUEST_METHOD => 'POST', REQUEST_URI => $path, CONTENT_LENGTH => length $body, %param);
}

sub fresh ($prefix = 'CP', $room = 0) {
    state $count = 0;
    my $id = sprintf '%s:%d:%05d', $prefix, $$, ++$count;
    return ($id, $rig->event(payload => { id => $id, text => 'x' x $room }));
}

# One event on a connection of its own. Returns the seconds until its answer.
sub good ($name, $limit = $bound) {
    my ($id, $body) = fresh();
    my $start = FastCGI::now();
    my $fcgi = FastCGI->new($rig->{socket});
    $fcgi->request(params => { params($body) }, body => $body);
    my $status = $fcgi->answer->{status};
    my $seconds = FastCGI::now() - $start;
    push @good, $id if $status == 200;
    ok $status == 200 && $seconds < $limit, "$name: an event beside it is answered within $limit s"
      or diag sprintf 'status %s after %.3f s', $status, $seconds;
}

sub descriptors { return scalar(() = glob "/proc/$pid/fd/*") }

# What the spool holds.
sub spooled { return join '', map { $rig->read_file($_) } glob "$rig->{dir}/spool/*.seg" }

# ---- what is sent ----

my $begin = FastCGI::record('begin', pack 'nCx5', 1, 0);
my $end_of_params = FastCGI::record('params', '');
my $body = (fresh('XX'))[1];
my $pairs = FastCGI::pairs(params($body));
my $params = FastCGI::record('params', $pairs);
my $wrong_pairs = FastCGI::pairs(params($body, REQUEST_URI => '/candhook/' . 'x' x 40));
my $wrong = $begin . FastCGI::record('params', $wrong_pairs) . $end_of_params;
my $head = $begin . $params . $end_of_params;

# What begins a request and does not go on.
my %slow = (
    'nothing at all'                   => '',
    'one byte'                         => "\1",
    'half a header'                    => substr($begin, 0, 5),
    'the header of a first record'     => substr($begin, 0, 8),
    'the beginning of a request'       => $begin,
    'half the parameters'              => $begin . substr($params, 0, 60),
    'all parameters, but not their end' => $begin . $params,
    'a pair in two records'            => $begin . FastCGI::record('params', substr $pairs, 0, 3),
    'a record of which most is missing' => $begin . pack('CCnnCC', 1, 4, 1, 65535, 255, 0) . "\1\1ab",
);

# What no front sends: the connection is closed.
my %broken = (
    'HTTP'                           => "POST / HTTP/1.0\r\n\r\n" x 4,
    'zeros'                          => "\0" x 64,
    'version 2'                      => "\2" . substr($head, 1),
    'version 0 in the second record' => $begin . "\0" . substr($params, 1),
    'request id 0'                   => FastCGI::record('begin', pack('nCx5', 1, 0), 0),
    'the role of an authorizer'      => FastCGI::record('begin', pack 'nCx5', 2, 0),
    'a first record too short'       => FastCGI::record('begin', ''),
    'a first record too long'        => FastCGI::record('begin', 'x' x 9),
    'parameters first'               => $params . $begin,
    'a body first'                   => FastCGI::record('stdin', 'x'),
    'a body before the parameters end' => $begin . $params . FastCGI::record('stdin', $body),
    'parameters of another request'  => $begin . FastCGI::record('params', $pairs, 2),
    'a second request on top'        => $begin . FastCGI::record('begin', pack('nCx5', 1, 0), 2) . $params,
    'the same request twice'         => $begin . $begin,
    'a second request within a body' => $head . FastCGI::record('begin', pack('nCx5', 1, 0), 2) . FastCGI::record('stdin', $body),
    'a body of another request'      => $head . FastCGI::record('stdin', $body, 2),
    'parameters within a body'       => $head . $params,
    'an abort before the parameters end' => $begin . $params . FastCGI::record('abort', ''),
    'a question for values'          => FastCGI::record(9, FastCGI::pairs(FCGI_MAX_CONNS => ''), 0),
    'an unknown type'                => $begin . FastCGI::record(77, 'x'),
    'an answer'                      => $head . FastCGI::record('stdout', 'x'),
    'a name of 2 GiB'                => $begin . FastCGI::record('params', "\xff\xff\xff\xff\xff\xff\xff\xff") . $end_of_params,
    'a value of 1 GiB'               => $begin . FastCGI::record('params', "\1\xc0\0\0\0a") . $end_of_params,
    'a value of 200 kB, not there'   => $begin . FastCGI::record('params', "\1\x80\3\0\0a"),
    'a pair beyond the parameters'   => $begin . FastCGI::record('params', "\5\x20ab") . $end_of_params,
    'half a length'                  => $begin . FastCGI::record('params', $pairs . "\x80\0") . $end_of_params,
    'parameters of 200 kB'           => $begin . FastCGI::record('params', FastCGI::pairs(X => 'x' x 60000)) x 4
);

# What comes from one connection.
for my $name (sort keys %broken) {
    my $fcgi = FastCGI->new($rig->{socket});
    $fcgi->raw($broken{$name});
    ok eval { $fcgi->closed($bound) }, "$name: the connection is closed";
    # In small pieces, which the responder sees one at a time, or a few.
    my $piecewise = FastCGI->new($rig->{socket});
    my $pieces = substr $broken{$name}, 0, 300;
    while (length $pieces) { $piecewise->raw(substr $pieces, 0, 7, '') or last }
    good($name);
}
for my $name (sort keys %slow) {
    my $fcgi = FastCGI->new($rig->{socket});
    $fcgi->raw($slow{$name});
    good($name) for 1 .. 2;
}
{
    my @bodies = map { (fresh('XX'))[1] } 1 .. 3;
    my $slow = FastCGI->new($rig->{socket});
    $slow->raw($head . FastCGI::record('stdin', substr $body, 0, 20));
    my $wrong_one = FastCGI->new($rig->{socket});
    $wrong_one->raw($wrong . FastCGI::record('stdin', substr $body, 0, 20));
    is $wrong_one->answer($bound)->{status}, 404, 'a wrong secret is refused before its body is whole';
    good('half a body');
    my ($id, $whole) = fresh();
    my $pieces = FastCGI::request_bytes(params => { params($whole) }, body => $whole);
    my $dribble = FastCGI->new($rig->{socket});
    while (length $pieces) {
        $dribble->raw(substr $pieces, 0, 1, '');
        good('a request that comes byte by byte') if length($pieces) % 200 == 0;
    }
    is $dribble->answer->{status}, 200, 'a request that comes byte by byte is answered, too';
    push @good, $id;
    is $slow->answer->{status}, 400, 'half a body: after a while 400';
}

# Sends as much of an endless body as the socket takes. Returns 0 when the peer has closed.
sub pump ($fcgi) {
    my $piece = FastCGI::record('stdin', 'x' x 32768);
    $fcgi->{socket}->blocking(0);
    for (1 .. 50) {
        my $sent = syswrite $fcgi->{socket}, substr $piece, $fcgi->{sent} // 0;
        return $! == EAGAIN if !defined $sent;
        $fcgi->{sent} = (($fcgi->{sent} // 0) + $sent) % length $piece;
    }
    return 1;
}
{
    my @endless = map { FastCGI->new($rig->{socket}) } 1 .. 3;
    $endless[0]->raw($wrong);
    $endless[1]->raw($begin . FastCGI::record('params', FastCGI::pairs(params($body, CONTENT_LENGTH => ''))) . $end_of_params);
    $endless[2]->raw($begin . FastCGI::record('params', FastCGI::pairs(params($body, REQUEST_METHOD => 'PUT'))) . $end_of_params);
    for (1 .. 10) {
        pump($_) for @endless;
        good('bodies without an end');
    }
    is $endless[0]->answer->{status}, 404, 'a wrong secret with a body without an end: 404';
    is $endless[1]->answer->{status}, 413, 'a body without an end: 413';
    is $endless[2]->answer->{status}, 405, 'a PUT without an end: 405';
    my $closed = eval { $rig->wait_until(sub { !grep { pump($_) } @endless }, 'all are closed', 20) };
    ok $closed, 'and none is read for ever';
}
{
    my ($id, $whole) = fresh('CP', 60000);
    my $fcgi = FastCGI->new($rig->{socket});
    my $head = $begin . FastCGI::record('params', FastCGI::pairs(params($whole))) . $end_of_params;
    $fcgi->raw($head);
    $fcgi->raw(FastCGI::record('stdin', $_)) for $whole =~ /(.{1,100})/gs;
    $fcgi->stdin('');
    is $fcgi->answer->{status}, 200, 'a large body in 600 records is taken whole';
    push @good, $id;
}
{
    my ($first, $one) = fresh();
    my ($second, $other) = fresh('XX');
    my $fcgi = FastCGI->new($rig->{socket});
    $fcgi->raw(FastCGI::request_bytes(keep => 1, params => { params($one) }, body => $one) . FastCGI::request_bytes(params => { params($other) }, body => $other));
    is $fcgi->answer->{status}, 200, 'of two requests at once on one connection, the first is answered';
    push @good, $first;
    ok $fcgi->closed, 'and the connection closed, so that nobody waits for the other';
}
for my $rest ('the end', 'no records') {
    my $fcgi = FastCGI->new($rig->{socket});
    $fcgi->begin(1);
    $fcgi->params(params('', CONTENT_LENGTH => 1000, REQUEST_URI => '/candhook/x'));
    $fcgi->stdin('x' x 10);
    is $fcgi->answer->{status}, 404, 'a stranger is answered before the body has come';
    if ($rest eq 'the end') {
        $fcgi->stdin('');
        my ($id, $body) = fresh();
        $fcgi->request(params => { params($body) }, body => $body);
        is $fcgi->answer->{status}, 200, 'and at its end the connection is as good as any';
        push @good, $id;
    } else {
        $fcgi->raw('x' x 100);
        ok $fcgi->closed, 'one that goes on with what are no records is closed';
    }
}
{
    my @silent = map { FastCGI->new($rig->{socket}) } 1 .. 5;
    for my $fcgi (@silent) {
        my $bytes = '';
        for (1 .. 300) {
            my ($id, $body) = fresh();
            $fcgi->request(keep => 1, params => { params($body, REQUEST_URI => '/candhook/x') }, body => $body) or last;
        }
    }
    good('answers that nobody reads');
}

# ---- a thousand of them ----

# Runs the code in so many processes, with the descriptors of each, beside this one. It says "ready" by its return, and
# lives until the function that is returned here is called.
sub beside ($processes, $code) {
    my (@pids, @ready, @controls);
    for (1 .. $processes) {
        pipe my $ready, my $say_ready or die;
        pipe my $wait, my $control or die;
        my $child = fork // die;
        if ($child == 0) {
            close $_ for @controls, $control, $ready;
            my @kept = $code->();
            syswrite $say_ready, "ready\n";
            sysread $wait, my $byte, 1;
            POSIX::_exit(0);
        }
        push @pids, $child;
        push @ready, $ready;
        push @controls, $control;
    }
    sysread $_, my $line, 6 for @ready;
    return sub { close $_ for @controls; waitpid $_, 0 for @pids };
}

good('before the crowd');
my $before = descriptors();
{
    my @slow = @slow{ sort keys %slow };
    my @broken = @broken{ sort keys %broken };
    my $end = beside(4, sub {
        my @open;
        for my $n (0 .. 249) {
            push @open, FastCGI->new($rig->{socket});
            $open[-1]->raw($n % 10 == 9 ? $broken[ $n % @broken ] : $n % 10 == 8 ? $wrong : $slow[ $n % @slow ]);
        }
        return @open;
    });
    good('a thousand connections that begin something', $crowd_bound) for 1 .. 10;
    $end->();
}
ok $rig->running($pid), 'the responder is still the same process';
ok eval { $rig->wait_until(sub { descriptors() <= $before + 1 }, 'descriptors are given back') }, 'and holds no descriptor of theirs'
  or diag sprintf '%d, before %d', descriptors(), $before;

# ---- more requests at once than it has slots, or descriptors ----

# Sends a request on each of so many connections at once. Returns how many were not answered 200, and the ids of the others.
sub storm ($processes, $each) {
    my (@in, @ids, $lost);
    for (1 .. $processes) {
        pipe my $in, my $out or die;
        my $child = fork // die;
        if ($child == 0) {
            my @open = map { FastCGI->new($rig->{socket}) } 1 .. $each;
            my @id;
            for my $fcgi (@open) {
                my ($id, $body) = fresh();
                push @id, $id;
                $fcgi->request(params => { params($body) }, body => $body);
            }
            my @status = map { eval { $_->answer(60)->{status} } // 'none' } @open;
            print {$out} "$status[$_] $id[$_]\n" for 0 .. $#open;
            $out->flush;
            POSIX::_exit(0);
        }
        push @in, [ $in, $child ];
    }
    for my $one (@in) {
        my ($in, $child) = @$one;
        while (my $line = <$in>) {
            $line =~ /^200 (\S+)/ ? push @ids, $1 : $lost++;
        }
        waitpid $child, 0;
    }
    return ($lost // 0, @ids);
}
{
    my ($lost, @ids) = storm(5, 300);
    is $lost, 0, '1,500 connections at once with a request each: all are answered';
    is @ids, 1500, 'each with 200';
    push @good, @ids;
}
ok $rig->running($pid), 'the responder is still the same process';
{
    my $socket = $rig->{socket};
    $rig->{socket} = "$rig->{dir}/few.sock";
    my $few = $rig->spawn('few', 'sh', '-c', 'ulimit -n 64 && exec "$@"', 'sh', $rig->program('candhook.fcgi'), '--no-worker', '--listen', $rig->{socket});
    $rig->wait_for_socket($few, $rig->{socket});
    my ($lost, @ids) = storm(3, 100);
    is $lost, 0, '300 at once with 64 descriptors: all are answered';
    push @good, @ids;
    ok $rig->stop($few), 'it ends when told to';
    $rig->{socket} = $socket;
}

# ---- a half request, and the end ----
{
    my ($id, $whole) = fresh();
    my $bytes = FastCGI::request_bytes(params => { params($whole) }, body => $whole);
    my $fcgi = FastCGI->new($rig->{socket});
    $fcgi->raw(substr $bytes, 0, 100);
    good('while one has sent a part');
    kill TERM => $pid;
    $fcgi->raw(substr $bytes, 100);
    is $fcgi->answer->{status}, 200, 'a request that had begun before the signal is answered';
    push @good, $id;
    ok $rig->stop($monitor), 'and the responder ends';
}

# ---- the spool ----
my %count;
my $spooled = spooled();
$count{$1}++ while $spooled =~ /"(CP:\d+:\d+)"/g;
my @missing = grep { !$count{$_} } @good;
my @doubled = grep { ($count{$_} // 0) > 1 } @good;
is "@missing", '', 'each event that was answered 200 is in the spool';
is "@doubled", '', 'once';
is scalar(keys %count), scalar @good, 'and no other';
done_testing;
