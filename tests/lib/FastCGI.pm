# SPDX-License-Identifier: ISC
#
# A FastCGI front, byte by byte, over a unix socket: for what no well-behaved front sends.
#
#     my $fcgi = FastCGI->new($socket);
#     $fcgi->request(keep => 1, params => { REQUEST_METHOD => 'POST', … }, body => '{}');
#     my $answer = $fcgi->answer;    # { status, headers, body, stderr, ended }
#
# The pieces of a request can be sent one at a time: begin, params, stdin, abort. A record is version, type, request id,
# length of the content, length of the padding, a reserved byte, then content and padding.
package FastCGI;
use v5.36;

use IO::Select       ();
use IO::Socket::UNIX ();
use Socket           qw(SOCK_STREAM);
use Time::HiRes      ();

my %type = (begin => 1, abort => 2, end => 3, params => 4, stdin => 5, stdout => 6, stderr => 7);

sub new ($class, $socket) {
    my $connection = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $socket) or die "cannot connect to $socket: $!\n";
    $connection->autoflush(1);
    return bless { socket => $connection, bytes => '', id => 1 }, $class;
}

# Sends bytes as they are. Returns false when the peer has closed.
sub raw ($self, $bytes) {
    my $sent = 0;
    while ($sent < length $bytes) {
        my $some = syswrite($self->{socket}, $bytes, length($bytes) - $sent, $sent) // return 0;
        $sent += $some;
    }
    return 1;
}

# A record. Its type is a name, or a number for one that a front does not send.
sub record ($name, $content, $id = 1) {
    my $padding = -length($content) & 7;
    return pack('CCnnCC', 1, $type{$name} // $name, $id, length $content, $padding, 0) . $content . "\0" x $padding;
}

sub begin ($self, $keep = 0) {
    return $self->raw(record('begin', pack 'nCx5', 1, $keep ? 1 : 0));
}

sub pairs (%param) {
    return join '', map {
        my ($name, $value) = ($_, $param{$_});
        join '', (map { length $_ < 128 ? chr length $_ : pack 'N', length($_) | 1 << 31 } $name, $value), $name, $value;
    } sort keys %param;
}

# The parameters and the empty record that ends them.
sub params ($self, %param) {
    return $self->raw(record('params', pairs(%param)) . record('params', ''));
}

# A piece of the body; the empty one is its end.
sub stdin ($self, $piece) {
    my $all = '';
    $all .= record('stdin', substr $piece, 0, 32768, '') while length $piece;
    return $self->raw(length $all ? $all : record('stdin', ''));
}

sub abort ($self) { return $self->raw(record('abort', '')) }

# A whole request. Options: params, body (undef: no end of it either), keep.
sub request ($self, %option) { return $self->raw(request_bytes(%option)) }

# Its bytes.
sub request_bytes (%option) {
    my $bytes = record('begin', pack 'nCx5', 1, $option{keep} ? 1 : 0);
    $bytes .= record('params', pairs(%{ $option{params} })) . record('params', '');
    my $body = $option{body};
    if (defined $body) {
        $bytes .= record('stdin', substr $body, 0, 32768, '') while length $body;
        $bytes .= record('stdin', '');
    }
    return $bytes;
}

# Reads one answer to its end. `ended` is 0 when the connection was closed before it; dies when nothing comes in time.
sub answer ($self, $seconds = 30) {
    my %text = (stdout => '', stderr => '');
    my ($ended, $end) = (0, now() + $seconds);
    while (!$ended) {
        my ($name, $content) = $self->read_record($end) or last;
        if ($name eq 'end') {
            $ended = 1;
        } else {
            $text{$name} .= $content;
        }
    }
    my ($head, $body) = split /\r\n\r\n/, $text{stdout}, 2;
    my %header = map { /^([^:]+):\s*(.*)/ ? (lc $1 => $2) : () } split /\r\n/, $head // '';
    my ($status) = ($header{status} // '') =~ /^(\d+)/;
    return {
        status  => $status // 0,
        headers => \%header,
        body    => $body // '',
        stderr  => $text{stderr},
        raw     => $text{stdout},
        ended   => $ended
    };
}

# The next record, as (name, content), or the empty list at the end of the connection.
sub read_record ($self, $end) {
    my %name = reverse %type;
    my $need = 8;
    while (1) {
        if (length $self->{bytes} >= 8) {
            my (undef, $kind, undef, $length, $padding) = unpack 'CCnnC', $self->{bytes};
            $need = 8 + $length + $padding;
            if (length $self->{bytes} >= $need) {
                my $content = substr $self->{bytes}, 8, $length;
                substr($self->{bytes}, 0, $need) = '';
                return ($name{$kind} // $kind, $content);
            }
        }
        return if !$self->more($end);
    }
}

# Reads what there is. False at the end of the connection.
sub more ($self, $end) {
    my $left = $end - now();
    die "no answer in time\n" if $left <= 0 || !IO::Select->new($self->{socket})->can_read($left);
    return sysread $self->{socket}, $self->{bytes}, 65536, length $self->{bytes};
}

# Waits for the peer to close the connection; false when it does not, or sends something first.
sub closed ($self, $seconds = 30) {
    return 0 if length $self->{bytes} || !IO::Select->new($self->{socket})->can_read($seconds);
    return !sysread $self->{socket}, $self->{bytes}, 65536, length $self->{bytes};
}

# An end for the sender's side only, as when a front goes away but still reads.
sub shut ($self) { shutdown $self->{socket}, 1 }

sub close ($self) { CORE::close $self->{socket} }

sub now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }

1;
