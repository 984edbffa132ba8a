# SPDX-License-Identifier: ISC
#
# What an event costs, in instructions: a guard against growing slower by accident, which no busy machine can disturb.
# callgrind counts the responder and the recorder with few and with many events of a fixed kind; the difference, divided by
# that of the events, is the cost of one, without start and end. The costs of today stand in cost.counts.
#
# `own` is what our program executes itself, `all` is with the libraries. The counts repeat within 0.4 %, also on a busy
# machine: what is left is what happens once a second. The tolerances leave room for updates of the compiler and libraries.
use v5.36;
use Test::More;
use Rig;
use Callgrind;
use FastCGI;
use File::Copy ();

my %tolerance = (own => 0.02, all => 0.03);
my $renew = $ENV{COST_RENEW};
my $file = Rig::source_path('tests/cost.counts');

# The counts depend on the compiler and its flags.
sub makefile ($name) {
    open my $in, '<', Rig::build_path('Makefile') or return '';
    while (my $line = <$in>) {
        return $1 =~ s/\s+/ /gr if $line =~ /^\Q$name\E = *(.*?)\s*$/;
    }
    return '';
}

sub compiler {
    my $compiler = makefile('CC');
    my ($version) = `$compiler --version 2>/dev/null` =~ /^(.*)/;
    my ($kind) = ($version // '') =~ /clang/ ? 'clang' : 'gcc';
    chomp(my $number = `$compiler -dumpversion 2>/dev/null`);
    chomp(my $machine = `uname -m`);
    return "$kind-" . ($number =~ s/[.].*//r) . ' ' . (makefile('CFLAGS') =~ /(-O\w*)/ ? $1 : '-O0') . " $machine";
}

sub read_counts {
    my %count;
    open my $in, '<', $file or die "cannot read $file: $!\n";
    while (my $line = <$in>) {
        $count{compiler} = $1 if $line =~ /^compiler (.*)/;
        $count{$1} = { own => $2, all => $3 } if $line =~ /^(\w+)\s+(\d+)\s+(\d+)$/;
    }
    return \%count;
}

Rig->have('valgrind') or plan skip_all => 'valgrind is not installed';
makefile('HARDEN_CFLAGS') =~ /-fsanitize/ and plan skip_all => 'the sanitizers cost instructions, too';
my $known = read_counts();
$renew || $known->{compiler} eq compiler() or plan skip_all => "the counts are those of $known->{compiler}, this is " . compiler();

my $rig = Rig->new;
my $dir = $rig->{dir};
my %environment = (env => { Callgrind::environment() });
$rig->cluster;
$rig->conf(log_level => 'error', confine => 'no');    # valgrind makes system calls of its own
$rig->schema;
# What is recorded has a delivery, and nobody runs it.
$rig->sql(q{create function public.look(event candhook.event, bot_token text) returns text language sql as 'select null::text';
            select candhook.add_handler('look', 'MOIM', 'product.created', 'sql', 'public.look');
            select candhook.disable_handler('look')});

# Secrets that were written just now are read anew each round.
$rig->wait_until(sub { time - (stat "$dir/secrets")[10] >= 4 }, 'the secrets are some seconds old');

# As nginx sends them. Every event has as many bytes as any other.
sub params ($length) {
    return (
        REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path, CONTENT_LENGTH => $length,
        DOCUMENT_ROOT => "$dir/htdocs"
    );
}

sub body ($size) {
    my $empty = $rig->event(payload => { id => 'CP:AK290DKFJD', text => '' });
    return $rig->event(payload => { id => 'CP:AK290DKFJD', text => 'a word and ' x (($size - length $empty) / 11) });
}

sub clear {
    File::Path::remove_tree("$dir/spool");
    $rig->sql('truncate candhook.event, candhook.outcome, candhook.delivery, candhook_internal.spool_position');
}

# The state of a process, as ps shows it.
sub state_of ($pid) {
    open my $in, '<', "/proc/$pid/stat" or return '';
    return (<$in> // '') =~ /.*\) (\S)/ ? $1 : '';
}

# Gives the responder so many rounds, each of one event on each of so many connections: it is stopped while they are sent.
# All of it is over soon, since once a second the responder looks around, which counts, too.
sub rounds ($pid, $rounds, $at_a_time, $body) {
    my @connections = map { FastCGI->new("$dir/candhook.sock") } 1 .. $at_a_time;
    for (1 .. $rounds) {
        if ($at_a_time > 1) {
            kill STOP => $pid;
            1 while state_of($pid) ne 'T' && $rig->running($pid);
        }
        $_->request(params => { params(length $body) }, body => $body, keep => 1) for @connections;
        kill CONT => $pid;
        $_->answer->{status} == 200 or die "the responder did not take an event\n" for @connections;
    }
}

# Under valgrind a process has valgrind's name, but its child is the one that answers all the same: no worker is started.
sub valgrind_child ($pid) {
    my $child;
    $rig->wait_until(sub { ($child) = $rig->children($pid) }, 'a process answers');
    return $child;
}

sub respond ($name, $rounds, $at_a_time, $body, @before) {
    my $pid = $rig->spawn('responder', \%environment, @before, $rig->program('candhook.fcgi'), '--no-worker', '--listen', "$dir/candhook.sock");
    $rig->wait_for_socket($pid, "$dir/candhook.sock");
    my ($answering) = @before ? valgrind_child($pid) : $rig->answering_pid($pid);
    rounds($answering, $rounds, $at_a_time, $body);
    $rig->stop($pid) or die "the responder did not end\n";
    rename "$name.$answering", $name or die "no counts of the process that answers: $!\n" if @before;
}

# The recorder alone: the only process of `work --once`, and no handler is due.
sub record ($events, @before) {
    my ($status, $out, $err) = $rig->run({ %environment, seconds => 300 }, @before, $rig->program('candhook'), 'work', '--once');
    $status == 0 or die "candhook work --once: $out$err\n";
    is $rig->sql('select count(*) from candhook.delivery'), $events, "$events are recorded";
}

# Each is a run with N events: where its counts go is the argument.
my ($small, $large) = (body(300), body(30_000));
my @cases = (
    { name => 'responder_1',    what => 'the responder, one event a round',  few => 128, many => 2048,
        run => sub ($n, $out) { respond($out, $n, 1, $small, Callgrind::command("$out.%p")) }, program => 'candhook.fcgi' },
    { name => 'responder_32',   what => 'the responder, 32 events a round',  few => 320, many => 3200,
        run => sub ($n, $out) { respond($out, $n / 32, 32, $small, Callgrind::command("$out.%p")) }, program => 'candhook.fcgi' },
    { name => 'responder_30kB', what => 'the responder, 16 events of 30 kB a round',  few => 64, many => 640,
        run => sub ($n, $out) { respond($out, $n / 16, 16, $large, Callgrind::command("$out.%p")) }, program => 'candhook.fcgi' },
    { name => 'recorder',       what => 'the recorder', few => 512, many => 2560,
        run => sub ($n, $out) { respond($out, $n / 64, 64, $small); record($n, Callgrind::command($out)) }, program => 'candhook' },
    { name => 'recorder_30kB',  what => 'the recorder, events of 30 kB', few => 64, many => 256,
        run => sub ($n, $out) { respond($out, $n / 64, 64, $large); record($n, Callgrind::command($out)) }, program => 'candhook' },
);

sub kept ($name) { return Rig::build_path("tests/cost_$name.callgrind") }

sub cost ($case) {
    my @counts;
    for my $events (@$case{qw(few many)}) {
        my $out = "$dir/$case->{name}.$events";
        clear();
        $case->{run}->($events, $out);
        push @counts, Callgrind::count($out, $rig->program($case->{program}));
    }
    File::Copy::copy("$dir/$case->{name}.$case->{many}", kept($case->{name}));
    return { map { $_ => int(($counts[1]{$_} - $counts[0]{$_}) / ($case->{many} - $case->{few}) + 0.5) } qw(own all) };
}

sub compare ($case, $cost) {
    for my $part (qw(own all)) {
        my ($was, $is) = ($known->{ $case->{name} }{$part} // 0, $cost->{$part});
        my $change = $was ? $is / $was - 1 : 1;
        ok(abs $change <= $tolerance{$part}, sprintf '%s: %s instructions an event (%s)', $case->{what}, $is, $part) or diag sprintf
          "it was %d, that is %+.1f %%, and may differ by %.0f %%. Where they go:\n    callgrind_annotate %s\n"
          . "If that is as it should be, write the new counts and commit them with the change that they are due to:\n"
          . '    COST_RENEW=1 make check TESTS=tests/cost.t', $was, 100 * $change, 100 * $tolerance{$part}, kept($case->{name});
    }
}

my %cost = map { $_->{name} => cost($_) } @cases;
if ($renew) {
    open my $out, '>', $file or die "cannot write $file: $!\n";
    print {$out} "# Instructions of one event, as tests/cost.t counts them: of our program itself, and with the libraries.\n",
      'compiler ', compiler(), "\n", map { sprintf "%-16s %8d %8d\n", $_->{name}, $cost{ $_->{name} }{own}, $cost{ $_->{name} }{all} } @cases;
    close $out or die "cannot write $file: $!\n";
    pass "the counts are written to $file";
} else {
    compare($_, $cost{ $_->{name} }) for @cases;
}
done_testing;
