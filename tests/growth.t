# SPDX-License-Identifier: ISC
#
# Memory does not grow with the number of events: the peak of each program's heap, by valgrind's massif, is the same for few
# events and for many. The responder; the worker with a recorder, a handler in the database, one behind HTTP, and a program.
#
#     make check TESTS=tests/growth.t                      some thousand events
#     make check-growth EVENTS=100000                      as many as you say
use v5.36;
use Test::More;
use Callgrind;
use FastCGI;
use Rig;
use Rig::Cand;

Rig->have('valgrind') or plan skip_all => 'valgrind is not installed';
Rig::instrumented() and plan skip_all => 'the sanitizers have a heap of their own';
my $many = $ENV{EVENTS} || 6000;
my $few = 3000;    # more than two batches of the recorder, which are 8 MiB
$many >= 2 * $few or die "EVENTS=$many: at least " . 2 * $few . "\n";
my $rig = Rig->new;
my $dir = $rig->{dir};
my %environment = (env => { Callgrind::environment() }, seconds => 3600);
$rig->cluster;
$rig->conf(log_level => 'error', confine => 'no');    # valgrind makes system calls of its own
$rig->schema;
my $service = Rig::Cand->service($rig);
$rig->write_file('handlers/program', "#!/bin/sh\ncat >/dev/null\n", 0755);
$rig->sql(<<"END");
create function public.look(event candhook.event, bot_token text) returns text language sql as 'select null::text';
select candhook.add_handler('look', 'MOIM', '*', 'sql', 'public.look');
select candhook.add_handler('post', 'MOIM', 'product.rare', 'http', '${\ $service->url }/hook');
select candhook.add_handler('program', 'MOIM', 'product.rare', 'exec', 'program');
END

sub massif ($out) { return ('valgrind', '--tool=massif', '--quiet', '--vgdb=no', "--massif-out-file=$out.%p") }

# The largest heap, in bytes, that any process of the run had.
sub peak ($out) {
    my $peak = 0;
    for my $file (glob "$out.*") {
        open my $in, '<', $file or die "cannot read $file: $!\n";
        while (my $line = <$in>) {
            $peak = $1 if $line =~ /^mem_heap_B=(\d+)/ && $1 > $peak;
        }
        unlink $file;
    }
    $peak > 0 or die "no heap is known of $out\n";
    return $peak;
}

# Posts so many events: on 32 connections, one of twenty for the handlers that are dear, so that their claims are full, too.
sub post ($pid, $events) {
    my @connections = map { FastCGI->new("$dir/candhook.sock") } 1 .. 32;
    my ($common, $rare) = map { $rig->event(type => $_, payload => { id => 'CP:AK290DKFJD', text => 'a word and ' x 700 }) } qw(product.created product.rare);
    for my $first (map { $_ * @connections } 0 .. int(($events - 1) / @connections)) {
        my @batch = splice @{ [@connections] }, 0, $events - $first;
        for my $n (0 .. $#batch) {
            my $body = ($first + $n) % 20 ? $common : $rare;
            $batch[$n]->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path, CONTENT_LENGTH => length $body, DOCUMENT_ROOT => "$dir/htdocs" },
                body => $body, keep => 1);
        }
        $_->answer->{status} == 200 or die "an event was not taken\n" for @batch;
    }
    $rig->stop($pid) or die "the responder did not end\n";
}

sub responder (@before) {
    my $pid = $rig->spawn('responder', \%environment, @before, $rig->program('candhook.fcgi'), '--no-worker', '--listen', "$dir/candhook.sock");
    $rig->wait_for_socket($pid, "$dir/candhook.sock");
    return $pid;
}

# Peaks for so many events: of the responder, which spools them, and of the worker, which does all that is to do with them.
sub peaks ($events) {
    my $out = "$dir/massif.$events";
    post(responder(massif("$out.responder")), $events);
    my ($status, undef, $err) = $rig->run(\%environment, massif("$out.worker"), $rig->program('candhook'), 'work', '--once');
    $status == 0 or die "candhook work --once: $err\n";
    is $rig->sql(q{select count(*) from candhook.outcome where result = 'ok'}), $events + 2 * int(($events + 19) / 20), "$events events are handled";
    $rig->sql('truncate candhook.event, candhook.outcome, candhook_internal.spool_position');
    return map { $_ => peak("$out.$_") } qw(responder worker);
}

my %small = peaks($few);
my %large = peaks($many);
# How much of two batches is in memory at a time differs from run to run by a twelfth.
for my $program (qw(responder worker)) {
    cmp_ok $large{$program}, '<=', $small{$program} * 1.12 + 65536, "the heap of the $program does not grow: $small{$program} bytes for $few events, $large{$program} for $many";
}
done_testing;
