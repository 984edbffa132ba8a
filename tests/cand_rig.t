#!/usr/bin/env perl
# SPDX-License-Identifier: ISC
#
# The server that the other tests take for the canD API and for a customer's web service: what they rely on.
use v5.36;
use HTTP::Tiny;
use JSON::PP ();
use Test::More;
use Rig;
use Digest::SHA  ();
use MIME::Base64 ();
use Rig::Cand;

my $rig = Rig->new(programs => []);
my $http = HTTP::Tiny->new(timeout => 30, keep_alive => 1, max_redirect => 0);
my %bot = (authorization => 'Bearer one', 'x-can-community-id' => 'G1');

sub ask ($server, $method, $path, $body = undef, %headers) {
    return $http->request($method, $server->url . $path, { headers => \%headers, defined $body ? (content => $body) : () });
}

# ---- the API ----
my $api = Rig::Cand->api($rig, tokens => ['one']);
is ask($api, 'GET', '/me')->{status}, 401, 'no token: 401';
is ask($api, 'GET', '/me', undef, %bot, authorization => 'Bearer two')->{status}, 401, 'an unknown token: 401';
is ask($api, 'GET', '/me', undef, authorization => 'Bearer one')->{status}, 400, 'no community: 400';
my $answer = ask($api, 'GET', '/products/CP:1?x=y', undef, %bot);
is $answer->{status}, 200, 'a product';
is JSON::PP::decode_json($answer->{content})->{id}, 'CP:1', 'is the one that was asked for';
is ask($api, 'GET', '/products/CP:MISSING', undef, %bot)->{status}, 404, 'one that is not there: 404';
is ask($api, 'POST', '/candies/CA:1/grant', '{"amount":3}', %bot)->{content}, '{"amount":3,"candId":"CA:1"}', 'points';
is ask($api, 'POST', '/direct_messages', '[]', %bot)->{status}, 400, 'a body that is no object: 400';
is ask($api, 'GET', '/nothing', undef, %bot)->{status}, 404, 'any other path: 404';
my ($kept) = $api->requests(qr{^/products/CP:1$});
is_deeply [ @$kept{qw(method target path query body status)} ], [ 'GET', '/products/CP:1?x=y', '/products/CP:1', 'x=y', '', 200 ],
  'a request is kept';
is $kept->{headers}{'x-can-community-id'}, 'G1', 'with its headers';
$api->tokens('two');
is ask($api, 'GET', '/me', undef, %bot)->{status}, 401, 'tokens can be changed';

# ---- CANpass ----
my $pass = Rig::Cand->canpass($rig, client_id => 'app', community => 'G1', redirect_uris => ['https://app.example/callback']);
my %form = ('content-type' => 'application/x-www-form-urlencoded');
my $verifier = 'v' x 43;
my $challenge = MIME::Base64::encode_base64url(Digest::SHA::sha256($verifier));
my $ask = "response_type=code&client_id=app&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback&scope=bot%3Aa+webhook%3Ab&state=s&code_challenge=$challenge&code_challenge_method=S256";
sub grant_code { return (ask($pass, 'GET', "/oauth2/grant?$ask")->{headers}{location} =~ /code=(\w+)/)[0] }
sub exchange ($code, %change) {
    my %part = (grant_type => 'authorization_code', client_id => 'app', code => $code, code_verifier => $verifier, redirect_uri => 'https://app.example/callback', %change);
    my $answer = ask($pass, 'POST', '/oauth2/token', join('&', map { "$_=$part{$_}" } grep { defined $part{$_} } sort keys %part), %form);
    return JSON::PP::decode_json($answer->{content});
}
like ask($pass, 'GET', "/oauth2/authorize?$ask")->{content}, qr/<li>bot:a<li>webhook:b.*id="allow".*id="deny"/, 'an admin is asked';
is ask($pass, 'GET', '/oauth2/authorize?' . ($ask =~ s/client_id=app/client_id=other/r))->{status}, 400, 'not for a stranger';
is ask($pass, 'GET', '/oauth2/authorize?' . ($ask =~ s/app\.example/evil.example/r))->{status}, 400, 'nor for another redirect URI';
my $given = exchange(grant_code());
is_deeply [ @$given{qw(community_id scope token_type)} ], [ 'G1', 'bot:a webhook:b', 'Bearer' ], 'a code gives tokens';
like $given->{bot_access_token}, qr/^bot-token-/, 'the bot token among them';
my $code = grant_code();
exchange($code);
is exchange($code)->{error}, 'invalid_grant', 'once';
is exchange(grant_code(), code_verifier => 'w' x 43)->{error}, 'invalid_grant', 'with the verifier of the challenge';
is exchange(grant_code(), redirect_uri => 'https://app.example/other')->{error}, 'invalid_grant', 'with the redirect URI of before';
is exchange(grant_code(), client_id => 'other')->{error}, 'invalid_client', 'for the client that asked';
is exchange(undef, grant_type => 'refresh_token', refresh_token => $given->{refresh_token})->{token_type}, 'Bearer', 'a refresh token gives another user token';
is exchange(undef, grant_type => 'refresh_token', refresh_token => $given->{refresh_token})->{bot_access_token}, undef, 'and no bot token';
$pass->settings(scopes => 'webhook:b');
is exchange(grant_code())->{bot_access_token}, undef, 'without a bot: scope there is no bot token';

# ---- a service, and how it misbehaves ----
my $shop = Rig::Cand->service($rig);
is ask($shop, 'POST', '/hook', "\xff\0")->{status}, 200, 'a service answers 200';
is(($shop->requests)[0]{body}, "\xff\0", 'and keeps the body, byte for byte');
$shop->clear->on({ method => 'POST', path => '^/hook', status => [ 503, 429, undef ], per => 'X-Id', headers => { 'Retry-After' => 7 } });
is_deeply [ map { ask($shop, 'POST', '/hook', '', 'X-Id' => $_)->{status} } 1, 2, 1, 2, 1, 1 ], [ 503, 503, 429, 429, 200, 200 ],
  'a list of statuses for each value of a header';
is ask($shop, 'GET', '/hook')->{status}, 200, 'a rule of another method says nothing';
is ask($shop, 'POST', '/hook', '', 'X-Id' => 3)->{headers}{'retry-after'}, 7, 'headers are given';
is $shop->count, 8, 'clear forgot the one before';
$shop->on({ raw => '' });
is ask($shop, 'POST', '/hook', '')->{status}, 599, 'closed without an answer';
$shop->clear->on({ delay => 0.5 });
my @pids = map {
    my $pid = fork // die;
    if ($pid == 0) { HTTP::Tiny->new->get($shop->url); POSIX::_exit(0) }
    $pid
} 1 .. 4;
waitpid $_, 0 for @pids;
cmp_ok $shop->peak, '>', 1, 'requests are served at the same time';

# ---- down and up ----
my $port = $shop->port;
$shop->on->stop;
is ask($shop, 'GET', '/')->{status}, 599, 'nobody answers while it is stopped, on a kept connection neither';
$shop->start;
is ask($shop, 'GET', '/')->{status}, 200, 'started again it answers';
is $shop->port, $port, 'on the same port';
done_testing;
