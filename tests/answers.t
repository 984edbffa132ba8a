# SPDX-License-Identifier: ISC
#
# The answers, one by one, each asked for byte by byte over the FastCGI socket and, where a front can ask it, through nginx;
# and what each leaves behind: a 200 one event, a 400 with a body one malformed row, anything else nothing.
use v5.36;
use Test::More;
use Rig;
use FastCGI;

my $rig = Rig->new;
my $max_body = 65536;
$rig->cluster;
$rig->conf(max_body => $max_body);
$rig->schema;
$rig->responder;
$rig->nginx;
my $path = $rig->path;
my $secret = $rig->secret;

# What must be found in the end: ids of payloads, and malformed bodies with their reasons.
my (@events, @malformed);

# An event with an id of its own.
sub fresh (%member) {
    state $count = 0;
    my $id = sprintf 'CP:%05d', ++$count;
    return ($id, $rig->event(payload => { id => $id }, %member));
}

sub params ($body, %option) {
    my %param = (
        REQUEST_METHOD => 'POST',
        REQUEST_URI    => $path,
        CONTENT_LENGTH => length $body,
        DOCUMENT_ROOT  => "$rig->{dir}/nginx",
        %{ $option{params} // {} }
    );
    return map { $_ => $param{$_} } grep { defined $param{$_} } keys %param;
}

sub fcgi ($body, %option) {
    my $fcgi = FastCGI->new($rig->{socket});
    $fcgi->request(params => { params($body, %option) }, body => $body, keep => $option{keep});
    return $fcgi->answer;
}

sub nginx ($body, %option) {
    my $param = $option{params} // {};
    return $rig->post($param->{REQUEST_URI} // $path, $body, method => $param->{REQUEST_METHOD} // 'POST');
}

my @ways = ([ 'FastCGI', \&fcgi ], [ 'nginx', \&nginx ]);

# The status with an empty body, by both ways. Returns the last answer.
sub both ($status, $name, $make_body, %option) {
    my $answer;
    for my $way (@ways) {
        my $body = $make_body->();
        $answer = $way->[1]->($body, %option);
        is $answer->{status}, $status, "$way->[0]: $name: $status";
        is $answer->{body}, '', "$way->[0]: with an empty body";
        is $answer->{headers}{allow}, $status == 405 ? 'POST' : undef, "$way->[0]: Allow" if $status =~ /40[45]/;
    }
    return $answer;
}

sub taken {
    my ($id, $body) = fresh();
    push @events, $id;
    return $body;
}

sub refused { return (fresh())[1] }

# ---- 200 ----
both(200, 'an event', \&taken);
both(200, 'with a query', \&taken, params => { REQUEST_URI => "$path?a=b/c" });
both(200, 'with slashes twice', \&taken, params => { REQUEST_URI => "//candhook///$secret" });
is fcgi(taken(), params => { REQUEST_URI => "/anywhere/else/$secret" })->{status}, 200, 'the secret is what stands last in the path';
is_deeply fcgi(taken())->{headers}, { status => '200 OK', 'content-length' => 0 }, 'nothing but status and length';
{
    my $answer = $rig->post($path, taken());
    is $answer->{reason}, 'OK', 'nginx hands on the reason';
    is $answer->{headers}{'content-length'}, 0, 'and the length';
}

# ---- 404: no right secret, whatever the method and the body ----
my $shorter = substr $secret, 0, -1;
my $encoded = sprintf '%%%02x%s', ord $secret, substr $secret, 1;
my %wrong = (
    'a wrong secret'            => '/candhook/' . 'x' x length $secret,
    'no secret'                 => '/candhook/',
    'a part of the secret'      => "/candhook/$shorter",
    'more than the secret'      => "/candhook/${secret}x",
    'other letters'             => '/candhook/' . uc $secret,
    'the secret encoded'        => "/candhook/$encoded",
    'the secret before a slash' => "/candhook/$secret/",
    'the secret before a name'  => "/candhook/$secret/x",
    'the secret in the query'   => "/candhook/x?/$secret",
    'the secret behind a query' => "/candhook/?$secret",
    'the label of the secret'   => '/candhook/rig',
    'a long path'               => '/candhook/' . 'a' x 4000
);
for my $name (sort keys %wrong) {
    both(404, $name, \&refused, params => { REQUEST_URI => $wrong{$name} });
}
for my $method (qw(GET PUT DELETE OPTIONS)) {
    both(404, "$method with a wrong secret", sub { '' }, params => { REQUEST_METHOD => $method, REQUEST_URI => '/candhook/x' });
}
both(404, 'a body too long, with a wrong secret', sub { 'x' x ($max_body + 1) }, params => { REQUEST_URI => '/candhook/x' });
both(404, 'no body, with a wrong secret', sub { '' }, params => { REQUEST_URI => '/candhook/x' });
is fcgi(refused(), params => { REQUEST_URI => undef })->{status}, 404, 'no REQUEST_URI: 404';
is fcgi(refused(), params => { REQUEST_URI => '' })->{status}, 404, 'an empty REQUEST_URI: 404';
is fcgi(refused(), params => { REQUEST_URI => "?$secret" })->{status}, 404, 'a query without a path: 404';

# ---- 405 ----
both(405, $_, \&refused, params => { REQUEST_METHOD => $_ }) for qw(GET PUT DELETE PATCH OPTIONS);
both(405, 'HEAD', sub { '' }, params => { REQUEST_METHOD => 'HEAD' });
both(405, 'a method too long for its size', sub { 'x' x ($max_body + 1) }, params => { REQUEST_METHOD => 'PUT' });
is fcgi(refused(), params => { REQUEST_METHOD => 'post' })->{status}, 405, 'post in small letters: 405';
is fcgi(refused(), params => { REQUEST_METHOD => undef })->{status}, 405, 'no method: 405';

# ---- 413 ----
{
    my $pad = sub ($length) {
        my ($id, $body) = fresh();
        return ($id, $body . ' ' x ($length - length $body));
    };
    both(200, 'max_body to the byte', sub { my ($id, $body) = $pad->($max_body); push @events, $id; return $body });
    both(413, 'one byte more', sub { ($pad->($max_body + 1))[1] });
    is fcgi(($pad->($max_body + 1))[1], params => { CONTENT_LENGTH => undef })->{status}, 413, 'one byte more, unannounced: 413';
    is fcgi(($pad->($max_body + 1))[1], params => { CONTENT_LENGTH => 1 })->{status}, 413, 'one byte more, announced as one: 413';
    is fcgi(($pad->(5 * $max_body))[1])->{status}, 413, 'far more: 413';
    is fcgi(refused(), params => { CONTENT_LENGTH => $_ })->{status}, 413, "announced as $_: 413"
      for $max_body + 1, '9223372036854775807', '18446744073709551616', '9' x 100;
}

is fcgi(taken(), params => { CONTENT_LENGTH => $_ })->{status}, 200, "announced as $_, which is no number: 200" for '12x', '-1';

# ---- 503: the front could hand out the configuration ----
is fcgi(refused(), params => { DOCUMENT_ROOT => $rig->{dir} })->{status}, 503, 'a configuration under the document root: 503' for 1 .. 2;
is scalar(() = $rig->read_file('log/candhook.log') =~ / error: answer=503 configuration=\S+ document_root=\Q$rig->{dir}\E reason=/g), 1, 'which is said once';
is fcgi(taken(), params => { DOCUMENT_ROOT => '' })->{status}, 200, 'no document root: 200';

# ---- 400 ----
both(400, 'no body', sub { '' });
is fcgi('', params => { CONTENT_LENGTH => '' })->{status}, 400, 'no body, an empty CONTENT_LENGTH: 400';
is fcgi('', params => { CONTENT_LENGTH => undef })->{status}, 400, 'no body, no CONTENT_LENGTH: 400';
is fcgi('', params => { CONTENT_LENGTH => 10 })->{status}, 400, 'no body where 10 bytes were announced: 400';

my %not_object = (
    'an array'                => '[{"module":"MOIM"}]',
    'a string'                => '"{}"',
    'text'                    => 'module=MOIM&type=product.created',
    'white space'             => " \r\n\t",
    'half an object'          => '{"module":"MOIM","payload":{',
    'a brace too many'        => '{"module":"MOIM"}}',
    'text after the object'   => '{"module":"MOIM"} x',
    'two objects'             => '{"module":"MOIM"}{"module":"MOIM"}',
    'an open string'          => '{"module":"MO}',
    'every byte there is'     => join('', map { chr } 0 .. 255),
    'a NUL before the object' => "\0{}"
);
for my $name (sort keys %not_object) {
    both(400, $name, sub { push @malformed, [ $not_object{$name}, $name ]; return $not_object{$name} });
}
{
    my (undef, $body) = fresh();
    push @malformed, [ $body, 'shorter than announced' ];
    is fcgi($body, params => { CONTENT_LENGTH => 1 + length $body })->{status}, 400, 'one byte less than announced: 400';
}

# ---- 200 again: what looks wrong and is none ----
{
    my @odd = ([ 'no CONTENT_LENGTH', undef ], [ 'an empty CONTENT_LENGTH', '' ], [ 'no number', 'abc' ], [ 'a negative one', '-5' ],
        [ '0 for a body', 0 ], [ 'less than the body', 3 ]);
    is fcgi(taken(), params => { CONTENT_LENGTH => $_->[1] })->{status}, 200, "$_->[0]: 200" for @odd;
    my $bom = taken();
    is fcgi("\xef\xbb\xbf \n$bom\n")->{status}, 200, 'a BOM and white space around the object: 200';
    my $chunked = taken();
    my $socket = $rig->connect_front;
    print {$socket} "POST $path HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    printf {$socket} "%x\r\n%s\r\n", length $_, $_ for $chunked =~ /(.{1,40})/gs;
    print {$socket} "0\r\n\r\n";
    $socket->flush;
    is $rig->answer($socket)->{status}, 200, 'nginx: a chunked body: 200';
}

# ---- an object, and yet no event: the platform sent it, and we have it ----
{
    my @bodies = ('{}', '{"module":"MOIM","type":"x"}', '{"module":"MOIM","type":"t","context":[],"payload":{}}', '{"a":01}');
    for my $body (@bodies) {
        push @malformed, [ $body, $body ];
        is fcgi($body)->{status}, 200, "$body: 200, and malformed later";
    }
}

# ---- pieces, kept connections, slow and broken ones ----
{
    my $fcgi = FastCGI->new($rig->{socket});
    my @plan = (
        [ 200, taken() ], [ 404, refused(), REQUEST_URI => '/candhook/x' ], [ 405, refused(), REQUEST_METHOD => 'GET' ], [ 200, taken() ],
        [ 413, 'x' x ($max_body + 1) ], [ 400, '' ], [ 404, 'x' x 20000, REQUEST_URI => '/candhook/x' ], [ 200, taken() ]
    );
    for my $one (@plan) {
        my ($status, $body, %param) = @$one;
        $fcgi->request(keep => 1, params => { params($body, params => \%param) }, body => $body);
        my $answer = $fcgi->answer;
        is $answer->{status}, $status, "a kept connection: $status";
        ok $answer->{ended}, 'with the end of the request';
    }
    my $body = taken();
    $fcgi->request(keep => 0, params => { params($body) }, body => $body);
    is $fcgi->answer->{status}, 200, 'its last request, that does not keep it: 200';
    ok $fcgi->closed, 'and it is closed';
}
{
    my $body = taken();
    my $fcgi = FastCGI->new($rig->{socket});
    my $bytes = FastCGI::record('begin', pack 'nCx5', 1, 0);
    $bytes .= FastCGI::record('params', $_) for FastCGI::pairs(params($body)) =~ /(.{1,7})/gs, '';
    $bytes .= FastCGI::record('stdin', $_) for $body =~ /(.{1,9})/gs, '';
    $fcgi->raw($_) for $bytes =~ /(.{1,50})/gs;
    is $fcgi->answer->{status}, 200, 'parameters and body in many small records: 200';
}
{
    my @names = map { "HTTP_X_$_" } 1 .. 200;
    my $answer = fcgi(taken(), params => { map { $_ => 'x' x 300 } @names });
    is $answer->{status}, 200, '60 kB of other parameters: 200';
}
{
    my $nine = FastCGI->new($rig->{socket});
    my $silent = FastCGI->new($rig->{socket});
    my $half = FastCGI->new($rig->{socket});
    my $body = refused();
    push @malformed, [ substr($body, 0, 20), 'paused' ];
    $nine->raw(substr FastCGI::record('begin', pack 'nCx5', 1, 0), 0, 9);
    $half->begin;
    $half->params(params($body));
    $half->stdin(substr $body, 0, 20);
    my $start = FastCGI::now();
    is fcgi(taken())->{status}, 200, 'while three others send a part and pause: 200';
    cmp_ok FastCGI::now() - $start, '<', 25, 'within the bound of a round';
    is fcgi(taken())->{status}, 200, 'and again';
    is $half->answer->{status}, 400, 'the one that paused within its body: 400';
    ok $nine->closed, 'the one that paused within its first record is closed';
}
{
    my @bodies = map { refused() } 1 .. 3;
    push @malformed, map { [ substr($_, 0, 30), 'broken off' ] } @bodies;
    my @broken = map { FastCGI->new($rig->{socket}) } @bodies;
    for my $i (0 .. 2) {
        $broken[$i]->begin;
        $broken[$i]->params(params($bodies[$i]));
        $broken[$i]->stdin(substr $bodies[$i], 0, 30);
    }
    $broken[0]->abort;
    is $broken[0]->answer->{status}, 400, 'aborted within its body: 400';
    $broken[1]->shut;
    is $broken[1]->answer->{status}, 400, 'ended within its body: 400';
    $broken[2]->close;
    is fcgi(taken())->{status}, 200, 'after one that vanished: 200';
}
{
    my $fcgi = FastCGI->new($rig->{socket});
    $fcgi->raw("GET / HTTP/1.0\r\n\r\n" x 4);
    ok $fcgi->closed, 'what is no FastCGI at all is closed';
    is fcgi(taken())->{status}, 200, 'and the next one: 200';
}
{
    my @open = map { FastCGI->new($rig->{socket}) } 1 .. 600;
    is fcgi(taken())->{status}, 200, 'beside 600 connections that say nothing: 200';
}
{
    my $socket = $rig->connect_front;
    print {$socket} $rig->request_text($path, '{"cut":', length => 1000);
    $socket->flush;
    close $socket;
    is $rig->post($path, taken())->{status}, 200, 'nginx: after a client that left within its body: 200';
}

# ---- 503: it cannot be made durable ----
{
    my $second = "$rig->{dir}/second";
    chmod 0500, "$rig->{dir}/spool" or die;
    my $socket = $rig->{socket};
    my $pid = $rig->responder(socket => "$second.sock", name => 'responder2');
    my $answer = fcgi(refused());
    is $answer->{status}, 503, 'a spool that cannot be written: 503';
    like $answer->{headers}{'retry-after'}, qr/^\d+$/, 'with Retry-After';
    is $answer->{body}, '', 'with an empty body';
    is fcgi('[1]')->{status}, 503, 'no 400 either, for what is not kept';
    is fcgi('')->{status}, 400, 'but for what is not to be kept: 400';
    is fcgi(refused(), params => { REQUEST_URI => '/candhook/x' })->{status}, 404, 'and a wrong secret: 404';
    chmod 0700, "$rig->{dir}/spool" or die;
    is fcgi(taken())->{status}, 200, 'when it can be written again: 200';
    $rig->stop($pid);

    my ($free) = (`df -Pk "$rig->{dir}"` =~ /\n\S+\s+\d+\s+\d+\s+(\d+)/);
  SKIP: {
        skip 'more space is free than can be asked for', 2 if $free > 1000 * 1024 * 1024;
        $rig->conf(max_body => $max_body, min_free => '1024G');
        $pid = $rig->responder(socket => "$second.sock", name => 'responder3');
        $answer = fcgi(refused());
        is $answer->{status}, 503, 'less space than min_free: 503';
        like $answer->{headers}{'retry-after'}, qr/^\d+$/, 'with Retry-After';
        $rig->stop($pid);
    }
    $rig->conf(max_body => $max_body);
    $rig->{socket} = $socket;
}

# ---- the secrets change ----
{
    my $other = 'another-secret_0123.~';
    $rig->write_file('secrets', "# two for a while\n$secret rig\n$other\n");
    is fcgi(taken(), params => { REQUEST_URI => "/candhook/$other" })->{status}, 200, 'a secret that was added: 200';
    is fcgi(taken())->{status}, 200, 'beside the old one: 200';
    $rig->write_file('secrets', "$other\n");
    is fcgi(refused())->{status}, 404, 'a secret that was taken away: 404';
    is fcgi(taken(), params => { REQUEST_URI => "/candhook/$other" })->{status}, 200, 'the new one: 200';
    $rig->write_file('secrets', "short\n");
    is fcgi(taken(), params => { REQUEST_URI => "/candhook/$other" })->{status}, 200, 'secrets that are no good change nothing: 200';
    $rig->write_file('secrets', "$secret rig\n");
}

# ---- what all this has left ----
$rig->wait_until(
    sub { $rig->sql('select (select count(*) from candhook.event) + (select count(*) from candhook.malformed)') >= @events + @malformed },
    'everything is recorded'
);
is_deeply [ split /\n/, $rig->sql(q{select payload ->> 'id' from candhook.event order by 1}) ], [ sort @events ],
  'each event that was answered 200 is recorded once, and no other';
is_deeply [ split /\n/, $rig->sql(q{select encode(body, 'hex') from candhook.malformed order by 1}) ],
  [ sort map { unpack "H*", $_->[0] } @malformed ],
  'each body that is no event is kept byte for byte, and no other';
is $rig->sql('select count(*) from candhook.malformed where reason is null or length(reason) < 5'), 0, 'with a reason';

# ---- no secret, no service ----
{
    $rig->write_file('secrets', "# none yet\n");
    my ($status, undef, $err) = $rig->run({}, $rig->program('candhook.fcgi'), '--listen', "$rig->{dir}/third.sock");
    $err .= $rig->read_file('log/candhook.log');
    is $status, 78, 'without a secret the responder does not start';
    like $err, qr/no secret|holds no/i, 'and says why';
    $rig->write_file('secrets', "$secret rig\n");
}

# ---- the secret is in no log; nginx writes its logs after it has answered, so it ends first ----
$rig->stop($rig->{nginx});
for my $log (sort glob "$rig->{dir}/log/*") {
    unlike $rig->read_file($log), qr/\Q$secret\E|another-secret/, 'no secret in ' . $log =~ s{.*/}{}r;
}
# ---- more connections than the responder holds, and an unanswered request among them ----
{
    my $socket = "$rig->{dir}/crowd.sock";
    my $pid = $rig->responder(socket => $socket, name => 'crowd');
    my $answering = $rig->answering_pid($pid);
    kill STOP => $answering;
    my $first = FastCGI->new($socket);
    $first->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path, CONTENT_LENGTH => length $rig->event }, body => $rig->event);
    my @idle = map { FastCGI->new($socket) } 1 .. 700;
    kill CONT => $answering;
    is $first->answer->{status}, 200, 'a request among 700 silent connections is answered';
    my $last = FastCGI->new($socket);
    $last->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path, CONTENT_LENGTH => length $rig->event }, body => $rig->event);
    is $last->answer->{status}, 200, 'and so is one behind them';
    ok $rig->running($pid), 'the responder is well';
}

done_testing;
