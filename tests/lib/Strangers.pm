# SPDX-License-Identifier: ISC
#
# The part of the suite (Conformance) in which people who do not know the secret send what they can: bodies without end, wrong
# secrets as fast as they are answered, requests that never end. What the front and candhook.fcgi hold of it is measured while
# it is held; events are sent meanwhile.
package Strangers;
use v5.36;

use IO::Select ();
use POSIX      ();
use Test::More;

my $memory_limit = 16 << 20; # that a process may grow by what strangers send

# The processes of the front, and candhook.fcgi: what a stranger reaches.
sub exposed ($self) {
    my $rig   = $self->{rig};
    my %table = %{ Rig::Process::process_table() };
    my %found = map { $_->{pid} => 1 } grep { $_->{name} !~ /^(?:postgres|worker)$/ } @{ $rig->{processes} };
    for my $pid (sort { $a <=> $b } keys %table) { # a child comes after its parent, but where the numbers begin anew
        $found{$pid} = 1 if $found{ $table{$pid}[0] } || $table{$pid}[1] =~ m{^\Q$rig->{dir}\E/bin/candhook\.fcgi$};
    }
    return grep { $table{$_} && $table{$_}[1] !~ m{/candhook$} } keys %found;
}

# What they hold: the bytes of the files that they have open, those without a name as well, but the logs and the spool's; the
# memory of each of them; how many of them are candhook.fcgi, and the sockets of each of these.
sub holding ($self) {
    my (%file, %memory, %sockets);
    my ($disk, $processes) = (0, 0);
    for my $pid ($self->exposed) {
        my $ours = (readlink "/proc/$pid/exe" // '') =~ m{/candhook\.fcgi$};
        for my $fd (glob "/proc/$pid/fd/*") {
            my $name = readlink $fd // next;
            $sockets{$pid}++ if $ours && $name =~ /^socket:/;
            next       if $name =~ m{^\Q$self->{rig}{dir}\E/(?:log|spool)/};
            my @stat = stat $fd or next;
            $file{"$stat[0] $stat[1]"} = $stat[12] * 512 if -f _;
        }
        $processes++ if $ours;
        ($memory{$pid}) = map { $_ * 1024 } $self->{rig}->read_file("/proc/$pid/status") =~ /^RssAnon:\s*(\d+)/m;
    }
    $disk += $_ for values %file;
    return { disk => $disk, memory => \%memory, sockets => \%sockets, processes => $processes };
}

# The most that a process has grown; one that was not there before has grown from nothing.
sub grown ($before, $after, $what = 'memory') {
    my ($most) = sort { $b <=> $a } 0, map { ($after->{$what}{$_} // 0) - ($before->{$what}{$_} // 0) } keys %{ $after->{$what} };
    return $most;
}

# A program that is just starting may look as if it held a file that is the spool's.
sub no_files_since ($self, $before) {
    ok eval { $self->{rig}->wait_until(sub { $self->holding->{disk} - $before->{disk} <= 1 << 20 }, 'no file is held') }, 'nor do files' or diag $@;
}

# How many bytes the front has not read yet, of a connection to it.
sub unread ($self, $socket) {
    my $pair = sprintf ':%04X [0-9A-F]+:%04X ', $socket->peerport, $socket->sockport;
    my ($queue) = $self->{rig}->read_file('/proc/net/tcp') =~ /$pair[0-9A-F]+ [0-9A-F]+:([0-9A-F]+)/;
    return hex($queue // 0);
}

# Sends what SUB returns until it returns nothing, the front answers, or takes no more. SAMPLE is called each 8 MiB and at the
# end, when the front has read it all.
sub pour ($self, $head, $next, $sample) {
    my $socket = $self->send_pieces($head);
    my ($buffer, $sent, $count) = ('', 0, 0);
    $socket->blocking(0);
    my ($reading, $writing) = (IO::Select->new($socket), IO::Select->new($socket));
    while (!$reading->can_read(0)) {
        $buffer = $next->() // last if $buffer eq '';
        last if !$writing->can_write(5);
        my $wrote = syswrite $socket, $buffer;
        defined $wrote or last;
        substr $buffer, 0, $wrote, '';
        $sample->() if ($sent += $wrote) >> 23 > $count && ++$count;
    }
    eval { $self->{rig}->wait_until(sub { $reading->can_read(0) || $self->unread($socket) == 0 }, 'the front has read it', 5) };
    $sample->();
    return $socket;
}

# A body that is far too large, announced or in chunks, and one as large as any that is taken, of which the last byte never comes.
sub check_flood ($self) {
    my $before = $self->holding;
    my ($disk, $memory) = (0, 0);
    my $sample = sub {
        my $now   = $self->holding;
        my $grown = grown($before, $now);
        $disk   = $now->{disk} - $before->{disk} if $now->{disk} - $before->{disk} > $disk;
        $memory = $grown if $grown > $memory;
        return $now->{disk} - $before->{disk} <= 65536;
    };
    my $mib    = 'x' x (1 << 20);
    my $length = sub ($bytes) { return "Content-Length: $bytes" };
    for my $flood ([ $length->(64 << 20), 63, $mib ], [ 'Transfer-Encoding: chunked', 64, "100000\r\n$mib\r\n" ], [ $length->(2 << 20), 1, $mib . substr $mib, 1 ]) {
        my ($header, $count, $block) = @$flood;
        my $head = join "\r\n", 'POST /candhook/wrong HTTP/1.1', 'Host: localhost', $header, '', '';
        close $self->pour($head, sub { return $count-- > 0 ? $block : undef }, $sample);
        ok eval { $self->{rig}->wait_until($sample, 'it is given back') }, "$header: nothing is kept when the stranger has left" or diag $@;
    }
    note sprintf 'kept of a flood: %d bytes of disk, %d of memory', $disk, $memory;
    cmp_ok $memory, '<', $memory_limit, 'no process grows by a flood';
    return $disk <= 2 << 20 ? 'at most 2 MiB' : sprintf '%d MiB', $disk >> 20;
}

# A child that asks for COUNT wrong secrets over 20 connections, each request as soon as the one before it is answered, and
# then says how often each status came. Returns what it is read from, and the pid.
sub guess ($self, $count) {
    pipe my $out, my $in or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        close $out;
        my %status = eval { $self->guess_all($count) };
        print {$in} $@ || join ', ', map { "$_: $status{$_}" } sort keys %status;
        $in->flush;
        POSIX::_exit(0);
    }
    close $in;
    return ($out, $pid);
}

sub guess_all ($self, $count) {
    my ($sent, %status, %text) = (0);
    my $select = IO::Select->new;
    my $ask    = sub ($socket) {
        my $body = $self->{rig}->event;
        my $path = sprintf '/candhook/guess%019d', ++$sent;
        $text{$socket} = '';
        print {$socket} $self->{rig}->request_text($path, $body) =~ s/^Connection: close\r\n//mr;
        $socket->flush;
    };
    my $open = sub {
        my $socket = $self->{rig}->connect_front;
        $select->add($socket);
        $ask->($socket);
    };
    $open->() for 1 .. 20;
    while ($select->count) {
        my @ready = $select->can_read(60) or die "strangers got no answer in 60 s\n";
        for my $socket (@ready) {
            my $got = sysread $socket, $text{$socket}, 65536, length $text{$socket};
            next if $got && !Conformance::answer_end($text{$socket});
            my ($status) = $text{$socket} =~ m{^HTTP/1\.1 (\d+)};
            $status{ $status // 'closed' }++;
            if ($got && $sent < $count && $text{$socket} !~ /^connection: close\r$/im) {
                $ask->($socket);
                next;
            }
            $select->remove($socket);
            close $socket;
            $open->() if $sent < $count;
        }
    }
    return %status;
}

# Each event is answered while the guesses go on.
sub check_guesses ($self) {
    my $rig    = $self->{rig};
    my $before = $self->holding;
    my ($lines, $own) = ($self->log_lines('{nginx,apache}_*'), $self->log_lines('candhook.log'));
    my ($out, $pid) = $self->guess($self->{guesses});
    my $select = IO::Select->new($out);
    my @events;
    push @events, $self->post->{status} while @events < 10 || !$select->can_read(0);
    my $said = join '', <$out>;
    waitpid $pid, 0;
    my $after = $self->holding;
    $self->{guess_lines} = $self->log_lines('{nginx,apache}_*') - $lines;
    cmp_ok $self->log_lines('candhook.log') - $own, '<', $self->{guesses} / 2, 'candhook logs no line for each';
    note sprintf 'guesses: %s; events beside them: %d; lines in the front\'s logs: %d; memory of a process: %d', $said, scalar @events, $self->{guess_lines}, grown($before, $after);
    # AddressSanitizer keeps for a while what was freed.
    my $sanitized = index($rig->read_file('bin/candhook.fcgi'), '__asan_init') >= 0;
    cmp_ok grown($before, $after), '<', $sanitized ? 320 << 20 : $memory_limit, 'no process grows by guesses';
    $self->no_files_since($before);
    return Conformance::same(map { s/:.*//r } split /, /, $said) . '; ' . Conformance::same(Conformance::uniq(@events));
}

sub log_lines ($self, $names) {
    my $lines = 0;
    $lines += () = $self->{rig}->read_file($_) =~ /\n/g for glob "$self->{rig}{dir}/log/$names";
    return $lines;
}

sub check_guess_lines ($self) { return $self->{guess_lines} <= 50 ? 'none' : $self->{guess_lines} >= $self->{guesses} ? 'one each' : 'some' }

# Half of them send headers that do not end, half a body; a byte of each comes before every event.
sub check_slow_strangers ($self) {
    my $before = $self->holding;
    my @head   = ('POST /candhook/wrong HTTP/1.1', 'Host: localhost');
    my @slow   = map { $self->send_pieces(join "\r\n", @head, $_ % 2 ? 'X-Header: ' : ('Content-Length: 1000', '', '')) } 1 .. 40;
    my @events;
    for (1 .. 10) {
        for my $socket (@slow) {
            print {$socket} 'x';
            $socket->flush;
        }
        push @events, $self->post->{status};
    }
    my $held;
    my $word = sub {
        $held = $self->holding;
        return $held->{processes} - $before->{processes} >= 10 ? 'a process each' : grown($before, $held, 'sockets') >= 20 ? 'a socket each' : 'nothing';
    };
    # Programs that are started for them may be on their way still.
    eval { $self->{rig}->wait_until(sub { $word->() eq ($self->{expect}{holding} // 'nothing') }, 'it is so', 10) };
    $self->{held} = $word->();
    my $open = grep { !IO::Select->new($_)->can_read(0) } @slow;
    note "held of candhook with $open slow strangers: $held->{processes} processes; of one, ", grown($before, $held, 'sockets'), ' sockets and ', grown($before, $held), ' bytes';
    is $open, 40, 'all of them are held open';
    cmp_ok grown($before, $held), '<', $memory_limit, 'no process grows by slow strangers';
    $self->no_files_since($before);
    close $_ for @slow;
    is $self->page, 'answered', 'and the page is there';
    return Conformance::same(Conformance::uniq(@events));
}

sub check_holding ($self) { return $self->{held} }

1;
