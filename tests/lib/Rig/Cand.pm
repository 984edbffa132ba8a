# SPDX-License-Identifier: ISC
#
# A small real HTTP server on a free loopback port, as a process of the rig's. It plays the canD API, CANpass, or a customer's
# web service, keeps every request, and misbehaves as it is told.
#
#     use Rig::Cand;
#     my $api = Rig::Cand->api($rig, tokens => ['token-of-G1']);      # the canD API; $rig->conf(api_url => $api->url)
#     my $pass = Rig::Cand->canpass($rig, community => 'G1', client_id => 'app', redirect_uris => [...]);     # OAuth2
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
# CANpass, as far as it is documented: GET /oauth2/authorize is a page with the links Allow and Deny, which lead to the redirect
# URI with a code or an error; POST /oauth2/token takes each code once, checks client, redirect URI, client_secret (form or
# Basic, when one is set) and PKCE, and gives tokens, among them bot_access_token when a bot: scope was granted.
# settings(…) changes the members that canpass was made with: client_id, client_secret, redirect_uris, community, scopes
# (granted; default: those asked for), answer (more members of the token answer).
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
sub canpass ($class, $rig, %option) { return $class->new($rig, 'canpass', settings => \%option) }

sub new ($class, $rig, $role, %option) {
    state $count = 0;
    my $self = bless { rig => $rig, role => $role, name => "$role-" . ++$count }, $class;
    $self->{dir} = $rig->make_folder($self->{name});
    # Bound and not listening: it keeps the port ours while the server is stopped.
    $self->{keeper} = bound(0);
    $self->{port} = (sockaddr_in(getsockname $self->{keeper}))[0];
    $self->tokens(@{ $option{tokens} // [] });
    $self->settings(%{ $option{settings} // {} });
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

sub settings ($self, %setting) {
    $self->{settings} = { %{ $self->{settings} // {} }, %setting };
    $self->put('settings', $self->{settings});
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

use Digest::SHA  ();
use Fcntl        qw(:flock);
use MIME::Base64 ();
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

sub decoded ($text) { return $text =~ tr/+/ /r =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger }
sub encoded ($text) { return $text =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ger }
sub html ($text) { return $text =~ s/([&<>"'])/'&#' . ord($1) . ';'/ger }

sub form ($text) {
    return map { decoded($_) } map { (split /=/, $_, 2)[ 0, 1 ] } grep { /=/ } split /&/, $text // '';
}

sub redirection ($uri, %parameter) {
    my $query = join '&', map { "$_=" . encoded($parameter{$_}) } grep { defined $parameter{$_} } sort keys %parameter;
    return { status => 302, headers => { Location => $uri . ($uri =~ /[?]/ ? '&' : '?') . $query } };
}

# The page at which an admin is asked, or what the links on it lead to.
sub authorize ($request, $settings) {
    my %ask = form($request->{query});
    my $fault =
        ($ask{client_id} // '') ne $settings->{client_id}                          ? 'there is no such client'
      : !grep({ ($ask{redirect_uri} // '') eq $_ } @{ $settings->{redirect_uris} }) ? 'this redirect URI is not listed'
      : undef;
    return { status => 400, headers => { 'Content-Type' => 'text/html' }, body => "<title>CANpass</title><p>$fault" } if $fault;
    my %back = (state => $ask{state});
    return redirection($ask{redirect_uri}, %back, error => 'unsupported_response_type') if ($ask{response_type} // '') ne 'code';
    return redirection($ask{redirect_uri}, %back, error => 'invalid_scope') if !length($ask{scope} // '');
    return redirection($ask{redirect_uri}, %back, error => 'invalid_request') if ($ask{code_challenge_method} // '') ne 'S256' || ($ask{code_challenge} // '') !~ /^[\w-]{43}$/;
    if ($request->{path} eq '/oauth2/deny') {
        return redirection($ask{redirect_uri}, %back, error => 'access_denied', error_description => 'the admin said no');
    }
    if ($request->{path} eq '/oauth2/grant') {
        my %code = (%ask, number => $request->{number}, community => $ask{community_id} // $settings->{community});
        return redirection($ask{redirect_uri}, %back, code => unpack 'H*', $json->encode(\%code));
    }
    my $query = html($request->{query});
    my $scopes = join '', map { '<li>' . html($_) } split / /, $ask{scope};
    return {
        status  => 200,
        headers => { 'Content-Type' => 'text/html; charset=utf-8' },
        body    => "<!doctype html><title>CANpass</title><h1>An App asks</h1><ul>$scopes</ul>"
          . qq(<a id="allow" href="/oauth2/grant?$query">Allow</a> <a id="deny" href="/oauth2/deny?$query">Deny</a>)
    };
}

# Returns the error of a token request, or undef; and what its code says.
sub judge_exchange ($request, $settings) {
    my %ask = form($request->{body});
    my $code = eval { $json->decode(pack 'H*', $ask{code} // '') } // {};
    my ($basic) = ($request->{headers}{authorization} // '') =~ /^Basic (.+)$/;
    my ($id, $secret) = defined $basic ? map { decoded($_) } split /:/, MIME::Base64::decode_base64($basic), 2 : @ask{qw(client_id client_secret)};
    return 'unsupported_grant_type' if ($ask{grant_type} // '') ne 'authorization_code';
    return 'invalid_client' if ($id // '') ne $settings->{client_id} || ($secret // '') ne ($settings->{client_secret} // '');
    return 'invalid_grant' if ref $code ne 'HASH' || !$code->{number} || $code->{redirect_uri} ne ($ask{redirect_uri} // '') || $code->{client_id} ne $settings->{client_id};
    return 'invalid_grant' if MIME::Base64::encode_base64url(Digest::SHA::sha256($ask{code_verifier} // '')) ne $code->{code_challenge};
    return 'invalid_grant' if next_number("code-$code->{number}") > 1;
    return (undef, $code);
}

# A refresh token is good for the user's token alone: for bot tokens the platform documents none.
sub refresh ($request, $settings) {
    my %ask = form($request->{body});
    my $known = ($ask{refresh_token} // '') =~ /^refresh-token-\d+$/ && ($ask{client_id} // '') eq $settings->{client_id};
    return (400, { error => 'invalid_grant' }) if !$known;
    my $number = next_number('tokens');
    return (200, { access_token => "user-token-$number", token_type => 'Bearer', expires_in => 3600, refresh_token => "refresh-token-$number" });
}

sub exchange ($request, $settings) {
    return refresh($request, $settings) if $request->{body} =~ /(?:^|&)grant_type=refresh_token(?:&|$)/;
    my ($error, $code) = judge_exchange($request, $settings);
    return ($error eq 'invalid_client' ? 401 : 400, { error => $error, error_description => "no: $error" }) if $error;
    my $scope = $settings->{scopes} // $code->{scope};
    my $number = next_number('tokens');
    return (200, {
        access_token => "user-token-$number", token_type => 'Bearer', expires_in => 3600, refresh_token => "refresh-token-$number",
        scope => $scope, community_id => $code->{community},
        ($scope =~ /(?:^| )bot:/ ? (bot_access_token => "bot-token-$number-of-$code->{community}") : ()),
        %{ $settings->{answer} // {} }
    });
}

sub canpass ($request) {
    my $settings = $json->decode(slurp("$dir/settings"));
    my $what = "$request->{method} $request->{path}";
    return authorize($request, $settings) if $what =~ m{^GET /oauth2/(?:authorize|grant|deny)$};
    return { status => 404 } if $what ne 'POST /oauth2/token';
    my ($status, $value) = exchange($request, $settings);
    return { status => $status, headers => { 'Content-Type' => 'application/json' }, body => $json->encode($value) };
}

sub default_answer ($request) {
    return { status => 200 } if $role eq 'service';
    return canpass($request) if $role eq 'canpass';
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

my %reasons = (200 => 'OK', 201 => 'Created', 204 => 'No Content', 302 => 'Found', 400 => 'Bad Request', 401 => 'Unauthorized', 403 => 'Forbidden',
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
    eval { setsockopt $socket, Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1 };
    while (my $request = read_request($socket, \$buffer)) {
        give($socket, $request, choose($request)) or last;
    }
}

# On an inherited descriptor, or with the path of a unix socket, which is opened here.
sub serve ($where, @arguments) {
    ($dir, $role) = @arguments;
    my $listener;
    if ($where =~ m{^/}) {
        socket $listener, PF_UNIX, SOCK_STREAM, 0 or die "socket: $!\n";
        unlink $where;
        bind $listener, pack_sockaddr_un($where) or die "$where: $!\n";
        listen $listener, 64 or die "listen: $!\n";
    } else {
        open $listener, '+<&=', $where or die "descriptor $where: $!\n";
    }
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
Rig::Cand::Server::serve(@ARGV[ 1 .. $#ARGV ]) if !caller && ($ARGV[0] // '') =~ /^(?:serve|listen)$/;

1;
