# SPDX-License-Identifier: ISC
#
# The units in systemd/: systemd knows every line of them, they are closed as far as they can be, and they say what the
# programs and nginx/upstream.conf say. That a responder works when it is started so is tests/front_nginx_systemd.t's.
use v5.36;
use Test::More;
use Rig;

my $rig = Rig->new;
my @units = map { s{.*/|\.in$}{}gr } sort glob Rig::source_path('systemd/*.in');
is scalar(@units), 7, 'seven units';

# As make fills them in, and as an installation in the rig's folder would have them.
$rig->make_folder('systemd');
my %text = map { $_ => $rig->read_file($rig->fill_shipped("systemd/$_", "systemd/$_")) } @units;
for my $unit (@units) {
    my $built = $rig->read_file(Rig::build_path("systemd/$unit"));
    unlike $built, qr/\@\w+\@/, "$unit: every folder is filled in";
    like $text{$unit}, qr/\A# Where: .*\n# Change: .*\n# Try: .*\n\n\[Unit\]\n/, "$unit begins with the three lines";
}

# ---- what must agree ----
{
    my ($socket) = $text{'candhook.socket'} =~ /^ListenStream=(.+)$/m;
    my ($upstream) = $rig->read_file($rig->fill_shipped('nginx/upstream.conf', 'upstream.conf')) =~ /^\s*server unix:(.+);$/m;
    is $socket, $upstream, 'the socket is the one that nginx connects to';
    my ($web_socket) = $text{'candhook-web.socket'} =~ /^ListenStream=(.+)$/m;
    my ($web_upstream) = $rig->read_file($rig->fill_shipped('nginx/upstream_web.conf', 'upstream_web.conf')) =~ /^\s*server unix:(.+);$/m;
    is $web_socket, $web_upstream, 'so is that of the web';
    like $text{$_}, qr/^SocketMode=0660$/m, "$_ is for the web server only" for 'candhook.socket', 'candhook-web.socket';
    for my $unit (grep { /\.service$/ } @units) {
        my ($program, @words) = split / /, ($text{$unit} =~ /^ExecStart=(.+)$/m)[0];
        my ($status, $out) = $rig->run({}, $program, (grep { !/^-/ } @words), '--help');
        is $status, 0, "$unit: $program is ours";
        like $out, qr/\Q$_\E\b/, "$unit: it has the option $_" for grep { /^-/ && $_ ne '--unless-stopped' } @words;
    }
}

# ---- systemd's own opinion ----
SKIP: {
    skip 'systemd-analyze is not installed', 5 if !$rig->have('systemd-analyze');
    my @files = map { "$rig->{dir}/systemd/$_" } @units;
    my @analyze = (Rig::Front::which('systemd-analyze'));
    my ($status, $out, $err) = $rig->run({}, @analyze, 'verify', '--man=no', @files);
    is "$status $out$err", '0 ', 'systemd-analyze verify says nothing';

    # Exposure in tenths, 0 to 100: more than that, and something that a unit had is gone.
    my %limit = ('candhook.service' => 10, 'candhook-worker.service' => 25, 'candhook-work-once.service' => 25, 'candhook-web.service' => 25);
    my (undef, $help) = $rig->run({}, @analyze, '--help');
    skip 'this systemd-analyze judges no files', 4 if $help !~ /--offline/;
    for my $unit (sort keys %limit) {
        my ($status, $out) = $rig->run({}, @analyze, 'security', '--offline=true', "--threshold=$limit{$unit}", '--no-pager', "$rig->{dir}/systemd/$unit");
        is $status, 0, "$unit: its exposure is at most $limit{$unit} tenths" or diag $out;
    }
}
done_testing;
