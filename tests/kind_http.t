# SPDX-License-Identifier: ISC
#
# Handlers of kind http, against a real web service: what it is sent, which answers mean what, a target that is slow, down,
# or talks nonsense, and that such a one holds up no other.
use v5.36;
use Test::More;
use HandlerRig;
use Rig::Cand;

my $rig = HandlerRig->new(log_level => 'debug');
my $shop = Rig::Cand->service($rig);
$rig->start_worker;

sub target ($name, %column) {
    $rig->handler($name, kind => 'http', target => $shop->url . "/$name", %column);
}

# ---- what it is sent ----
target('plain');
my $id = $rig->event_of('plain', payload => { id => 'CP:1', text => "\x{e4}" });
is_deeply $rig->settled('plain'), ['ok|HTTP 200 OK'], 'an answer of 2xx is ok';
my ($got) = $shop->requests;
is "$got->{method} $got->{target}", 'POST /plain', 'a POST to the target';
is_deeply JSON::PP::decode_json($got->{body}), JSON::PP::decode_json($rig->event(type => 'plain', payload => { id => 'CP:1', text => "\x{e4}" })), 'of the same JSON value';
is $got->{headers}{'content-type'}, 'application/json', 'as JSON';
is $got->{headers}{'candhook-event-id'}, $id, 'with the id of the event';
is $got->{headers}{'candhook-attempt'}, 1, 'and the number of the attempt';
ok !exists $got->{headers}{authorization}, 'and no token unless it is wanted';
like $got->{headers}{'user-agent'}, qr{^candhook/}, 'from candhook';

target('token', needs_token => 'true');
$rig->token('http-secret-123456');
$shop->on({ path => '^/token', status => 201, body => 'I got http-secret-123456' });
$rig->event_of('token');
is_deeply $rig->settled('token'), ['ok|HTTP 201 Created: I got [token]'], 'the answer is kept, without the token';
is(($shop->requests(qr/token/))[0]{headers}{authorization}, 'Bearer http-secret-123456', 'the token is given');

# A reason phrase that repeats the token, and is longer than anything that is kept of it.
my $long = join '-', 'http-secret', map { "part$_" } 1 .. 12;
target('reason', needs_token => 'true');
$rig->token($long);
$shop->on({ path => '^/reason', status => 200, reason => ('x' x 30) . " $long " . ('y' x 6000), body => 'z' });
$rig->event_of('reason');
like $rig->settled('reason')->[0], qr/^ok\|HTTP 200 x{30} \[token\] y+$/, 'a reason phrase is masked before it is cut';
cmp_ok length $rig->results('reason')->[0], '<=', 4010, 'and cut';
$rig->token('http-secret-123456');

# ---- what its answers mean ----
my @answers = ([ 204, 'ok' ], [ 301, 'failed' ], [ 400, 'failed' ], [ 401, 'failed' ], [ 404, 'failed' ], [ 408, 'retry' ], [ 410, 'failed' ], [ 425, 'retry' ], [ 429, 'retry' ], [ 500, 'retry' ], [ 502, 'retry' ], [ 503, 'retry' ]);
$shop->on(map { { path => "^/s$_->[0]", status => [ $_->[0], 200 ], headers => $_->[0] == 301 ? { Location => $shop->url . '/elsewhere' } : {} } } @answers);
for my $answer (@answers) {
    target("s$answer->[0]");
    $rig->event_of("s$answer->[0]");
}
for my $answer (@answers) {
    my ($status, $result) = @$answer;
    my $results = $rig->settled("s$status");
    like $results->[0], qr/^$result\|HTTP $status/, "$status: $result";
    is $results->[1] // '', $result eq 'retry' ? 'ok|HTTP 200 OK' : '', 'and then';
}
is $shop->count(qr/elsewhere/), 0, 'redirections are not followed';
like $rig->results('s301')->[0], qr/redirections are not followed/, 'and that is said';

# ---- Retry-After ----
target('wait', first_delay => '1 ms', jitter => 0);
$shop->on({ path => '^/wait', status => [ 429, 200 ], headers => { 'Retry-After' => 2 } });
$rig->event_of('wait');
$rig->settled('wait');
my @asked = map { $_->{started} } $shop->requests(qr/wait/);
cmp_ok $asked[1] - $asked[0], '>=', 1.9, 'Retry-After is honoured';

# What cannot be meant is taken for a day, in the same batch as what was done.
target($_, first_delay => '1 ms', jitter => 0) for qw(vast never);
$shop->on({ path => '^/vast', status => [ 429, 200 ], headers => { 'Retry-After' => '99999999999999999999' } },
    { path => '^/never', status => [ 429, 200 ], headers => { 'Retry-After' => 'Fri, 31 Dec 9999 23:59:59 GMT' } });
for my $name (qw(vast never)) {
    $rig->event_of($name);
    $rig->wait_until(sub { @{ $rig->results($name) } == 1 }, "$name is recorded");
    is $rig->sql("select due_at - finished_at between '23:59:50' and '24:00:10' from candhook.delivery d join candhook.outcome o using (event_id, handler) where handler = '$name'"), 't', "Retry-After $name: a day";
}
$rig->sql("delete from candhook.delivery where handler in ('vast', 'never')");

# ---- the status decides: what was answered 2xx is not posted again, whatever became of the rest of the answer ----
$shop->on({ path => '^/short', length => 1000, body => 'x' }, { path => '^/vast_body', body => 'y', repeat => 9_000_000 }, { path => '^/broken', status => 400, length => 1000, body => 'no' },
    { path => '^/slow_body', raw => "HTTP/1.1 202 Yes\r\nContent-Length: 5\r\n\r\nye", hold => 30 });
target($_, timeout => $_ eq 'slow_body' ? '1 s' : '20 s') for qw(short vast_body broken slow_body);
$rig->event_of($_) for qw(short vast_body broken slow_body);
is_deeply $rig->settled('short'), ['ok|HTTP 200 OK: x'], 'an answer that is cut off';
like $rig->settled('vast_body')->[0], qr/^ok\|HTTP 200 OK: y+$/, 'one of 9 MB';
is_deeply $rig->settled('slow_body'), ['ok|HTTP 202 Yes: ye'], 'one that does not end';
is_deeply $rig->settled('broken'), ['failed|HTTP 400 Bad Request: no'], 'and a refusal that is cut off';
is $shop->count(qr{^/$_}), 1, "$_: one POST" for qw(short vast_body slow_body broken);

# ---- garbage, slow, down ----
$shop->on({ path => '^/garbage', raw => "this is no HTTP\r\n\r\n" }, { path => '^/close', raw => '' },
    { path => '^/hang', delay => 30 }, { path => '^/big', body => 'y' x 300_000 }, { path => '^/nul', body => "a\0b" });
target($_, max_attempts => 1, $_ eq 'hang' ? (timeout => '400 ms') : ()) for qw(garbage close hang big nul);
$rig->event_of($_) for qw(garbage close hang big nul);
like $rig->settled($_)->[0], qr/^failed\|(?!HTTP)\S/, "$_: no answer is a failed attempt" for qw(garbage close);
like $rig->settled('hang')->[0], qr/^failed\|.*(?:timed out|time)/i, 'a deadline';
like $rig->settled('big')->[0], qr/^ok\|HTTP 200 OK: y+$/, 'a large answer is cut';
cmp_ok length $rig->results('big')->[0], '<=', 4010, 'to what is kept';
is_deeply $rig->settled('nul'), ['ok|HTTP 200 OK: a?b'], 'NUL';

target('down', max_attempts => 20, max_delay => '200 ms');
$shop->stop;
$rig->event_of('down');
$rig->wait_until(sub { @{ $rig->results('down') } >= 2 }, 'it is tried');
like $rig->results('down')->[0], qr/^retry\|/, 'a target that is down is tried again';
unlike $rig->results('down')->[0], qr{/down}, 'what is said has no more of the URL than its host';
$shop->start;
is $rig->settled('down')->[-1], 'ok|HTTP 200 OK', 'until it is back';

# ---- several at once; a slow target holds up no other ----
$shop->clear->on({ path => '^/crowd', delay => 0.3 }, { path => '^/few', delay => 0.1 }, { path => '^/slow', delay => 4 });
target('crowd');
target('few', concurrency => 2);
$rig->events_of('crowd', [ map { { id => $_ } } 1 .. 32 ]);
is scalar @{ $rig->settled('crowd', 32) }, 32, 'many are sent';
cmp_ok $shop->peak, '>=', 8, 'at the same time';
cmp_ok $shop->peak, '<=', 16, 'as many as the default allows';
$shop->clear;
$rig->events_of('few', [ map { { id => $_ } } 1 .. 8 ]);
$rig->settled('few', 8);
is $shop->peak, 2, 'concurrency is a limit';
target('slow', timeout => '60 s');
$rig->events_of('slow', [ map { { id => $_ } } 1 .. 40 ]);
$rig->event_of('plain') for 1 .. 5;
is scalar @{ $rig->settled('plain', 6) }, 6, 'others are served beside a slow target';
cmp_ok scalar @{ $rig->results('slow') }, '<', 40, 'which was not done before';
$shop->on;
$rig->settled('slow', 40);

# ---- a token that is replaced between attempts ----
$shop->on({ path => '^/change', status => [ 503, 200 ] });
target('change', needs_token => 'true', first_delay => '1 s', jitter => 0);
$rig->event_of('change');
$rig->wait_until(sub { @{ $rig->results('change') } == 1 }, 'the first attempt');
$rig->token('http-secret-another');
$rig->settled('change');
is_deeply [ map { $_->{headers}{authorization} } $shop->requests(qr/change/) ], [ 'Bearer http-secret-123456', 'Bearer http-secret-another' ],
  'each attempt has the token of its time';
unlike $rig->read_file('log/candhook.log'), qr/http-secret/, 'no token is in the log';

# ---- certificates ----
SKIP: {
    my ($status) = eval { $rig->run({}, 'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', "$rig->{dir}/key.pem", '-out', "$rig->{dir}/cert.pem", '-days', 2, '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1') };
    skip 'openssl is not installed', 1 if !defined $status || $status != 0;
    my $pid = $rig->with_port('log/tls.log', sub ($port) { $rig->spawn('tls', 'openssl', 's_server', '-quiet', '-www', '-accept', "127.0.0.1:$port", '-key', "$rig->{dir}/key.pem", '-cert', "$rig->{dir}/cert.pem") });
    $rig->handler('tls', kind => 'http', target => "https://127.0.0.1:$rig->{port}/", max_attempts => 1);
    $rig->event_of('tls');
    like $rig->settled('tls')->[0], qr/^failed\|.*certificate/i, 'a certificate that nobody vouches for is refused';
    $rig->stop($pid);
}

done_testing;
