# SPDX-License-Identifier: ISC
#
# candhook send: a sample of every documented type becomes an event; --set, --file and --count; the exit statuses; and the
# URL, which holds a secret, in no line and in no argv.
use v5.36;
use IO::Socket::INET;
use JSON::PP ();
use Test::More;
use Rig;

my $rig = Rig->new;
my @types = qw(content.created member.activated member.joined member.updated message.created payment.cancelled
  payment.paid payment.purchaseItemConfirmed product.created product.updated product.voted subscription.expired
  subscription.subscribed);
my $said = '';

sub send_event (@args) {
    my ($status, $out, $err) = $rig->candhook('send', @args);
    $said .= $out . $err;
    return ($status, $out, $err);
}

# ---- through nginx into the database ----
$rig->cluster;
$rig->conf;
$rig->schema;
$rig->responder;
$rig->nginx;
my $url = "http://127.0.0.1:$rig->{port}" . $rig->path;

sub recorded ($count) {
    $rig->wait_until(sub { $rig->sql('select count(*) from candhook.event') >= $count }, "$count events are recorded");
    my $rows = $rig->sql('select candhook.body(e) from candhook.event e order by received_at, id');
    return map { JSON::PP->new->allow_bignum->decode($_) } split /\n/, $rows;
}

{
    my ($status, $out) = send_event('--list');
    is $status, 0, '--list';
    is_deeply [ sort split /\n/, $out ], \@types, 'lists the documented types';
    for my $type (@types) {
        ($status, $out) = send_event($url, '--type', $type);
        is $status, 0, "$type is taken";
        like $out, qr/^200 OK +\(\d+\.\d+ s\)$/, 'and the answer printed';
    }
    is_deeply [ map { $_->{type} } recorded(13) ], \@types, 'each is recorded as what it is';
    is $rig->sql('select count(*) from candhook.event where module = $$MOIM$$ and origin_community_id is not null and
        user_id is not null and community_id is not null and profile_id is not null and payload ? $$id$$ and extra is null'), 13,
      'with the documented members';
    $rig->sql('truncate candhook.event');
}

# ---- changing it ----
{
    my ($status) = send_event($url, '--set', 'payload.id=CP:X=Y', '--set', 'payload.n=12345678901234567890.123456789',
        '--set', 'payload.deep.er=[1,{"a":"b"}]', '--set', 'payload.deep.er.1.a=c', '--set', 'payload.deep.er.2=true',
        '--set', 'context.userId=null', '--set', 'type=thing.new', '--set', 'payload.text="7"', '--set', 'payload.empty=', '--set', 'payload.zero=007');
    is $status, 0, 'a changed event is taken';
    my ($event) = recorded(1);
    is $event->{type}, 'thing.new', 'the type is changed';
    is_deeply $event->{payload}, {
        id => 'CP:X=Y', n => $event->{payload}{n}, text => '7', empty => '', zero => '007', deep => { er => [ 1, { a => 'c' }, JSON::PP::true ] }
    }, 'and the payload';
    is $event->{context}{userId}, undef, 'and the context';
    is $rig->sql(q{select payload ->> 'n' from candhook.event}), '12345678901234567890.123456789', 'a number keeps its digits';
    for my $bad ('payload', 'payload.id.x=1', '=1', 'payload.purchases.0=1', '.=1', 'payload.id="\u0000"', "payload.id=\xff") {
        my @type = $bad =~ /purchases/ ? ('--type', 'payment.paid', '--set', 'payload.purchases.9=1') : ('--set', $bad);
        my (undef, undef, $err) = (($status) = send_event($url, @type));
        is $status, 64, "--set $bad is refused";
    }
    $rig->sql('truncate candhook.event');
}

# ---- members that the platform documents as an array, and shows as text: both are taken, and come back as they were ----
{
    my %member = ('subscription.subscribed' => ['payment', 'productId'], 'subscription.expired' => ['productId'], 'message.created' => ['conversationId'],
        'payment.paid' => ['purchases.0.purchaseItems.0.productId']);
    my %seen;
    for my $type (sort keys %member) {
        for my $name ($member{$type}->@*) {
            for my $value ('"A:1"', '["A:1"]', '["A:1","B:2"]') {
                my ($status) = send_event($url, '--type', $type, '--set', "payload.$name=$value");
                is $status, 0, "$type: $name is $value";
                my $path = join ',', split /\./, $name;
                $rig->wait_until(sub { $rig->sql('select count(*) from candhook.event') == 1 }, 'it is recorded');
                is $rig->sql("select candhook.body(e) #> '{payload,$path}' = '$value' from candhook.event e"), 't', 'as it was';
                $rig->sql('truncate candhook.event');
            }
        }
        for my $name (grep { !/[.]/ } $member{$type}->@*) {
            send_event($url, '--type', $type);
            $rig->wait_until(sub { $rig->sql('select count(*) from candhook.event') == 1 }, 'the sample is recorded');
            $seen{ $rig->sql("select jsonb_typeof(payload -> '$name') from candhook.event") }++;
            $rig->sql('truncate candhook.event');
        }
    }
    is_deeply [ sort keys %seen ], [qw(array string)], 'the samples show both';
}

# ---- from a file, many, from stdin and from the environment ----
{
    my $text = $rig->event(type => 'from.file');
    my $file = $rig->write_file('event.json', $text);
    my ($status, $out) = send_event($url, '--file', $file);
    is $status, 0, 'a file is taken';
    ($status) = send_event('-', '--file', '-', { stdin => "$url\n$text" });
    is $status, 0, 'URL and event from stdin';
    ($status) = send_event('-', { stdin => "$url\n" });
    is $status, 0, 'the URL from stdin';
    ($status) = send_event({ env => { CANDHOOK_URL => $url } });
    is $status, 0, 'the URL from the environment';
    ($status, $out) = send_event($url, '--count', 20);
    is $status, 0, 'twenty are taken';
    like $out, qr/^200 OK .*\n20 of 20 were taken$/, 'and said once';
    my @events = recorded(24);
    is scalar(@events), 24, 'all are recorded';
    is scalar(grep { $_->{type} eq 'from.file' } @events), 2, 'two of them from the file';

    my $array = $rig->write_file('array.json', "[1]\n");
    ($status, $out) = send_event($url, '-f', $array);
    is $status, 1, 'what is refused has the exit status 1';
    like $out, qr/^400 Bad Request /, 'and the answer is printed';
    $rig->wait_until(sub { $rig->sql('select count(*) from candhook.malformed') }, 'it is malformed');
    is $rig->sql('select body from candhook.malformed'), '\x5b315d0a', 'byte for byte';
}

# ---- what does not work ----
{
    my @wrong = (
        [ 64, 'no URL' ], [ 64, 'two URLs', $url, $url ], [ 64, 'another scheme', "ftp://127.0.0.1/$rig->{secret}" ],
        [ 64, 'no scheme', "127.0.0.1/$rig->{secret}" ], [ 64, 'no such type', $url, '--type', 'no.such' ],
        [ 64, 'type and file', $url, '-t', 'product.created', '-f', '/dev/null' ], [ 64, 'no such file', $url, '-f', '/nonexistent' ],
        [ 64, 'a count of 0', $url, '-n', 0 ], [ 64, 'a count that is none', $url, '-n', '1x' ], [ 64, 'no such option', $url, '--insecure' ],
        [ 1, 'a wrong secret', $url . 'x' ], [ 69, 'nobody there', 'http://127.0.0.1:1' . $rig->path ],
        [ 69, 'no such host', 'http://host.invalid' . $rig->path ], [ 69, 'no TLS there', $url =~ s/http/https/r ]
    );
    for my $case (@wrong) {
        my ($wanted, $name, @args) = @$case;
        my ($status, $out, $err) = send_event(@args);
        is $status, $wanted, "$name: exit status $wanted";
        isnt "$out$err", '', 'with a message';
    }
    my ($status, undef, $err) = send_event('http://127.0.0.1:1' . $rig->path);
    like $err, qr{no answer from http://127\.0\.0\.1:1: }, 'the server is named without the path';
}

# ---- a server that answers oddly ----
sub send_to_server ($answer) {
    my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Proto => 'tcp', Listen => 5) or die;
    my $pid = $rig->spawn('send', $rig->program('candhook'), 'send', "http://127.0.0.1:" . $server->sockport . $rig->path);
    IO::Select->new($server)->can_read(30) or die "it does not connect\n";
    my $socket = $server->accept;
    my ($request, $command) = ('', '');
    while ($request !~ /\r\n\r\n.*\}\s*$/s) {
        IO::Select->new($socket)->can_read(30) && sysread $socket, $request, 65536, length $request or die "no request: $request\n";
    }
    $command = $rig->command_line($pid);
    print {$socket} $answer;
    close $socket;
    my $status = $rig->wait_pid($pid, 30);
    my $again = IO::Select->new($server)->can_read(0);
    return ($status, $request, $command, $again);
}
{
    my ($status, $request, $command, $again) =
      send_to_server("HTTP/1.1 302 Fo\e[31mund\r\nLocation: /other\r\nContent-Length: 9\r\nConnection: close\r\n\r\nsee\e[2J o");
    is $status, 1, 'a redirection is no 2xx';
    ok !$again, 'and is not followed';
    my $log = $rig->read_file('log/send.log');
    like $log, qr/^302 Fo\?\[31mund .*\nsee\?\[2J o\n$/, 'the body is printed, and nothing that steers a terminal';
    like $request, qr{^POST /candhook/\w+ HTTP/1\.1\r\n}, 'it is a POST';
    like $request, qr{\r\nContent-Type: application/json\r\n}i, 'of JSON';
    like $command, qr/candhook send/, 'it can be seen in the list of processes';
    unlike $command, qr/\Q$rig->{secret}\E/, 'but not with the secret';
    $said .= $log;
    ($status) = send_to_server('');
    is $status, 69, 'a connection that is closed without an answer: exit status 69';
    ($status) = send_to_server("HTTP/1.1 204 No Content\r\n\r\n");
    is $status, 0, '204 is a 2xx';
    $said .= $rig->read_file('log/send.log');
}

unlike $said, qr/\Q$rig->{secret}\E/, 'the secret is in nothing that was printed';
done_testing;
