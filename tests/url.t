# SPDX-License-Identifier: ISC
#
# candhook url: secrets are made, listed and retired; a responder sees it at once; none is shown twice, and none is lost
# when two are made at the same time.
use v5.36;
use Test::More;
use Rig;

my $rig = Rig->new;
my $dir = $rig->{dir};
$rig->conf(database => 'host=/nowhere', base_url => 'https://your.site/candhook/');
unlink "$dir/secrets";
my ($status, $out, $err);
sub url (@arguments) { ($status, $out, $err) = $rig->candhook('url', @arguments); return $status }

is url('new', '--label', 'first'), 0, 'the first one makes the file';
my ($secret) = $out =~ m{^https://your\.site/candhook/([A-Za-z0-9_-]{43})\n$} or diag $out;
ok $secret, 'the URL, with 256 bits';
is sprintf('%o', (stat "$dir/secrets")[2] & 07777), '600', 'closed to others';
like $rig->read_file('secrets'), qr/^\Q$secret\E first \d{4}-\d\d-\d\dT[\d:]+Z$/m, 'a line in the file';
$rig->responder;
$rig->nginx;
is $rig->post("/candhook/$secret", $rig->event)->{status}, 200, 'a responder knows it';

is url('new', '--label', 'second'), 0, 'another';
my ($other) = $out =~ m{/candhook/(\S+)};
$rig->wait_until(sub { $rig->post("/candhook/$other", $rig->event)->{status} == 200 }, 'it is live without a restart');
is $rig->post("/candhook/$secret", $rig->event)->{status}, 200, 'and so is the first';
is url('new', '--label', 'second'), 65, 'a label twice';
like $err, qr/label second already/, 'is refused';
is url('new', '--label', 'no blanks'), 64, 'no label';
is url('new'), 0, 'one without a label';
my ($third) = $out =~ m{/candhook/(\S+)};

is url('list'), 0, 'the list';
unlike $out, qr/\Q$_\E/, 'shows no secret whole' for $secret, $other, $third;
like $out, qr/^first\s+\Q${\substr $secret, 0, 4}\E\.\.\.\s+\d{4}-\S+Z\s+\d{4}-\S+Z$/m, 'label, beginning, when it was made and used';
like $out, qr/^\(no label\)\s+\Q${\substr $third, 0, 4}\E\.\.\.\s+\S+\s+never$/m, 'or never';

is url('retire', 'nobody'), 65, 'one that is not there';
like $err, qr/there are: first \(.*second \(/, 'lists those that are';
is url('retire', 'first'), 0, 'by its label';
$rig->wait_until(sub { $rig->post("/candhook/$secret", $rig->event)->{status} == 404 }, 'it is dead without a restart');
is $rig->post("/candhook/$other", $rig->event)->{status}, 200, 'the other lives';
is url('retire', substr $third, 0, 4), 0, 'by its beginning';
is url('retire', 'second'), 65, 'not the last one';
like $err, qr/last one.*--force/, 'unless it is meant';
is url('retire', 'second', '--force'), 0, 'it is';
$rig->wait_until(sub { $rig->post("/candhook/$other", $rig->event)->{status} == 404 }, 'then nothing is taken');
like $rig->read_file('secrets'), qr/^none$/m, 'and the file says that it is meant';

# ---- by hand, and at the same time ----
$rig->write_file('secrets', "# mine\nabcdefghijklmnop  hand\n");
my @pids = map { $rig->spawn("new-$_", $rig->program('candhook'), 'url', 'new', '--label', "label-$_") } 1 .. 6;
for my $pid (@pids) {
    is $rig->wait_pid($pid, 60), 0, 'one of six at once';
    $rig->forget($pid);
}
my $text = $rig->read_file('secrets');
is scalar(() = $text =~ /^\S{43} label-\d /mg), 6, 'all are there';
like $text, qr/^# mine\nabcdefghijklmnop  hand\n/, 'and what a person wrote';
is_deeply [ glob "$dir/secrets.*" ], [], 'nothing else is left';
is url('list'), 0, 'the list';
like $out, qr/^hand\s+abcd\.\.\.\s+not known.*short: make a new one/m, 'tells of a short one';
chmod 0644, "$dir/secrets";
for my $action ('new', 'list') {
    is url($action), 65, "$action: a file that others may read";
    like $err, qr/chmod 600/, 'is refused, with the remedy';
}
chmod 0600, "$dir/secrets";

# ---- what cannot be taken out or added ----
$rig->write_file('secrets', 'a' x 32 . " twin\n" . 'b' x 32 . " twin\n  none \n");
is url('retire', 'twin'), 65, 'a label of two';
like $err, qr/twin is more than one: twin \(aaaa\.\.\.\), twin \(bbbb\.\.\.\)/, 'names both';
$rig->write_file('secrets', "none\n");
is url('retire', 'twin'), 65, 'when there is none';
like $err, qr/holds no URL secret/, 'it says so';
is url('new', '--label', 'one'), 0, 'a new one';
unlike $rig->read_file('secrets'), qr/none/, 'ends that';
$rig->write_file('secrets', join '', map { sprintf "%032d label-%d\n", $_, $_ } 1 .. 100);
is url('new'), 65, 'after a hundred';
like $err, qr/holds 100 secrets, and more are not taken/, 'no more are taken';
$rig->write_file('secrets', 'c' x 32 . " fits\n" . "# a comment\n" x 5_455);
is url('new'), 65, 'in a file that is full';
like $err, qr/would be longer than it may be/, 'nothing is added';
$rig->write_file('secrets', 'd' x 32 . " one\n");

# ---- what lies in the place of the new file, and was not made by this program ----
$rig->write_file('victim', "precious\n");
link "$dir/victim", "$dir/secrets.new" or die;
is url('new', '--label', 'linked'), 0, 'a hard link to another file';
is $rig->read_file('victim'), "precious\n", 'which stays as it is';
is +(stat "$dir/victim")[3], 1, 'and is linked no more';
like $rig->read_file('secrets'), qr/ linked /, 'the secret is in the right one';
$rig->write_file('secrets.new', '', 0666);
open my $spy, '<', "$dir/secrets.new" or die;
is url('new', '--label', 'spied'), 0, 'a file that somebody has open';
is join('', <$spy>), '', 'they read nothing';
like $rig->read_file('secrets'), qr/ spied /, 'of the secret';
symlink "$dir/victim", "$dir/secrets.new" or die;
is url('new', '--label', 'symbolic'), 65, 'a symbolic link';
is $rig->read_file('victim'), "precious\n", 'is not followed';
unlink "$dir/secrets.new";

# ---- where no file can be ----
$rig->conf(database => 'host=/nowhere', url_secrets => "$dir/nowhere/secrets");
is url('new'), 65, 'a folder that is not there';
like $err, qr/cannot write \S+nowhere\S+: run this as root, or put url_secrets into a folder that is the user's own: No such file/, 'is said at once';
$rig->conf(database => 'host=/nowhere', base_url => 'https://your.site/candhook/');

# ---- a secret that begins with a dash: none is made, and one that a person wrote can be retired ----
$rig->write_file('secrets', '');
url('new') == 0 or die $err for 1 .. 80;
my @dashed = $rig->read_file('secrets') =~ /^(-.*)/mg;
is_deeply \@dashed, [], 'no secret that is made begins with a dash';
$rig->write_file('secrets', '-' x 32 . " dashed\n" . 'x' x 32 . " other\n");
is url('retire', '--', '----'), 0, 'one that does is retired behind --';
is $rig->read_file('secrets') =~ s/\n//r, 'x' x 32 . ' other', 'and the other one stays';
done_testing;
