# SPDX-License-Identifier: ISC
#
# candhook web-user: users of the console are added from stdin, and from a terminal, where no password is echoed; listed,
# replaced and removed. No password and no hash is shown, and no password is an argument.
use v5.36;
use JSON::PP ();
use Test::More;
use Rig;

my $rig = Rig->new;
my $dir = $rig->{dir};
$rig->conf(database => 'host=/nowhere');
my ($status, $out, $err, $all);

sub web_user (@arguments) {
    ($status, $out, $err) = $rig->candhook('web-user', @arguments);
    $all .= $out . $err;
    return $status;
}
sub add ($name, $password, @options) { return web_user('add', $name, @options, { stdin => "$password\n" }) }
sub users {
    my $json = ($rig->candhook('web-user', 'list', '--json'))[1];
    return join ' ', map { "$_->{name}=$_->{right}" } @{ JSON::PP->new->decode($json)->{users} };
}
sub mode { return sprintf '%o', (stat "$dir/web.users")[2] & 07777 }

# Whether the hash in the file is that of the password.
sub is_password ($name, $password) {
    my ($hash) = $rig->read_file('web.users') =~ /^\Q$name\E \S+ (\S+)$/m or return 0;
    return crypt($password, $hash) eq $hash;
}

# ---- from stdin ----
is web_user('list'), 0, 'without a file';
like $out, qr/^there is no user: candhook web-user add NAME adds one$/, 'there is no user';
is users(), '', 'nor in JSON';
is add('ann', 'canary-of-ann  '), 0, 'the first one makes the file';
is $out, "the user ann may log in to the console\n", 'and says so';
is mode(), '600', 'closed to others';
ok is_password('ann', 'canary-of-ann'), 'the password is the line without the blanks at its end';
is web_user('add', 'bob@x.y', '--read-only', { stdin => "canary of bob\r\nand more\n" }), 0, 'one who may only read';
is $out, "the user bob\@x.y may log in to the console, and only read\n", 'and says so';
ok is_password('bob@x.y', 'canary of bob'), 'the first line is the password';
is users(), 'ann=full bob@x.y=read-only', 'both are there';
is web_user('list'), 0, 'list';
is $out, "name     right\nann      full\nbob\@x.y  read-only\n", 'shows names and rights';

# ---- what is no password ----
for my $nothing ('', "\n", "  \n", "a-canary\0-x\n") {
    is web_user('add', 'cid', { stdin => $nothing }), 65, 'no password';
    like $err, qr/no password was given/, 'says so';
}
for my $wrong ('canary-12', "canary-\t-tab", "canary-\e[1m-escape", 'c' x 256) {
    is add('cid', $wrong), 65, 'a password that is none';
    like $err, qr/a password has 10 to 255 bytes and no control characters/, 'says what one is';
}
is add('cid', 'c' x 255), 0, 'the longest';
is add('cid', 'canary-of-cid-new'), 65, 'a user who is there';
like $err, qr/there is a user cid already: remove it first \(candhook web-user remove cid\), or say --replace$/, 'says what to do';
ok is_password('cid', 'c' x 255), 'and stays as it was';
is add('cid', 'canary-of-cid-new', '--replace', '-r'), 0, '--replace';
ok is_password('cid', 'canary-of-cid-new'), 'gives it another password';
is users(), 'ann=full bob@x.y=read-only cid=read-only', 'and another right';
is add('dora', 'canary-of-dora', '--replace'), 0, '--replace without such a user adds one';
is mode(), '600', 'the file is still closed to others';

# ---- wrong usage ----
is web_user(@$_, { stdin => "canary-usage\n" }), 64, "wrong usage: web-user @$_"
  for [], ['get'], ['add'], [ 'add', 'eve', 'argument' ], [ 'add', 'a b' ], [ 'add', '' ], [ 'add', '--', '-a' ], [ 'add', 'x' x 65 ],
  [ 'add', 'eve', '--json' ],
  ['remove'], [ 'remove', 'ann', 'bob' ], [ 'remove', 'ann', '--replace' ], [ 'list', 'ann' ], [ 'list', '--read-only' ];

# ---- at a terminal ----
# script(1) runs the command at a terminal of its own. Types each of TYPED at its prompt; returns all that the terminal
# showed, with the exit status and the terminal's settings behind it, and all command lines that ran meanwhile.
sub at_terminal ($name, $user, @typed) {
    pipe my $in, my $keyboard or die "pipe: $!\n";
    my $candhook = $rig->program('candhook');
    my $command = "trap : INT; $candhook web-user add $user; echo status=\$?; stty -a";
    my $pid = $rig->spawn($name, { in => $in }, 'script', '--quiet', '--command', $command, '/dev/null');
    my $seen = sub { $rig->read_file("log/$name.log") };
    my @prompts = (qr/Password of $user: /, qr/The same again: /);
    my $lines = '';
    close $in;
    for my $typed (@typed) {
        my $prompt = shift @prompts;
        $rig->wait_until(sub { $seen->() =~ $prompt }, "$name: it asks");
        $lines .= join "\n", map { tr/\0/ /r } map { $rig->read_file($_) } glob '/proc/[0-9]*/cmdline';
        syswrite $keyboard, $typed;
    }
    $rig->wait_until(sub { $seen->() =~ /status=\d+.* -?iexten/s }, "$name: it ends");
    close $keyboard;
    $rig->wait_pid($pid, 30);
    $rig->forget($pid);
    return ($seen->(), $lines);
}

my ($seen, $lines) = at_terminal('typed', 'fay', "canary of fay \n", "canary of fay \n");
like $seen, qr/^status=0\r$/m, 'typed twice';
ok is_password('fay', 'canary of fay '), 'the password is what was typed';
like $seen, qr/ echo /, 'the echo is on again';
like $lines, qr/web-user add fay/, 'the command is seen by all';
unlike $lines . $seen, qr/canary/, 'and the password by nobody';
($seen) = at_terminal('differs', 'gil', "canary of gil\n", "canary of gill\n");
like $seen, qr/the two passwords differ\r\nstatus=65\r$/m, 'two that differ';
unlike $seen, qr/canary/, 'nothing is echoed';
($seen) = at_terminal('short', 'gil', "canary\n");
like $seen, qr/a password has 10 to 255 bytes.*\r\nstatus=65\r$/m, 'one that is too short is not asked for again';
($seen) = at_terminal('interrupted', 'gil', "canary of gil\n", "canary\cC");
like $seen, qr/^status=130\r$/m, 'Ctrl-C ends it by the signal';
like $seen, qr/ echo /, 'the echo is on again';
($seen) = at_terminal('known', 'ann');
like $seen, qr/there is a user ann already.*\r\nstatus=65\r$/m, 'for a user who is there no password is asked';
is users(), 'ann=full bob@x.y=read-only cid=read-only dora=full fay=full', 'of these one was added';

# ---- remove ----
is web_user('remove', 'bob@x.y'), 0, 'remove';
is $out, "the user bob\@x.y may no longer log in to the console\n", 'says so';
is web_user('remove', 'bob@x.y'), 65, 'twice';
like $err, qr/there is no user bob\@x\.y in \Q$dir\E\/web\.users/, 'is once too often';
web_user('remove', $_) for qw(cid dora fay);
is users(), 'ann=full', 'the other one stays';
unlike $all, qr/canary|\$y\$/, 'nothing showed a password or a hash';

# ---- by hand, and at the same time ----
$rig->write_file('web.users', "# mine\n\n" . $rig->read_file('web.users'));
my @pids;
for my $i (1 .. 4) {
    my $input = $rig->write_file("password-$i", "canary-of-many-$i\n");
    open my $in, '<', $input or die;
    push @pids, $rig->spawn("add-$i", { in => $in }, $rig->program('candhook'), 'web-user', 'add', "many-$i");
}
for my $pid (@pids) {
    is $rig->wait_pid($pid, 60), 0, 'one of four at once';
    $rig->forget($pid);
}
is join(' ', sort split / /, users()), 'ann=full many-1=full many-2=full many-3=full many-4=full', 'all are there';
like $rig->read_file('web.users'), qr/^# mine\n\nann full /, 'and what a person wrote';
is_deeply [ glob "$dir/web.users.*" ], [], 'nothing else is left';

# ---- what is wrong with the file ----
chmod 0644, "$dir/web.users";
for my $command ([ 'add', 'hal' ], ['list'], [ 'remove', 'ann' ]) {
    is web_user(@$command, { stdin => "canary-of-hal\n" }), 65, "a file that others may read: @$command";
    like $err, qr/chmod 600/, 'is refused, with the remedy';
}
chmod 0600, "$dir/web.users";
$rig->write_file('web.users', "ann full canary-in-clear\n");
for my $command ([ 'add', 'hal' ], ['list'], [ 'remove', 'ann' ]) {
    is web_user(@$command, { stdin => "canary-of-hal\n" }), 65, "a wrong line: @$command";
    like $err, qr/web\.users:1: .*no yescrypt hash/, 'is named';
}
is $rig->read_file('web.users'), "ann full canary-in-clear\n", 'and stays as it is';
unlike $all, qr/canary/, 'unseen';
$rig->write_file('victim', "precious\n");
unlink "$dir/web.users";
symlink "$dir/victim", "$dir/web.users.new" or die;
is add('hal', 'canary-of-hal'), 65, 'a symbolic link in the place of the new file';
is $rig->read_file('victim'), "precious\n", 'is not followed';
unlink "$dir/web.users.new";
$rig->conf(database => 'host=/nowhere', web_users => "$dir/nowhere/web.users");
is add('hal', 'canary-of-hal'), 65, 'a folder that is not there';
like $err, qr/cannot write \S+: run this as root, or put web_users into a folder that is the user's own/, 'says what to do';
$rig->conf(database => 'host=/nowhere');

# ---- as root ----
# root manages the users of the rig's user: its file belongs to the owner of the spool, and stays the owner's that it has.
SKIP: {
    skip 'only root can act for others', 11 if !$rig->{user};
    my $uid = $rig->{user}{uid};
    $rig->make_folder('spool');
    my $root = sub (@arguments) {
        local $rig->{user} = undef;
        chown 0, 0, "$dir/candhook.conf";
        return web_user(@arguments);
    };
    is $root->('add', 'ida', { stdin => "canary-of-ida\n" }), 0, 'root adds a user' or diag $err;
    is +(stat "$dir/web.users")[4], $uid, 'the file is the owner\'s of the spool';
    is $root->('list'), 0, 'root lists users';
    like $out, qr/^ida /m, 'who are there';
    is $root->('add', 'joe', { stdin => "canary-of-joe\n" }), 0, 'root adds another';
    is +(stat "$dir/web.users")[4], $uid, 'the file keeps its owner';
    $rig->own("$dir/candhook.conf");
    is users(), 'ida=full joe=full', 'its owner sees both';
    chown 12345, 12345, "$dir/web.users" or die;
    is web_user('list'), 65, 'a file of somebody else';
    is $root->('remove', 'joe'), 0, 'which root can change';
    is +(stat "$dir/web.users")[4], 12345, 'stays that one\'s';
    unlike $all, qr/canary/, 'and shows no password';
}
done_testing;
