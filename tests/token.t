# SPDX-License-Identifier: ISC
#
# candhook token set: from stdin, and from a terminal, where the token is not echoed, and Ctrl-C ends the prompt and
# leaves the terminal as it was.
use v5.36;
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
done_testing;
