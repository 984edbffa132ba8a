# SPDX-License-Identifier: ISC
#
# From the bytes of a body to its row, the whole way: what is an event gives the same JSON value back, what is none is
# malformed, with the reason and every byte, and its neighbours in the batch are recorded. Who judges what is told in
# src/event/event_scan.c; here PostgreSQL has the last word.
use v5.36;
use utf8;
use Test::More;
use Encode ();
use FastCGI;
use Rig;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);
my $rig = Rig->new;
$rig->cluster;
$rig->conf(max_body => 1_000_000);
$rig->schema;

my $good = '{"module":"M","type":"t","context":{},"payload":{}}';
my $digits = '1' x 140_000;
my %event = (
    'as short as can be'       => $good,
    'an empty id, more within' => '{"module":"M","type":"t","context":{"originCommunityId":"","x":null},"payload":{"context":1},"originCommunityId":5}',
    'ids that are null'        => '{"module":"M","type":"t","context":{"originCommunityId":null,"userId":null,"communityId":"C","profileId":null},"payload":{"a":{"b":null}}}',
    'all of Unicode'           => '{"module":"Ünï","type":"😀","context":{"userId":"\u00e9\ud83d\ude00"},"payload":{"":"\u001f\\\\\""},"":{},"MODULE":1,"extra":{}}',
    'numbers'                  => '{"module":"M","type":"n","context":{},"payload":{"big":123456789012345678901234567890,"exact":1.10000000000000000000000000000000000001,"e":[1e400,-0,2E-3]}}',
    'numbers beyond'           => '{"module":"M","type":"n","context":{"x":1.10},"payload":{},"more":123456789012345678901234567890.5}',
    'white space'              => qq( \t\r\n{ "module" : "M" , "type" : "t" ,\n "context" : { } , "payload" : { "a" : [ 1 , 2 ] } } \n),
    'escapes in names'         => '{"m\u006fdule":"M","type":"t","\u0063ontext":{"user\u0049d":"U","\u0078":1},"payl\u006fad":{"\u0061":1}}',
    '255 bytes'                => '{"module":"' . 'm' x 255 . '","type":"' . 't' x 255 . '","context":{"userId":"' . 'u' x 255 . '"},"payload":{}}',
    'braces in strings'        => '{"module":"}","type":"{","context":{"x":"}]"},"payload":{"a\"}":"{[\\\\"}}',
);
my %malformed = (
    'no JSON'               => [ '{"module":}', qr/not JSON from byte 11 on/ ],
    'no object at all'      => [ 'module', qr/not a JSON object/ ],
    'text behind'           => [ "$good x", qr/text after the object, at byte 53/ ],
    'two byte order marks'  => [ "\xef\xbb\xbf\xef\xbb\xbf$good", qr/not a JSON object/ ],
    'an escaped NUL'        => [ '{"module":"M","type":"t","context":{},"payload":{"a":"\u0000"}}', qr/NUL character/ ],
    'one in a name'         => [ '{"module":"M","type":"t","context":{},"payload":{},"\u0000":1}', qr/NUL character/ ],
    'a raw NUL'             => [ "$good\0", qr/NUL byte at byte 52/ ],
    'a lone surrogate'      => [ '{"module":"M","type":"t","context":{},"payload":{"a":"\ud800"}}', qr/not JSON/ ],
    'a low surrogate'       => [ '{"module":"M","type":"t","context":{},"payload":{"a":"\udc00x"}}', qr/not JSON/ ],
    'not UTF-8'             => [ "{\"module\":\"M\",\"type\":\"\xff\",\"context\":{},\"payload\":{}}", qr/not UTF-8 at byte 23/ ],
    'a raw line feed'       => [ "{\"module\":\"M\ntype\",\"type\":\"t\",\"context\":{},\"payload\":{}}", qr/control character at byte 13/ ],
    'a leading zero'        => [ '{"module":"M","type":"t","context":{},"payload":{"a":01}}', qr/number at byte 54/ ],
    'a vast exponent'       => [ '{"module":"M","type":"t","context":{},"payload":{"a":1e131072}}', qr/exponent/ ],
    'digits beyond bounds'  => [ qq({"module":"M","type":"t","context":{},"payload":{"a":$digits}}), qr/overflow/ ],
    'and beyond the payload' => [ qq({"module":"M","type":"t","context":{},"payload":{},"a":$digits}), qr/overflow/ ],
    'too deep'              => [ '{"module":"M","type":"t","context":{},"payload":' . '{"a":' x 2000 . '1' . '}' x 2001, qr/nested more than 1000 deep/ ],
    'an array'              => [ '[]', qr/not a JSON object/ ],
    'null'                  => [ 'null', qr/not a JSON object/ ],
    'no module'             => [ '{"type":"t","context":{},"payload":{}}', qr/module is missing/ ],
    'another case'          => [ '{"Module":"A","type":"t","context":{},"payload":{}}', qr/module is missing/ ],
    'module a number'       => [ '{"module":5,"type":"t","context":{},"payload":{}}', qr/module is not a string/ ],
    'module empty'          => [ '{"module":"","type":"t","context":{},"payload":{}}', qr/module is empty/ ],
    'module long'           => [ '{"module":"' . "\xc3\xa9" x 128 . '","type":"t","context":{},"payload":{}}', qr/module is longer than 255 bytes/ ],
    'type null'             => [ '{"module":"M","type":null,"context":{},"payload":{}}', qr/type is not a string/ ],
    'no context'            => [ '{"module":"M","type":"t","payload":{}}', qr/context is missing/ ],
    'context an array'      => [ '{"module":"M","type":"t","context":["userId"],"payload":{}}', qr/context is not an object/ ],
    'payload text'          => [ '{"module":"M","type":"t","context":{},"payload":"{}"}', qr/payload is not an object/ ],
    map({ ("$_ a number" => [ qq({"module":"M","type":"t","context":{"$_":5},"payload":{}}), qr/context\.$_ is neither a string nor null/ ],
          "$_ long" => [ qq({"module":"M","type":"t","context":{"$_":") . 'x' x 256 . '"},"payload":{}}', qr/context\.$_ is longer than 255 bytes/ ])
    } qw(originCommunityId userId communityId profileId))
);

# All lie in the spool before anybody records: one batch, good and bad in turn.
$rig->responder(args => ['--no-worker']);
my $fcgi = FastCGI->new($rig->{socket});
sub post ($body) {
    $fcgi->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path, CONTENT_LENGTH => length $body, DOCUMENT_ROOT => "$rig->{dir}/nginx" },
        body => $body, keep => 1);
    return $fcgi->answer->{status};
}
my @events = map { Encode::encode('UTF-8', $event{$_}) } sort keys %event;
my @malformed = map { $malformed{$_}[0] } sort keys %malformed;
for my $n (0 .. $#malformed) {
    my $status = post($malformed[$n]);
    BAIL_OUT("answered $status") if $status !~ /^(?:200|400)$/;
    post($events[$n]) if $n < @events;
}
post("\xef\xbb\xbf" . '{"module":"A","module":"B","type":"last","context":{"userId":5},"context":{"userId":"v","userId":"u"},"payload":1,"payload":{"a":1,"a":2}}');
$rig->candhook_ok('work', '--once');

is $rig->sql('select count(*) from candhook.event'), @events + 1, 'each event is recorded';
for my $n (0 .. $#events) {
    is $rig->sql("select count(*) from candhook.event e where candhook.body(e) = \$x\$$events[$n]\$x\$::jsonb"), 1, 'the same value: ' . (sort keys %event)[$n];
}
is $rig->sql(q{select payload ->> 'exact', payload ->> 'big', length(payload -> 'e' ->> 0) from candhook.event where type = 'n' and payload <> '{}'}),
  '1.10000000000000000000000000000000000001|123456789012345678901234567890|401', 'to the last digit';
is $rig->sql(q{select module, user_id, payload, extra is null from candhook.event where type = 'last'}), 'B|u|{"a": 2}|t', 'a byte order mark is tolerated, the last of equal names wins';
is $rig->sql(q{select count(*) from candhook.event where extra = '{}'}), 0, 'extra is null when there is nothing beyond';
is $rig->sql(q{select user_id, extra from candhook.event where module = 'M' and user_id = 'U'}), 'U|{"context": {"x": 1}}', 'an escaped name is that name';

is $rig->sql('select count(*) from candhook.malformed'), @malformed, 'each malformed body is recorded';
for my $what (sort keys %malformed) {
    my ($body, $reason) = $malformed{$what}->@*;
    like $rig->sql("select reason from candhook.malformed where sha256(body) = sha256('\\x" . unpack('H*', $body) . "')"), $reason, "$what: malformed, with the reason and every byte";
}
is $rig->sql('select count(*) from candhook.event e join candhook.malformed m using (id)'), 0, 'nothing is both';
is $rig->sql('select count(*) from candhook.outcome'), @events + 1, 'each event has its outcome';
is scalar(() = glob "$rig->{dir}/spool/*.seg"), 1, 'and the spool has none but the one that is written to';
done_testing;
