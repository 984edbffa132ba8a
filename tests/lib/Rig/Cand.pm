# SPDX-License-Identifier: ISC
#
# A small real HTTP server on a free loopback port, as a process of the rig's. It plays the canD API, or a customer's web
# service, keeps every request, and misbehaves as it is told.
#
#     use Rig::Cand;
#     my $api = Rig::Cand->api($rig, tokens => ['token-of-G1']);      # the canD API; $rig->conf(api_url => $api->url)
#     my $shop = Rig::Cand->service($rig);                            # answers 200 with nothing in it
#     $api->on({ path => '^/products/', status => [ 503, 200 ] });    # first 503, then 200 for ever
#     my @got = $shop->requests;      # {method, target, path, query, headers => {lower-case name => value}, body, status,
#                                     #  number (1 is the first), started, finished (seconds, as Rig::Process::now)}
#
# Connections are served in parallel, a process each, and kept open. A request is kept as soon as it is read; `status` and
# `finished` are undef until it is answered.
#
# The API, as far as it is documented: 401 without an `authorization: Bearer` of a known token, 400 without
# `x-can-community-id`; GET /me, GET /products/ID, GET /users/ID, POST /products, PUT /products/ID, POST
# /candies/ID/grant, POST /direct_messages answer JSON; 404 else, and for ids with `missing` in them. tokens(…) says which
# are known from now on.
#
# on(RULE, …) replaces all rules (none: back to the default behaviour); the first whose method and path match decides:
#     method  => 'POST'            path => a regular expression; both may be left out
#     status  => 503, or a list that is gone through, the last for ever; undef in it: the default behaviour
#     per     => a header's name: the list is gone through for each of its values apart (the event's id, say)
#     reason, headers => { name => value }, body => the text, repeat => how often it stands there
#     delay   => seconds before the answer
#     raw     => 'bytes' that are written in place of an answer, and the connection closed; '' closes it without a word
#     hold    => seconds from these bytes to the close
#     length  => a Content-Length that is not true; the connection is closed behind the body
#
# stop ends it at once, kept connections too: the port refuses connections then, and stays ours. start opens it again.
package Rig::Cand;
use v5.36;

use JSON::PP    ();
use POSIX       ();
use Socket      qw(:DEFAULT SO_REUSEPORT);
use Time::HiRes ();

my $json = JSON::PP->new->ascii->canonical->allow_nonref;

# ---- for the test ----

sub api ($class, $rig, %option) { return $class->new($rig, 'api', %option) }
sub service ($class, $rig, %option) { return $class->new($rig, 'service', %option) }

sub new ($class, $rig, $role, %option) {
    state $count = 0;
    my $self = bless { rig => $rig, role => $role, name => "$role-" . ++$count }, $class;
    $self->{dir} = $rig->make_folder($self->{name});
    # Bound and not listening: it keeps the port ours while the server is stopped.
    $self->{keeper} = bound(0);
    $self->{port} = (sockaddr_in(getsockname $self->{keeper}))[0];
    $self->tokens(@{ $option{tokens} // [] });
    $self->on;
    $self->start;
    return $self;
}

sub bound ($port) {
    socket my $socket, PF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
    setsockopt $socket, SOL_SOCKET, $_, 1 or die "setsockopt: $!\n" for SO_REUSEADDR, SO_REUSEPORT;
    bind $socket, sockaddr_in($port, INADDR_LOOPBACK) or die "cannot bind a port of 127.0.0.1: $!\n";
    return $socket;
}

sub port ($self) { return $self->{port} }
sub url ($self) { return "http://127.0.0.1:$self->{port}" }

# The socket is opened here and listens when this returns. The program comes by stdin, since the rig's user may not reach
# into the checkout.
sub start ($self) {
    local $^F = 1023;    # or the socket would be closed at exec
    my $socket = bound($self->{port});
    listen $socket, 1024 or die "listen: $!\n";
    open my $program, '<:raw', __FILE__ or die __FILE__ . ": $!\n";
    $self->{pid} = $self->{rig}->spawn($self->{name}, { in => $program, env => { PERL5LIB => undef } },
        $^X, '-', 'serve', fileno $socket, $self->{dir}, $self->{role});
    return $self;
}

sub stop ($self) {
    $self->{rig}->stop(delete $self->{pid});
    return $self;
}

sub on ($self, @rules) {
    # The number makes the lists begin anew.
    $self->put('rules', { number => ++$self->{rules}, rules => \@rules });
    return $self;
}

sub tokens ($self, @tokens) {
    $self->put('tokens', \@tokens);
    return $self;
}

sub put ($self, $name, $value) {
    my $path = "$self->{dir}/$name";
    $self->{rig}->write_file("$path.new", $json->encode($value));
    rename "$path.new", $path or die "cannot rename $path.new: $!\n";
}

# All requests so far, or those whose path matches, in the order in which they were read.
sub requests ($self, $path = qr//) {
    my @all = map { $json->decode(Rig::Cand::Server::slurp($_)) } sort glob "$self->{dir}/request-*.json";
    return grep { $_->{path} =~ $path } @all;
}

sub count ($self, $path = qr//) { return scalar(my @found = $self->requests($path)) }

# Forgets the requests so far.
sub clear ($self) {
    unlink glob "$self->{dir}/request-*.json";
    return $self;
}

# How many requests were under way at the same time, at most.
sub peak ($self) {
    my ($now, $peak) = (0, 0);
    my @moments = map { ([ $_->{started}, 1 ], $_->{finished} ? [ $_->{finished}, -1 ] : ()) } $self->requests;
    for my $moment (sort { $a->[0] <=> $b->[0] } @moments) {
        $now += $moment->[1];
        $peak = $now if $now > $peak;
    }
    return $peak;
}

# ---- the server ----
package Rig::Cand::Server;
use v5.36;

use Fcntl qw(:flock);
use Socket;

my ($dir, $role);

sub slurp ($path) {
    open my $file, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar <$file>;
}

sub now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }

# Counts in a file, one process at a time: 1 for the first.
sub next_number ($name) {
    $name =~ s/([^A-Za-z0-9.-])/sprintf '_%02x', ord $1/ge;
    open my $file, '+>>:raw', "$dir/count-$name" or die "count-$name: $!\n";
    flock $file, LOCK_EX or die "flock: $!\n";
    seek $file, 0, 0;
    my $number = (<$file> // 0) + 1;
    truncate $file, 0;
    print {$file} $number;
    close $file or die "count-$name: $!\n";
    return $number;
}

sub keep ($request) {
    my $path = sprintf '%s/request-%08d', $dir, $request->{number};
    open my $file, '>:raw', "$path.new" or die "$path.new: $!\n";
    print {$file} $json->encode($request);
    close $file or die "$path.new: $!\n";
    rename "$path.new", "$path.json" or die "$path.json: $!\n";
}

# Reads one request off the connection; undef at its end.
sub read_request ($socket, $buffer) {
    my ($more, $request) = (sub { sysread $socket, $$buffer, 65536, length $$buffer });
    while ($$buffer !~ /\r\n\r\n/) {
        $more->() or return undef;
    }
    my ($head, $rest) = split /\r\n\r\n/, $$buffer, 2;
    my ($line, @lines) = split /\r\n/, $head;
    my ($method, $target) = split / /, $line;
    my ($path, $query) = split /\?/, $target, 2;
    my %headers = map { /^([^:]+):\s*(.*?)\s*$/ ? (lc $1 => $2) : () } @lines;
    my $length = $headers{'content-length'} // 0;
    $$buffer = $rest;
    while (length $$buffer < $length) {
        $more->() or return undef;
    }
    my $body = substr $$buffer, 0, $length, '';
    $request = { method => $method, target => $target, path => $path, query => $query, headers => \%headers, body => $body,
        number => next_number('requests'), started => now(), finished => undef, status => undef };
    keep($request);
    return $request;
}

# What the platform answers: status and JSON.
sub platform ($request) {
    my ($token) = ($request->{headers}{authorization} // '') =~ /^Bearer (.+)$/;
    my %known = map { $_ => 1 } @{ $json->decode(slurp("$dir/tokens")) };
    my ($method, $path) = @$request{qw(method path)};
    my $sent = eval { $json->decode($request->{body}) };

    $path =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return (401, { message => 'Unauthorized' }) if !defined $token || !$known{$token};
    return (400, { message => 'x-can-community-id is missing' }) if !$request->{headers}{'x-can-community-id'};
    return (200, { id => 'UBOT', isBot => JSON::PP::true }) if "$method $path" eq 'GET /me';
    if ("$method $path" =~ m{^(?:(?:POST|PUT) /products|POST /direct_messages|POST /candies/[^/]+/grant)}) {
        return (400, { message => 'the body is no JSON object' }) if ref $sent ne 'HASH';
    }
    return (404, { message => 'Not Found' }) if $path =~ /missing/i;
    return (201, { id => 'CP:NEW', %$sent }) if "$method $path" eq 'POST /products';
    return (201, { id => 'DM:1', %$sent }) if "$method $path" eq 'POST /direct_messages';
    return (200, { id => $2, title => "Title of $2", authorId => 'UAKDIJ23KE', ($1 eq 'PUT' ? %$sent : ()) })
      if "$method $path" =~ m{^(GET|PUT) /products/([^/]+)$};
    return (200, { id => $1, name => "Name of $1" }) if "$method $path" =~ m{^GET /users/([^/]+)$};
    return (200, { candId => $1, %$sent }) if "$method $path" =~ m{^POST /candies/([^/]+)/grant$};
    return (404, { message => 'Not Found' });
}

sub default_answer ($request) {
    return { status => 200 } if $role eq 'service';
    my ($status, $value) = platform($request);
    return { status => $status, headers => { 'Content-Type' => 'application/json' }, body => $json->encode($value) };
}

# The answer to a request, by the first rule that is about it.
sub choose ($request) {
    my $told = $json->decode(slurp("$dir/rules"));
    for my $number (0 .. $#{ $told->{rules} }) {
        my %rule = %{ $told->{rules}[$number] };
        next if defined $rule{method} && $rule{method} ne $request->{method};
        next if defined $rule{path} && $request->{path} !~ /$rule{path}/;
        if (ref $rule{status}) {
            my $of = $rule{per} ? $request->{headers}{ lc $rule{per} } // '' : '';
            my $turn = next_number("rule-$told->{number}-$number-$of");
            $rule{status} = $rule{status}[ $turn > @{ $rule{status} } ? -1 : $turn - 1 ];
        }
        my %default = defined $rule{status} ? () : %{ default_answer($request) };
        delete $rule{status} if !defined $rule{status};
        delete @rule{qw(headers body reason)} if exists $told->{rules}[$number]{status} && %default;
        return { %default, %rule };
    }
    return default_answer($request);
}

my %reasons = (200 => 'OK', 201 => 'Created', 204 => 'No Content', 400 => 'Bad Request', 401 => 'Unauthorized', 403 => 'Forbidden',
    404 => 'Not Found', 408 => 'Request Timeout', 425 => 'Too Early', 429 => 'Too Many Requests', 500 => 'Internal Server Error',
    503 => 'Service Unavailable');

# Writes the answer. Returns whether the connection may be kept.
sub give ($socket, $request, $answer) {
    Time::HiRes::sleep($answer->{delay}) if $answer->{delay};
    my $body = ($answer->{body} // '') x ($answer->{repeat} // 1);
    my $length = $answer->{length} // length $body;
    my $reason = $answer->{reason} // $reasons{ $answer->{status} // 0 } // '';
    my %headers = %{ $answer->{headers} // {} };
    my $text = $answer->{raw} // join "\r\n", "HTTP/1.1 " . ($answer->{status} // 200) . " $reason", "Content-Length: $length",
      (map { "$_: $headers{$_}" } sort keys %headers), '', $request->{method} eq 'HEAD' ? '' : $body;

    # Kept before it is written: who has the answer finds the request answered.
    $request->{status} = defined $answer->{raw} ? 0 : $answer->{status} // 200;
    $request->{finished} = now();
    keep($request);
    while (length $text) {
        my $wrote = syswrite $socket, $text or return 0;
        substr $text, 0, $wrote, '';
    }
    Time::HiRes::sleep($answer->{hold}) if $answer->{hold};
    return !defined $answer->{raw} && !defined $answer->{length} && lc($request->{headers}{connection} // '') ne 'close';
}

sub serve_connection ($socket) {
    my $buffer = '';
    setsockopt $socket, Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1;
    while (my $request = read_request($socket, \$buffer)) {
        give($socket, $request, choose($request)) or last;
    }
}

sub serve ($descriptor, @arguments) {
    ($dir, $role) = @arguments;
    open my $listener, '+<&=', $descriptor or die "descriptor $descriptor: $!\n";
    $SIG{CHLD} = 'IGNORE';
    $SIG{PIPE} = 'IGNORE';
    # Ends the whole group, with the connections that are kept.
    $SIG{TERM} = sub { $SIG{TERM} = 'IGNORE'; kill TERM => 0; POSIX::_exit(0) };
    while (1) {
        accept my $socket, $listener or next;
        my $pid = fork;
        if (defined $pid && $pid == 0) {
            close $listener;
            $SIG{TERM} = 'DEFAULT';
            eval { serve_connection($socket); 1 } or print STDERR $@;
            POSIX::_exit(0);
        }
        close $socket;
    }
}

package Rig::Cand;
Rig::Cand::Server::serve(@ARGV[ 1 .. $#ARGV ]) if !caller && ($ARGV[0] // '') eq 'serve';

1;
