# SPDX-License-Identifier: ISC
#
# The way in: candhook.fcgi on a socket, what all fronts need (ports, where their programs lie), and a client that sends
# any bytes at all.
package Rig::Front;
use v5.36;

use IO::Select       ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use Socket           qw(SOCK_STREAM);

# Starts candhook.fcgi on a socket of its own and waits until it listens. Options: socket, name, env, args => [words].
# Returns the pid.
sub responder ($self, %option) {
    my $socket = $self->{socket} = $option{socket} // "$self->{dir}/candhook.sock";
    my $pid = $self->spawn($option{name} // 'responder', { env => $option{env} // {} },
        $self->program('candhook.fcgi'), '--listen', $socket, @{ $option{args} // [] });
    $self->wait_for_socket($pid, $socket);
    return $pid;
}

# The process that answers for this one, once there is one.
sub answering_pid ($self, $monitor) {
    my $pid;
    $self->wait_until(sub { ($pid) = $self->answering($monitor) }, 'a process answers');
    return $pid;
}

# candhook-web.fcgi on a socket of its own.
sub web ($self) {
    $self->{web_socket} = "$self->{dir}/web.sock";
    my $pid = $self->spawn('web', $self->program('candhook-web.fcgi'), '--listen', $self->{web_socket});
    $self->wait_for_socket($pid, $self->{web_socket});
    return $pid;
}

# The responder again, started by spawn-fcgi, which opens the socket and hands it over as fd 0.
sub spawn_fcgi ($self, %option) {
    my $socket = $self->{socket} = $option{socket} // "$self->{dir}/candhook.sock";
    my $pid = $self->spawn($option{name} // 'spawn-fcgi', { env => $option{env} // {} },
        'spawn-fcgi', '-n', '-s', $socket, '-M', '0660', '-b', '1024', '--', $self->program('candhook.fcgi'));
    $self->wait_for_socket($pid, $socket);
    return $pid;
}

# The same as systemd does: this process holds the socket, and hands it over as fd 3. Options: name, env, args => [words];
# for another program than the responder: program, and socket.
sub socket_activated ($self, %option) {
    my $socket = $option{socket} // "$self->{dir}/candhook.sock";
    $self->{socket} = $socket if !$option{program};
    my $listener = $self->{listeners}{$socket} //= IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $socket, Listen => 1024)
      // die "cannot listen on $socket: $!\n";
    chmod 0660, $socket;
    $self->own($socket);
    # sh becomes the program, so that the pid is the one that LISTEN_PID names.
    return $self->spawn($option{name} // 'responder', { env => { LISTEN_FDS => 1, %{ $option{env} // {} } }, listener => $listener },
        'sh', '-c', 'LISTEN_PID=$$ exec "$@"', 'sh', $self->program($option{program} // 'candhook.fcgi'), @{ $option{args} // [] });
}

# fcgiwrap with one process, as Debian starts it.
sub fcgiwrap ($self) {
    my $socket = $self->{socket} = "$self->{dir}/fcgiwrap.sock";
    unlink $socket;
    my $pid = $self->spawn('fcgiwrap', which('fcgiwrap'), '-f', '-s', "unix:$socket");
    $self->wait_for_socket($pid, $socket);
    return $pid;
}

sub wait_for_socket ($self, $pid, $socket) {
    my $ended;
    $self->wait_until(
        sub {
            return $ended = 1 if !$self->running($pid);
            return IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $socket);
        },
        "something listens on $socket"
    );
    die 'the responder ended: ' . $self->read_file('log/responder.log') . $self->read_file('log/candhook.log') . "\n"
      if $ended;
}

# A loopback port that nobody had a moment ago. Another may take it before we do: with_port tries again then.
sub free_port {
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Proto => 'tcp', Listen => 1)
      or die "cannot bind a port of 127.0.0.1: $!\n";
    return $socket->sockport;
}

# Starts a server that listens on a free port: START is given the port and returns the pid.
sub with_port ($self, $log, $start) {
    for my $try (1 .. 10) {
        my $port = free_port();
        my $pid = $start->($port);
        my $ended;
        $self->wait_until(
            sub {
                return $ended = 1 if !$self->running($pid);
                return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'tcp');
            },
            "something listens on port $port"
        );
        # A stranger may answer on the port while ours fails to bind it: ours ends within a moment then.
        if (!$ended) {
            $self->{port} = $port;
            return $pid;
        }
        $self->forget($pid);
        my $said = $self->read_file($log);
        die "the server ended: $said\n" if $said !~ /address already in use/i;
    }
    die "no free port in ten tries\n";
}

# Where one of Apache's modules lies.
sub apache_module ($name) {
    state @folders = grep { -d } qw(/usr/lib/apache2/modules /usr/lib64/httpd/modules /usr/lib/httpd/modules);
    my ($file) = grep { -e } map { "$_/mod_$name.so" } @folders;
    return $file // die "Apache's mod_$name is not installed\n";
}

# The full name of a server's program; they lie in sbin, which is not in everybody's PATH.
sub which (@names) {
    for my $name (@names) {
        for my $folder (split(/:/, $ENV{PATH} // ''), qw(/usr/local/sbin /usr/sbin /sbin)) {
            return "$folder/$name" if -x "$folder/$name" && !-d _;
        }
    }
    die "$names[0] is not installed\n";
}

# Whether a front can be tested here, for skip_all.
sub have ($self, @names) {
    return defined eval { which(@names) };
}

# Byte for byte, since the rig's user may not reach into the checkout.
sub copy_shipped ($self, $source, $name) {
    open my $in, '<:raw', $source or die "cannot read $source: $!\n";
    local $/;
    return $self->write_file($name, scalar <$in>);
}

# A file that make fills in, with the rig's folder as the prefix: as an installation there would have it. bin, etc and
# libexec are the places where the rig has what lies there.
sub fill_shipped ($self, $template, $name, %folder) {
    my $dir = $self->{dir};
    my %all = (
        bindir => "$dir/bin", libexecdir => "$dir/bin", sysconfdir => $dir, localstatedir => "$dir/var",
        runstatedir => "$dir/run", pkgdatadir => "$dir/share", %folder
    );
    open my $in, '<:raw', Rig::source_path("$template.in") or die "cannot read $template.in: $!\n";
    local $/;
    my $text = <$in> =~ s{\@(\w+)\@}{$all{$1} // die "$template.in: $1\n"}gre;
    return $self->write_file($name, $text);
}

sub connect_front ($self) {
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Proto => 'tcp', Timeout => 10)
      // die "cannot connect to port $self->{port}: $!\n";
}

# POSTs and returns {status, reason, headers => {lower-case name => value}, body}. Options: method, headers => [lines],
# length => what Content-Length says (undef: no such line), version. All sent as given, so odd requests can be made.
sub post ($self, $target, $body = '', %option) {
    my $socket = $self->connect_front;
    print {$socket} $self->request_text($target, $body, %option);
    $socket->flush;
    return $self->answer($socket);
}

sub request_text ($self, $target, $body, %option) {
    my $length = exists $option{length} ? $option{length} : length $body;
    my @lines = (
        ($option{method} // 'POST') . " $target HTTP/" . ($option{version} // '1.1'),
        'Host: localhost', 'Connection: close', 'Content-Type: application/json',
        (defined $length ? "Content-Length: $length" : ()),
        @{ $option{headers} // [] }
    );
    return join("\r\n", @lines, '', '') . $body;
}

# Reads one whole answer; the connection is closed behind it. Status 0: the front closed without one.
sub answer ($self, $socket, $seconds = 30) {
    my $text = '';
    my $select = IO::Select->new($socket);
    my $end = Rig::Process::now() + $seconds;

    while (1) {
        my $left = $end - Rig::Process::now();
        die "no answer in $seconds s, only: $text\n" if $left <= 0 || !$select->can_read($left);
        last if !sysread $socket, $text, 65536, length $text;
    }
    return parse_answer($text);
}

sub parse_answer ($text) {
    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my ($line, @lines) = split /\r\n/, $head // '';
    my (undef, $status, $reason) = split / /, $line // '', 3;
    my %headers = map { /^([^:]+):\s*(.*)/ ? (lc $1 => $2) : () } @lines;
    # Apache sends an empty body of CGI as chunks.
    $body = join '', $body =~ /\G[0-9a-f]+\r\n(.*?)\r\n/gis if ($headers{'transfer-encoding'} // '') eq 'chunked';
    return { status => $status // 0, reason => $reason // '', headers => \%headers, body => $body // '' };
}

# Posts the bodies with so many connections at a time. Returns the statuses, in the order of the bodies: 0 where the
# front takes no connection, or closes it without an answer. Options: answered
# => [N, sub], called when N answers have come; unanswered => seconds after which what has no answer gets the status 0.
sub post_many ($self, $target, $bodies, $at_a_time = 20, %option) {
    my (@status, %open);
    my ($at, $do) = @{ $option{answered} // [] };
    my $next = 0;
    my $select = IO::Select->new;

    while ($next < @$bodies || %open) {
        while ($next < @$bodies && keys %open < $at_a_time) {
            my $socket = eval { $self->connect_front };
            if (!$socket) {
                $status[ $next++ ] = 0;
                next;
            }
            print {$socket} $self->request_text($target, $bodies->[$next]);
            $socket->flush;
            $open{ fileno $socket } = { at => $next++, text => '' };
            $select->add($socket);
        }
        next if !%open;
        # mod_fcgid answers 500 after its IOTimeout of 40 s when the program ended under a request.
        my @ready = $select->can_read($option{unanswered} // 60);
        if (!@ready) {
            die "no answer in 60 s\n" if !defined $option{unanswered};
            $status[ $open{ fileno $_ }{at} ] = 0 for $select->handles;
            $select->remove($select->handles);
            %open = ();
        }
        for my $socket (@ready) {
            my $one = $open{ fileno $socket };
            next if sysread $socket, $one->{text}, 65536, length $one->{text};
            $status[ $one->{at} ] = parse_answer($one->{text})->{status};
            delete $open{ fileno $socket };
            $select->remove($socket);
            close $socket;
            $do->() if defined $at && --$at == 0;
        }
    }
    return @status;
}

1;
