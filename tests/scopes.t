# SPDX-License-Identifier: ISC
#
# candhook scopes and authorize-url: what the enabled handlers need, and the URL that asks for it, with PKCE.
use v5.36;
use Test::More;
use Digest::SHA qw(sha256_base64);
use HandlerRig;

my $rig = HandlerRig->new;
sub scopes { my ($status, $out, $err) = $rig->candhook('scopes'); die $err if $status; return ([ split /\n/, $out ], $err) }

my ($none, $said) = scopes();
is_deeply $none, [], 'no handler, no scope';
like $said, qr/no enabled handler/, 'and it says so';
my @command = ('authorize-url', '--client-id', 'app 1&', '--redirect-uri', 'https://app.example/back?x=1');
unlike $rig->candhook_ok(@command), qr/scope=/, 'and none in the URL';
my %handler = (kind => 'http', target => 'http://localhost/');
$rig->handler('created', %handler, type => 'product.created');
$rig->handler('all of it', %handler, type => 'product.*');
$rig->handler('paid', %handler, type => 'payment.paid');
$rig->handler('off', %handler, type => 'message.created', enabled => 'false');
$rig->handler('other', %handler, module => 'ZINE', type => 'issue.printed');
is_deeply +(scopes())[0], [qw(webhook:MOIM:payment webhook:MOIM:product webhook:ZINE:issue)], 'each once, of those that are enabled';
$rig->handler('any', %handler, module => '*', type => '*');
($none, $said) = scopes();
my %have = map { $_ => 1 } @$none;
ok $have{"webhook:MOIM:$_"}, "$_ for *" for qw(members product payment conversation content);
like $said, qr/others may exist/, 'and that there may be more';
$rig->sql("delete from candhook.handler where name in ('any', 'other')");
$rig->conf(webhook_scope => 'hook/{area}@{module}');
is_deeply +(scopes())[0], ['hook/payment@MOIM', 'hook/product@MOIM'], 'the rule is a setting';
$rig->conf;

my ($status, $out, $err) = $rig->candhook(@command, '--scope', 'bot:MOIM:product:read', '--community', 'G1');
is $status, 0, 'a URL';
chomp $out;
my ($base, $query) = split /\?/, $out, 2;
is $base, 'https://canpass.me/oauth2/authorize', 'of the documented address';
unlike $query, qr/[^A-Za-z0-9._~%&=-]/, 'well escaped';
my %parameter = map { my ($name, $value) = split /=/; ($name, $value =~ s/%(..)/chr hex $1/ger) } split /&/, $query;
my ($verifier) = $err =~ /^code_verifier=(\S+)$/m;
my ($state) = $err =~ /^state=(\S+)$/m;
like $verifier, qr/^[A-Za-z0-9_-]{43}$/, 'the verifier is printed apart';
is_deeply \%parameter,
  {
    response_type         => 'code',
    client_id             => 'app 1&',
    redirect_uri          => 'https://app.example/back?x=1',
    scope                 => 'bot:MOIM:product:read webhook:MOIM:payment webhook:MOIM:product',
    state                 => $state,
    code_challenge        => sha256_base64($verifier) =~ tr{+/}{-_}r,
    code_challenge_method => 'S256',
    community_id          => 'G1',
  },
  'with all that it needs';
($status, $out) = $rig->candhook(@command, '--json');
my $answer = JSON::PP::decode_json($out);
is_deeply [ sort keys %$answer ], [qw(code_verifier state url)], 'as JSON';
isnt $answer->{state}, $state, 'with a new state';
is +($rig->candhook('authorize-url', '--client-id', 'x'))[0], 64, 'what is needed is asked for';
$rig->conf(authorize_url => 'https://platform.example:99999/oauth2');
is +($rig->candhook(@command))[0], 70, 'an address that is no URL after all';
# A user that may see the schema, and not what the handlers need.
$rig->sql('create role stranger login; grant usage on schema candhook, candhook_internal to stranger; grant execute on function candhook.version() to stranger');
$rig->conf(database => $rig->conninfo(user => 'stranger'));
is +($rig->candhook(@$_))[0], 70, "without the right: $_->[0]" for ['scopes'], \@command, [ 'api', 'GET', '/me', '--community', 'G1' ],
  [ 'forward', '--since', '1h', '--to', 'http://127.0.0.1:1/' ];
is +($rig->candhook(@command, '--scope', 'two words'))[0], 64, 'no scope';
done_testing;
