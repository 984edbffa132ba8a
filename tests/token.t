# SPDX-License-Identifier: ISC
#
# candhook token: set from stdin, and from a terminal, where the token is not echoed, and Ctrl-C ends the prompt and leaves
# the terminal as it was; list, history, revoke and remove, which show no token.
use v5.36;
use JSON::PP ();
use Test::More;
use Rig;

my $rig = Rig->new;
my $dir = $rig->{dir};
$rig->cluster;
$rig->conf;
$rig->schema;
sub stored ($community = 'G1') { return $rig->sql("select token from candhook.bot_token where origin_community_id = '$community'") }

# ---- from stdin ----
my ($status, $out, $err) = $rig->candhook('token', 'set', 'G1', { stdin => "from-a-file\r\nand more\n" });
is $status, 0, 'from stdin';
is stored(), 'from-a-file', 'the first line is the token';
like $out, qr/the bot token of G1 is stored/, 'it says so';
unlike $out . $err, qr/from-a-file/, 'and does not show it';
for my $nothing ('', "\n", "a\0b\n") {
    is +($rig->candhook('token', 'set', 'G1', { stdin => $nothing }))[0], 65, 'no token';
}
is +($rig->candhook('token', 'set', 'G1', { stdin => "with blanks\n" }))[0], 70, 'a token that the database refuses';
is +($rig->candhook('token', @$_))[0], 64, "wrong usage: token @$_" for [], ['set'], [ 'get', 'G1' ], [ 'set', 'G1', 'token' ];
is stored(), 'from-a-file', 'the old one stays';

# ---- at a terminal ----
# script(1) runs the command at a terminal of its own. Types TYPED when the prompt is there; returns all that the
# terminal showed, with the exit status and the terminal's settings behind it.
sub at_terminal ($name, $typed) {
    pipe my $in, my $keyboard or die "pipe: $!\n";
    my $candhook = $rig->program('candhook');
    my $pid = $rig->spawn($name, { in => $in }, 'script', '--quiet', '--command', "trap : INT; $candhook token set G1; echo status=\$?; stty -a", '/dev/null');
    close $in;
    $rig->wait_until(sub { $rig->read_file("log/$name.log") =~ /Bot token of G1: / }, "$name: it asks");
    syswrite $keyboard, $typed;
    $rig->wait_until(sub { $rig->read_file("log/$name.log") =~ /status=\d+.* -?iexten/s }, "$name: it ends");
    close $keyboard;
    $rig->wait_pid($pid, 30);
    $rig->forget($pid);
    return $rig->read_file("log/$name.log");
}

my $seen = at_terminal('typed', "typed-token\n");
like $seen, qr/^status=0\r$/m, 'typed';
is stored(), 'typed-token', 'it is stored';
unlike $seen, qr/typed-token/, 'nothing is echoed';
like $seen, qr/ echo /, 'the echo is on again';
$seen = at_terminal('interrupted', "typed-half\cC");
like $seen, qr/^status=130\r$/m, 'Ctrl-C ends it by the signal';
is stored(), 'typed-token', 'nothing is stored';
unlike $seen, qr/typed-half/, 'nothing is echoed';
like $seen, qr/ echo /, 'the echo is on again';

# ---- scopes and expiry ----
sub row ($community) { return $rig->sql("select valid, how, scopes, expires_at at time zone 'UTC' from candhook.bot_token where origin_community_id = '$community'") }
sub set ($community, @options) { return $rig->candhook_ok('token', 'set', $community, @options, { stdin => "canary-of-$community\n" }) }
is row('G1'), 't|command||', 'nothing is known of it';
set('G2', '--scope', 'webhook:MOIM:product', '-s', 'bot:MOIM:product:read', '--expires', '2100-01-31');
is row('G2'), 't|command|{bot:MOIM:product:read,webhook:MOIM:product}|2100-01-31 00:00:00', 'scopes and a day';
set('G3', '--expires', '1999-12-31T23:59:58Z', '--scope', 'x');
is row('G3'), 'f|command|{x}|1999-12-31 23:59:58', 'a time, which is over';
is +($rig->candhook('token', @$_, { stdin => "x\n" }))[0], 64, "wrong usage: token @$_" for [ 'set', 'G1', '--scope', 'a b' ], [ 'set', 'G1', '--scope', '' ],
  [ 'set', 'G1', '--expires', 'soon' ], [ 'set', 'G1', '--expires', '2027-13-01' ], [ 'set', 'G1', '--expires', '2027-02-30' ], [ 'set', 'G1', '--expires', '2027-01-01x' ], [ 'set', 'G1', '--json' ],
  [ 'list', 'G1' ], [ 'list', '--scope', 'a' ], ['revoke'], ['remove'], [ 'revoke', 'G1', 'G2' ], [ 'revoke', 'G1', '--json' ], [ 'history', 'G1', 'G2' ];

# ---- list and history ----
my $all = '';
sub said (@arguments) {
    my ($status, $out, $err) = $rig->candhook('token', @arguments);
    $all .= $out . $err;
    return ($status, $out, $err);
}
sub json (@arguments) { return JSON::PP->new->decode((said(@arguments, '--json'))[1])->{tokens} }
($status, $out) = said('list');
is $status, 0, 'list';
my $time = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/;
my @lines = split /\n/, $out;
like shift @lines, qr/^community  state    how      stored {16}expires {15}scopes$/, 'the titles are above the columns' or diag $out;
like $lines[0], qr/^G1 {9}valid    command  $time  - {21}-$/, 'one of which nothing is known';
like $lines[1], qr/^G2 {9}valid    command  $time  2100-01-31T00:00:00Z  bot:MOIM:product:read webhook:MOIM:product$/, 'one with scopes';
like $lines[2], qr/^G3 {9}expired  command  $time  1999-12-31T23:59:58Z  x$/, 'one that has expired';
is scalar @lines, 3, 'no more';
my $list = json('list');
is_deeply [ map { [ map { ref($_) ? "@$_" : $_ // '-' } @$_{qw(community state how expires_at scopes)} ] } @$list ],
  [ [ 'G1', 'valid', 'command', '-', '-' ], [ 'G2', 'valid', 'command', '2100-01-31T00:00:00Z', 'bot:MOIM:product:read webhook:MOIM:product' ], [ 'G3', 'expired', 'command', '1999-12-31T23:59:58Z', 'x' ] ],
  'as JSON';
is_deeply [ sort keys %{ $list->[0] } ], [qw(community expires_at how scopes state stored_at)], 'the members';
set('G2');
($status, $out) = said('history', 'G2');
@lines = split /\n/, $out;
like $lines[0], qr/^community  state     how      stored {16}by +ended {17}expires {15}scopes$/, 'history' or diag $out;
like $lines[1], qr/^G2 {9}replaced  command  $time  \S+ +$time  2100-01-31T00:00:00Z  bot:\S+ webhook:\S+$/, 'the one before';
like $lines[2], qr/^G2 {9}valid     command  $time  \S+ +- {21}- {21}-$/, 'and the one now';
is scalar @lines, 3, 'of that community';
is_deeply [ map { "$_->{community} $_->{state}" } @{ json('history') } ],
  [ 'G1 replaced', 'G1 valid', 'G2 replaced', 'G2 valid', 'G3 expired' ], 'of all, as JSON';
is_deeply [ sort keys %{ json('history')->[0] } ], [qw(community ended_at expires_at how scopes state stored_at stored_by)], 'the members';

# ---- revoke and remove ----
($status, $out) = said('revoke', 'G2');
is "$status $out", "0 the bot token of G2 is revoked: what needs it is held until another one is stored\n", 'revoke';
is row('G2'), 'f|command||', 'it is not valid';
($status, $out, $err) = said('revoke', 'G2');
is $status, 65, 'twice: 65';
like $err, qr/there is no valid bot token of G2/, 'and why';
is +(said('remove', 'G2'))[0], 0, 'remove';
is stored('G2'), '', 'it is gone';
is +(said('remove', 'G2'))[0], 65, 'twice: 65';
is_deeply [ map { $_->{state} } @{ json('history', 'G2') } ], [ 'replaced', 'revoked' ], 'the history stays';
unlike $all, qr/canary|typed-token/, 'nothing showed a token';
said('remove', $_) for 'G1', 'G3';
like +(said('list'))[1], qr/^there is no bot token: candhook token set/, 'none';
is_deeply json('list'), [], 'as JSON';

# ---- rights ----
for my $role (qw(reader admin worker)) {
    $rig->sql("create role my_$role login; grant candhook_$role to my_$role");
    $rig->conf(database => $rig->conninfo(user => "my_$role"));
    is +(said('history'))[0], $role eq 'worker' ? 70 : 0, "$role: history";
    is +($rig->candhook('token', 'set', 'G1', { stdin => "x\n" }))[0], $role eq 'admin' ? 0 : 70, "$role: set";
    is +(said('revoke', 'G1'))[0], $role eq 'admin' ? 0 : 70, "$role: revoke";
    is +(said('remove', 'G1'))[0], $role eq 'admin' ? 0 : 70, "$role: remove";
}
done_testing;
