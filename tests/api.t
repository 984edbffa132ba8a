# SPDX-License-Identifier: ISC
#
# candhook api: calls of the canD API with a community's token, by people and by exec handlers; messages and exit statuses of
# what goes wrong; a token that is refused; and no output has a token.
use v5.36;
use Test::More;
use HandlerRig;
use Rig::Cand;

my $rig = HandlerRig->new;
my $api = Rig::Cand->api($rig, tokens => ['api-secret-1234567890']);
$rig->conf(api_url => $api->url);
my ($status, $out, $err);
sub call (@arguments) { ($status, $out, $err) = $rig->candhook('api', @arguments); return $status }

is call('GET', '/products/CP:1', '--community', 'G1'), 65, 'without a token';
like $err, qr/no valid bot token of G1.*candhook token set G1/, 'it says how to store one';
$rig->token('api-secret-1234567890', 'G1');
is call('GET', '/products/CP:1', '--community', 'G1'), 0, 'with one';
is JSON::PP::decode_json($out)->{id}, 'CP:1', 'the answer is printed';
is $err, '', 'and nothing else';
my ($got) = $api->requests;
is $got->{headers}{authorization}, 'Bearer api-secret-1234567890', 'the token is sent';
is $got->{headers}{'x-can-community-id'}, 'G1', 'with the community';
is call('POST', '/candies/C1/grant', '-c', 'G1', '--profile', 'UP', '--data', '{"amount":5}', '-i'), 0, 'a POST';
like $err, qr/^HTTP 200/, 'its status, when asked for';
($got) = $api->requests(qr/grant/);
is_deeply [ $got->{body}, @{ $got->{headers} }{qw(content-type x-can-profile-id)} ], [ '{"amount":5}', 'application/json', 'UP' ], 'what it sends';
is call('POST', '/direct_messages', '-c', 'G1', '-d', '-', { stdin => '{"text":"hi"}' }), 0, 'a body from stdin';
is +($api->requests(qr/direct/))[0]{body}, '{"text":"hi"}', 'as it is';
$rig->write_file('body.json', '{"text":"file"}');
is call('POST', '/direct_messages', '-c', 'G1', '-d', "\@$rig->{dir}/body.json"), 0, 'a body from a file';
is +($api->requests(qr/direct/))[1]{body}, '{"text":"file"}', 'as it is';

is call('GET', '/products/missing', '-c', 'G1'), 1, 'an answer that is none of success';
like $err, qr/^HTTP 404/, 'is said';
is call('GET', $_, '-c', 'G1'), 64, "no path: $_" for 'products', '/../me', '/a/%2e%2E/b', 'http://elsewhere.invalid/', "/a b";
is call('GET', '/me'), 64, 'whose token?';
like $err, qr/--community/, 'is asked';
$api->on({ path => '^/me', raw => 'garbage' });
is call('GET', '/me', '-c', 'G1'), 69, 'no answer';
$api->on({ path => '^/me', body => 'the token is api-secret-1234567890.' });
is call('GET', '/me', '-c', 'G1'), 0, 'an answer that repeats the token';
is $out, "the token is [token].\n", 'is printed without it';
$api->on;

$api->on({ path => '^/me', status => 200, reason => 'Yes, api-secret-1234567890', body => 'y' });
call('GET', '/me', '-c', 'G1', '--include');
is $err, "HTTP 200 Yes, [token]\n", 'in the reason phrase, too';
$api->on;

# ---- at a terminal ----
$api->on({ path => '^/me', body => "red \e[31m api-secret-1234567890 \a" });
my (undef, $shown) = $rig->run({}, 'script', '--quiet', '--command', $rig->program('candhook') . ' api GET /me -c G1', '/dev/null');
is $shown, "red ?[31m [token] ?\r\n", 'an answer steers no terminal';
$api->on;

# ---- a refused token ----
$api->tokens('another');
is call('GET', '/me', '-c', 'G1'), 1, 'refused';
like $err, qr/HTTP 401.*marked as invalid.*candhook token set G1/s, 'and said';
is $rig->sql("select valid from candhook.bot_token where origin_community_id = 'G1'"), 'f', 'and marked';
is call('GET', '/me', '-c', 'G1'), 65, 'it is not used again';
$rig->token('another', 'G1');
is call('GET', '/me', '-c', 'G1'), 0, 'a new one is';
is $rig->sql(q{select candhook_internal.refuse_bot_token('G1', '2001-01-01')}), 'f', 'a refusal of an older token does not hit the new one';

# ---- a refusal that comes late, or cannot be marked ----
$api->tokens('of nobody');
my $replacing = $rig->psql_session;
$replacing->query(q{begin; select candhook.set_bot_token('G1', 'the-newest');});
my $late = $rig->spawn('late', $rig->program('candhook'), 'api', 'GET', '/me', '-c', 'G1');
$rig->wait_until(sub { $rig->sql(q{select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%refuse_bot_token%'}) == 1 }, 'the refusal waits for a new token');
$replacing->query('commit;');
$replacing->close;
is $rig->wait_pid($late, 30), 1, 'a token that is refused when it has been replaced';
$rig->forget($late);
like $rig->read_file('log/late.log'), qr/the API refused the bot token of G1; another one has been stored since: try again/, 'says so';
is $rig->sql("select valid from candhook.bot_token where origin_community_id = 'G1'"), 't', 'and leaves the new one';
$rig->sql('alter function candhook_internal.refuse_bot_token rename to refuse_away');
is call('GET', '/me', '-c', 'G1'), 1, 'a refusal that the database does not take';
like $err, qr/the API refused the bot token of G1, which could not be recorded: .*refuse_bot_token/, 'says so';
$rig->sql('alter function candhook_internal.refuse_away rename to refuse_bot_token');
$api->tokens('the-newest', 'another');

# ---- an answer that cannot be printed ----
open my $full, '>', '/dev/full' or die;
open my $said, '+>', "$rig->{dir}/said" or die;
my $printing = $rig->start({ out => $full, err => $said }, $rig->program('candhook'), 'api', 'GET', '/me', '-c', 'G1');
is $rig->wait_pid($printing, 30), 74, 'an answer on a full disk';
like $rig->read_file('said'), qr/cannot print the answer: No space left/, 'is not lost silently';
$rig->conf(api_url => $api->url, database => 'host=/nowhere dbname=x');
is call('GET', '/me', '-c', 'G1'), 69, 'no database';

# ---- in an exec handler ----
$rig->conf(api_url => $api->url);
$rig->start_worker;
$rig->handler_file('ask', "#!/bin/sh\nexec $rig->{dir}/bin/candhook api GET /products/CP:7\n");
$rig->handler('ask', kind => 'exec', target => 'ask', needs_token => 'true', max_attempts => 2);
$rig->token('another');
$rig->event_of('ask');
like $rig->settled('ask')->[0], qr/^ok\|.*"CP:7"/, 'it knows its community';
$api->tokens('a-third');
my $refused = $rig->event_of('ask');
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.held where event_id = '$refused'") == 1 }, 'a refused token holds the delivery');
$rig->token('a-third');
$rig->settled('ask', 2);
is $rig->results('ask', $refused)->[-1] =~ s/\|.*//r, 'ok', 'and a new one lets it go on, with all its attempts';
done_testing;
