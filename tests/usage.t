# SPDX-License-Identifier: ISC
#
# What a person at the terminal is told who types something that cannot be meant, or asks where little is set up: the exit
# status, and words that say what to do.
use v5.36;
use Test::More;
use Fcntl            ();
use IO::Socket::UNIX ();
use Rig;
use Rig::Cand;
use Socket qw(SOCK_STREAM);

my $rig = Rig->new;
my $dir = $rig->{dir};
$rig->cluster;

# Runs the program: the exit status, and what is said on either stream.
sub told ($status, $words, @args) {
    my $option = ref $args[-1] ? pop @args : {};
    my ($got, $out, $err) = $rig->candhook(@args, $option);
    is $got, $status, "candhook @args: $status" or diag $out, $err;
    like $out . $err, $words, "candhook @args: says so";
}

# ---- a database of somebody who may make no roles ----
$rig->sql('create role owner login');
$rig->sql('create database theirs owner owner');
$rig->conf(database => $rig->conninfo(dbname => 'theirs', user => 'owner'));
told(0, qr/^candhook init: the user owner may make no roles, so there is no candhook_\w+/m, 'init');
$rig->conf;
$rig->schema;

# ---- candhook itself ----
told(64, qr/^Usage: candhook VERB/m);
told(0, qr/^candhook \d+\.\d+\.\d+$/, '--version');
told(0, qr/^Usage: candhook VERB.*candhook-security\(7\)/s, '--help');
told(64, qr/there is no verb sned; candhook --help lists the verbs/, 'sned');

# ---- verbs ----
told(64, qr/METHOD and PATH are enough; a body goes into --data/, 'api', 'POST', '/products', '{}', '--community', 'G1');
told(64, qr/Usage: candhook api/, 'api', 'GET');
told(64, qr/whose bot token\? Give --community/, 'api', 'GET', '/me');
told(65, qr/the body has a NUL byte/, 'api', 'POST', '/products', '--data', '-', '--community', 'G1', { stdin => "{}\0{}" });
$rig->sql(q{select candhook.set_bot_token('G1', 'a-token')});
told(64, qr/the path holds a #: write it as %23/, 'api', 'GET', '/a#b', '--community', 'G1');
told(64, qr/Usage: candhook url/, 'url', 'make');
told(64, qr/Usage: candhook url/, 'url', 'new', 'label');
told(64, qr/--label is an option of new/, 'url', 'list', '--label', 'x');
told(64, qr/--force is an option of retire/, 'url', 'new', '--force');
told(64, qr/one URL is enough/, 'doctor', '--url', 'http://localhost/a', '--url', 'http://localhost/b');
told(0, qr/no worker was running/, 'stop');
told(78, qr/no configuration/, @$_, { env => { CANDHOOK_CONF => "$dir/nowhere" } })
  for ['scopes'], ['stop'], [ 'web-user', 'list' ], [ 'url', 'list' ], ['work'], ['init'], ['status'], [ 'token', 'list' ], [ 'forward', '--since', '1h', '--to', 'http://127.0.0.1:1/' ],
  [ 'authorize-url', '--client-id', 'a', '--redirect-uri', 'https://x/callback' ];

# ---- a worker of somebody else ----
my $whole_file = pack 's s x![q] q q i x![q]', Fcntl::F_WRLCK, 0, 0, 0, 0;
SKIP: {
    skip 'only root can run one', 2 if !$rig->{user};
    my $hold = 'use Fcntl; open my $file, "+>>", shift or die; my $lock = pack "H*", "' . unpack('H*', $whole_file) . '"; fcntl $file, F_SETLK, $lock or die; unlink shift; sleep';
    $rig->write_file('free', '');
    my $holder = do { local $rig->{user} = undef; $rig->spawn('holder', $^X, '-e', $hold, "$dir/spool/worker.lock", "$dir/free") };
    $rig->wait_until(sub { !-e "$dir/free" }, 'root holds the lock');
    told(77, qr/this user may not end the worker \(process $holder\); run this as the user of the worker/, 'stop');
    $rig->stop($holder);
}
unlink "$dir/spool/stopped";

# ---- a worker in another container: such a lock belongs to no process that is known here ----
open my $lock, '+>>', "$dir/spool/worker.lock" or die;
fcntl $lock, 37, my $wanted = $whole_file or die "F_OFD_SETLK: $!";
told(0, qr/^worker +runs, where its process cannot be seen from here$/m, 'status');
close $lock;

# ---- a worker that cannot begin ----
chmod 0755, "$dir/spool";
told(69, qr/\A\z/, 'work', '--unless-stopped');
like $rig->read_file('log/candhook.log'), qr/worker=ended reason=.*is open to other users/, 'whom no person asked for says it in the log';
chmod 0700, "$dir/spool";
$rig->conf(log => "$dir/nowhere/log");
told(78, qr{cannot open .*nowhere/log}, 'work');
$rig->conf;

# ---- without base_url the secret alone is what there is to tell ----
told(0, qr/\A[\w.~-]{32,}\n.*base_url is not set/s, 'url', 'new', '--label', 'alone');
told(0, qr/retired|alone/, 'url', 'retire', 'alone');
told(1, qr/^WRONG +URL +there is none to post to: set base_url, give --url, or set CANDHOOK_URL$/m, 'doctor', '--probe');
$rig->write_file('secrets', "none\n");
told(0, qr/there is no secret, so every event is refused; make one: candhook url new/, 'url', 'list');
$rig->write_file('secrets', "$rig->{secret} rig\n");

# ---- the settings in force, of every kind ----
$rig->conf(client_id => 'two words');
told(78, qr/client_id = "two words".*printable characters without blanks/, 'check-config');
$rig->conf(extra_scopes => 'fine a"quote');
told(78, qr/extra_scopes = .*words of printable characters without quotes/, 'check-config');
$rig->conf(confine => 'maybe');
told(78, qr/confine = "maybe".*yes or no/, 'check-config');
$rig->conf(api_url => 'ftp://x');
told(78, qr{api_url = "ftp://x".*https://HOST/PATH}, 'check-config');
$rig->conf(webhook_scope => 'two words');
told(78, qr/webhook_scope = "two words".*printable characters/, 'check-config');
$rig->conf(confine => 'no');
told(0, qr/^confine = no$/m, 'check-config');

# ---- what doctor says of a front that answers otherwise ----
my $front = Rig::Cand->service($rig);
my %advice = (301 => 'redirection', 400 => 'did not arrive whole', 401 => 'asks for more than the secret', 405 => 'does not let POST through',
    413 => 'max_body', 418 => 'something else than candhook', 500 => 'candhook\.fcgi does not start', 503 => 'could not be made durable');
for my $status (sort keys %advice) {
    $front->on({ status => $status });
    told(1, qr/WRONG.*$advice{$status}/, 'doctor', '--url', $front->url . "/candhook/$rig->{secret}");
}
# An address of this machine that is not known as one.
told(1, qr{^note +URL +http://0\.0\.0\.0:\d+ is not https: the secret travels in clear$}m, 'doctor', '--url', $front->url =~ s/127\.0\.0\.1/0.0.0.0/r . "/candhook/$rig->{secret}");

# ---- the socket of candhook.fcgi ----
sub listen_fails ($socket, $words, $what) {
    my ($status, $out, $err) = $rig->run({}, $rig->program('candhook.fcgi'), '--listen', $socket);
    is $status, 73, $what;
    like $out . $err . $rig->read_file('log/candhook.log'), $words, "$what: says so";
}
listen_fails("$dir/" . 'x' x 100, qr/a unix socket's path has at most 107 bytes/, 'a path too long');
$rig->write_file('plain', '');
listen_fails("$dir/plain", qr/plain exists and is not a socket/, 'a file in its place');
my $other = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "$dir/other.sock", Listen => 1) or die;
listen_fails("$dir/other.sock", qr/another program may be listening on/, 'a socket in use');
listen_fails("$dir/nowhere/x.sock", qr/cannot listen on .*nowhere/, 'a folder that is not there');
my ($status, undef, $err) = $rig->run({}, $rig->program('candhook.fcgi'));
is $status, 64, 'candhook.fcgi by hand, with nothing to listen on';
like $err, qr/was not started by a web server, and --listen is not given/, 'says so';
done_testing;
