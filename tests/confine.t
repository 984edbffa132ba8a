# SPDX-License-Identifier: ISC
#
# The confinement of the process that answers: what a stranger could do who had taken it over, in a build with a hole; that
# all it has to do works inside; and that it never holds the database's password.
use v5.36;
no warnings 'portable';
use Test::More;
use FastCGI;
use Rig;

Rig::instrumented() and plan skip_all => 'what sanitizers and coverage write, no confined process may';
my $rig = Rig->new;
my $dir = $rig->{dir};
my $canary = 'canary-' . Rig::random_word(20);
$rig->cluster;
$rig->conf(database => $rig->conninfo(password => $canary), confine => 'yes');
$rig->schema;
$rig->install_program(Rig::build_path('tests/hole'), 'hole.fcgi');

sub start ($program = 'candhook.fcgi') {
    my $pid = $rig->spawn($program, $rig->program($program), '--listen', "$dir/candhook.sock");
    $rig->wait_for_socket($pid, "$dir/candhook.sock");
    $rig->wait_until(sub { log_text() =~ /responder=started/ }, 'it has started');
    return $pid;
}

sub log_text { return $rig->read_file('log/candhook.log') }

sub ask ($path) {
    my $body = $rig->event;
    my $connection = FastCGI->new("$dir/candhook.sock");
    $connection->request(
        params => { REQUEST_METHOD => 'POST', REQUEST_URI => $path, CONTENT_LENGTH => length $body, DOCUMENT_ROOT => "$dir/htdocs" },
        body   => $body
    );
    return $connection->answer->{status};
}

sub status_of ($pid) { return { $rig->read_file("/proc/$pid/status") =~ /^(\w+):\s+(.*)$/mg } }

my $monitor = start();
my ($in_force) = log_text() =~ /responder=started .* confined=(\S+)/;
my ($responder) = $rig->answering_pid($monitor);

# ---- in force, and said ----
is $in_force =~ /^no_new_privs/ ? status_of($responder)->{NoNewPrivs} : 1, 1, "no_new_privs ($in_force)";
is status_of($responder)->{Seccomp}, 2, 'seccomp';
like $in_force, qr/seccomp$/, 'both are in the line of its start';
my $has_landlock = syscall(444, 0, 0, 1) > 0;    # landlock_create_ruleset, asked for its version
is $in_force =~ /landlock/ ? 1 : 0, $has_landlock ? 1 : 0, 'Landlock where the kernel has it';
is status_of($monitor)->{Seccomp}, 0, 'the monitor is free';
is ask($rig->path), 200, 'an event is taken';
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.event') == 1 }, 'it is recorded');
is status_of($_)->{NoNewPrivs}, 0, 'and so are the worker and its runners, or no handler could use sudo' for $rig->workers;
like +($rig->candhook('doctor'))[1], qr/responder +process $responder is confined: .*seccomp/, 'doctor tells it';

# ---- no password ----
SKIP: {
    $> == 0 or skip 'only root reads the memory of a process that dumps no core', 2;
    for my $pid ($monitor, $responder) {
        open my $memory, '<:raw', "/proc/$pid/mem" or die "no memory of $pid: $!\n";
        my ($found, $read) = (0, 0);
        for my $range ($rig->read_file("/proc/$pid/maps") =~ /^([0-9a-f]+-[0-9a-f]+) r/mg) {
            my ($from, $to) = map { hex } split /-/, $range;
            next if $to - $from > 1 << 28 || !sysseek $memory, $from, 0;
            $read += sysread($memory, my $bytes, $to - $from) // next;
            $found += () = $bytes =~ /\Q$canary\E/g;
        }
        cmp_ok $read, '>', 1e6, 'its memory was read';
        is $found, 0, ($pid == $monitor ? 'the monitor' : 'the responder') . ' does not hold the password of the database';
    }
}

# ---- what it must open again ----
my $other = 'another-secret-' . Rig::random_word(10);
$rig->write_file('secrets', "$other other\n");
$rig->wait_until(sub { ask("/candhook/$other") == 200 }, 'a new secret is in force');
is ask($rig->path), 404, 'and the old one is not';
rename "$dir/log/candhook.log", "$dir/log/old.log" or die;
my $faults = 0;    # the log looks once a second whether its file is there
$rig->wait_until(sub { $rig->write_file('secrets', 'short' . ++$faults . "\n"); ask("/candhook/$other"); log_text() =~ /url_secrets=kept/ }, 'it writes to the new file');
pass 'also when the log was rotated, it says what is wrong with the secrets';
unlink "$dir/secrets";
$rig->wait_until(sub { ask("/candhook/$other"); log_text() =~ /there is no file of URL secrets/ }, 'it says that they are gone');
is ask("/candhook/$other"), 200, 'and keeps the old ones in force';
$rig->write_file('secrets', "$rig->{secret} rig\n");
ok $rig->stop($monitor), 'it ends in good order';

# ---- the hole ----
$rig->write_file('victim', 'kept');
my @attempts = map { [ split / / ] } (
    "read $dir/candhook.conf", "read $dir/secrets", "read /etc/passwd", "read /proc/self/environ", "write $dir/victim", "write $dir/handlers/new",
    "unix $dir/.s.PGSQL.5432", 'tcp', 'exec /bin/true', 'ptrace', 'kill', 'code'
);
my $landlock = $in_force =~ /landlock/;
diag 'this kernel has no Landlock' if !$landlock;

sub holes ($confine) {
    $rig->conf(database => $rig->conninfo, confine => $confine);
    unlink "$dir/log/candhook.log";
    my $hole = start('hole.fcgi');
    my %said;
    for my $attempt (@attempts) {
        my ($what, $path) = (@$attempt, '');
        is ask("/hole/$what$path"), 404, "asked for $what $path";
        ($said{"$what $path"}) = (log_text() =~ /hole=$what path=(?:\Q$path\E|"\Q$path\E") result=(\w+)/)[0];
    }
    is ask($rig->path), 200, 'it still answers';
    $rig->stop($hole);
    return \%said;
}

my $free = holes('no');
my $confined = holes('yes');
like log_text(), qr/confined=\Q$in_force\E/, 'confined';
for my $attempt (@attempts) {
    my ($what, $path) = (@$attempt, '');
    is $free->{"$what $path"}, 'done', "free: $what $path" unless $what eq 'ptrace';    # which some hosts forbid to all
    next if !$landlock && $what =~ /^(?:read|write)/;
    is $confined->{"$what $path"}, 'denied', "confined: $what $path";
}
done_testing;
