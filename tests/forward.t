# SPDX-License-Identifier: ISC
#
# candhook forward: recorded events to a local server, once each and in order; only some of them; those to come; a server
# that is down.
use v5.36;
use Test::More;
use HandlerRig;
use Rig::Cand;

my $rig = HandlerRig->new;
my $shop = Rig::Cand->service($rig);
my $to = $shop->url . '/webhook?x=1';
my @ids = ((map { $rig->event_of('product.created', payload => { id => $_ }) } 1 .. 3), $rig->event_of('member.joined', payload => { id => 4 }));
sub forward (@arguments) { return $rig->candhook('forward', '--to', $to, @arguments) }
sub sent { return [ map { JSON::PP::decode_json($_->{body})->{payload}{id} } $shop->requests ] }

my ($status, $out, $err) = forward('--since', '1h');
is $status, 0, 'all of the last hour';
is_deeply sent(), [ 1 .. 4 ], 'in order';
is_deeply [ $out =~ /^\S+Z  MOIM:\S+  (\S+)  200 OK  \d+ ms$/mg ], \@ids, 'each with its answer';
like $err, qr/4 of 4 events were answered with 2xx/, 'and a sum';
my ($got) = $shop->requests;
is "$got->{method} $got->{target} $got->{headers}{'content-type'}", 'POST /webhook?x=1 application/json', 'as canD would';
is_deeply JSON::PP::decode_json($got->{body}), JSON::PP::decode_json($rig->event(payload => { id => 1 })), 'the same JSON value';
is $rig->sql('select count(*) from candhook.delivery') , 0, 'no handler is concerned';

$shop->clear;
forward('--since', '1h', '--type', 'product.*');
is_deeply sent(), [ 1 .. 3 ], 'of a type';
$shop->clear;
is +(forward('--since', '1h', '--module', 'ZINE'))[0], 0, 'of a module';
is_deeply sent(), [], 'that has none';
$shop->on({ status => [ 200, 500, 200 ] });
($status, $out, $err) = forward('--since', '2d', '--type', 'product.created');
is $status, 1, 'an answer that is none of success';
like $err, qr/2 of 3 events were answered with 2xx/, 'is counted';
is +(forward())[0], 64, 'which events?';
is +(forward('--since', $_))[0], 64, "no time: $_" for qw(1 1w h -1h 1hh);
is +($rig->candhook('forward', '--since', '1h'))[0], 64, 'where to?';
is +($rig->candhook('forward', '--to', 'ftp://x/', '--since', '1h'))[0], 64, 'not to there';
($status, $out, $err) = $rig->candhook('forward', '--to', 'http://192.0.2.1/', '--since', '1h', '--type', 'of-none');
like $err, qr/note: the events leave this machine/, 'who sends them to others is told';
$shop->stop;
($status, $out, $err) = forward('--since', '1h');
is $status, 69, 'nobody answers';
unlike $err, qr/webhook/, 'and the path is not shown';

# ---- what a terminal must not see, and what a server should ----
$shop->start->clear->on;
$rig->event_of("odd.\e[31m", payload => { id => 5, a => [ 1, { b => 'c d' } ] });
($status, $out) = forward('--since', '1h', '--type', 'odd.*');
is $status, 0, 'a type with control characters';
unlike $out, qr/\e/, 'is shown without them';
unlike +($shop->requests)[0]{body} =~ s/"(?:[^"\\]|\\.)*"//gr, qr/\s/, 'the JSON is compact';

# ---- Ctrl-C while an answer is awaited ----
$shop->clear->on({ delay => 25 });
my $impatient = $rig->spawn('impatient', $rig->program('candhook'), 'forward', '--to', $to, '--since', '1h', '--type', 'member.*');
$rig->wait_until(sub { $shop->count == 1 }, 'it waits for an answer');
my $told = Rig::Process::now();
kill INT => $impatient;
$rig->wait_pid($impatient, 30);
$rig->forget($impatient);
cmp_ok Rig::Process::now() - $told, '<', 15, 'and does not wait any longer';
$shop->stop;

# ---- those to come ----
$shop->start->clear->on;
my $pid = $rig->spawn('forward', $rig->program('candhook'), 'forward', '--to', $to, '--follow', '--type', 'product.*');
$rig->wait_until(sub { $rig->sql(q{select count(*) from pg_stat_activity where query like '%candhook_internal.events%' and pid <> pg_backend_pid()}) }, 'it looks');
# One that is recorded after later ones.
my $late = HandlerRig::new_id();
$rig->event_of('product.voted', payload => { id => 10 });
$rig->event_of('member.joined', payload => { id => 11 });
$rig->wait_until(sub { $shop->count >= 1 }, 'a new one comes');
my $body = $rig->event(type => 'product.late', payload => { id => 9 });
$rig->sql("select count(*) from t.record(array['$late']::uuid[], array['$body'])");
# Taken, too: one that was sent and not answered is sent again.
$rig->wait_until(sub { $rig->read_file('log/forward.log') =~ /product\.late .* 200 OK/ }, 'one that was recorded late comes, too');
$shop->stop;
$rig->event_of('product.voted', payload => { id => 12 });
$rig->wait_until(sub { $rig->read_file('log/forward.log') =~ /the event is sent again until it is answered/ }, 'it says that nobody answers');
$shop->start;
$rig->wait_until(sub { $shop->count >= 3 }, 'and sends it when somebody does');
$rig->event_of('product.voted', payload => { id => 13 });
# Its answer, too, is seen: what is broken off is not counted.
$rig->wait_until(sub { (() = $rig->read_file('log/forward.log') =~ / 200 OK /g) >= 4 }, 'and goes on');
# A database that goes away and comes back.
$rig->pg_stop;
$rig->wait_until(sub { $rig->read_file('log/forward.log') =~ /; waiting for the database$/m }, 'it says that the database is away');
$rig->pg_start;
$rig->event_of('product.voted', payload => { id => 14 });
$rig->wait_until(sub { (() = $rig->read_file('log/forward.log') =~ / 200 OK /g) >= 5 }, 'and goes on when it is back');
is_deeply sent(), [ 10, 9, 12, 13, 14 ], 'each once';
kill INT => $pid;
is $rig->wait_pid($pid, 30), 0, 'until Ctrl-C';
$rig->forget($pid);
like $rig->read_file('log/forward.log'), qr/5 of 5 events were answered with 2xx/, 'with a sum';
done_testing;
