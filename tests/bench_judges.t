#!/usr/bin/env perl
# SPDX-License-Identifier: ISC
#
# The benchmark's judgements of what it has measured: figures met and not met, what is flat, what grows faster than the work.
# The numbers are made up, so nothing here is a matter of time.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench/lib";
use Bench::Figures;
use Bench::Scale;
use Bench::Soak;
use Test::More;

# ---- medians ----
is_deeply [ map { Bench::Figures::median(@$_) } [ 3, 1, 2 ], [ 4, 1, 2, 3 ], [ 5, undef ], [] ], [ 2, 2.5, 5, undef ], 'the median, of an even number too';
is_deeply [ map { Bench::Figures::spread(@$_) } [ 8, 10, 12 ], [10], [] ], [ 0.2, 0, 0 ], 'half of the distance between best and worst';

# ---- the figures ----
sub figure ($results, $what) {
    my ($row) = grep { $_->{what} =~ $what } @{ Bench::Figures::figures($results) };
    return $row;
}

sub contender (%rounds) {
    my ($count) = map { scalar @$_ } values %rounds;
    return { rounds => [ map { my $i = $_; +{ map { $_ => $rounds{$_}[$i] } keys %rounds } } 0 .. $count - 1 ] };
}

my $results = {
    contenders => {
        'candhook-keep'  => contender(answers => [ 900, 1500, 1600 ], handled => [ 1490, 1500, 1510 ], cpu => [ 40, 50, 90 ], left => [ 0, 0, 0 ], lost => [ 0, 0, 0 ],
            memory => [ { responder => 1024, worker => 8 * 1024 }, { responder => 5 * 1024, worker => 8 * 1024 }, { responder => 1024 } ]),
        'express-commit' => contender(answers => [ 100, 100, 100 ], handled => [ 100, 100, 100 ], cpu => [ 800, 800, 800 ], left => [ 9, 9, 9 ], lost => [ 9, 9, 9 ]),
        'tuned-nginx'    => contender(handled => [ 600, 601, 600 ], cpu => [ 125, 125, 125 ]),
        'nospool-keep'   => contender(answers => [ 2000, 2000, 2000 ]),
        'stopped-keep'   => contender(answers => [ 1000, 1399, 1500 ]),
    },
    open_loop => { 'candhook-keep 500' => [ map { { answer_p99 => $_ } } 1, 2, 9 ], 'express-commit 500' => [ { answer_p99 => 16 } ] },
    backlog   => {
        recorded => { rounds => [ { rate => 79 } ], ceiling => [ { rate => 100 } ] },
        handled  => { rounds => [ { cpu_database => 18, memory => [ 10, 10, 12, 13 ] } ], ceiling => [ { cpu_database => 10 } ] }
    },
    sleeper   => { asleep => [ { rate => 89 } ], awake => [ { rate => 100 } ] },
    growth    => { rows => 5, large => [89], empty => [100] },
};
my @expected = (
    [ qr/worker stopped, of those without a spool/     => 0.6995, 0 ],
    [ qr/everything running/                           => 0.75,   1 ],
    [ qr/answers, of those of Express/                 => 15,     1 ],
    [ qr/handled a second, of Express/                 => 15,     1 ],
    [ qr/handled a second, of the tuned/               => 2.5,    1 ],
    [ qr/CPU per 1,000 events handled, of Express/     => 0.0625, 1 ],
    [ qr/CPU per 1,000 events handled, of the tuned/   => 0.4,    1 ],
    [ qr/PostgreSQL's CPU for an event/                => 1.8,    1 ],
    [ qr/beside a handler that sleeps/                 => 0.89,   0 ],
    [ qr/p99 of an answer at 500/                      => 0.125,  1 ],
    [ qr/backlog recorded/                             => 0.79,   0 ],
    [ qr/memory of the worker at the end/              => 1.3,    0 ],
    [ qr/memory of the responder/                      => 5,      0 ],
    [ qr/memory of the worker with/                    => 8,      1 ],
    [ qr/recorded a second beside 5 rows/              => 0.89,   0 ],
    [ qr/not handled at the end/                       => 0,      1 ],
    [ qr/and lost, in all tests/                       => 0,      1 ],
);
for my $case (@expected) {
    my ($what, $measured, $met) = @$case;
    my $row = figure($results, $what) // {};
    is_deeply [ $row->{measured}, $row->{met} ], [ $measured, $met ], "figure $what";
}
is figure($results, $_), undef, "what was not measured has no row: $_" for qr/mod_fcgid/, qr/of PHP-FPM/, qr/at 1,000/;

$results->{contenders}{'candhook-cgi'} = { %{ contender(left => [2], lost => [0]) }, killed => { lost => 1 }, database_stopped => { lost => 3 } };
is_deeply [ map { figure($results, $_)->{measured} } qr/not handled at the end/, qr/and lost, in all tests/ ], [ 2, 4 ],
  'every candhook counts, with its losses after a kill and a stop of the database';
is figure($results, qr/and lost, in all tests/)->{met}, 0, 'one loss is one too many';

# ---- a soak: what is flat ----
my ($column) = grep { $_->{key} eq 'recorder_kb' } @Bench::Soak::columns;

sub is_flat (@values) {
    my %others = map { $_->{key} => 0 } @Bench::Soak::columns;
    my ($judged) = grep { $_->{key} eq $column->{key} } Bench::Soak::judge([ map { { %others, $column->{key} => $_ } } @values ]);
    return $judged->{flat};
}

sub over_time ($value) { return map { $value->($_) } 0 .. 29 }
my $allowed = 0.1 * 3000 + 256;
is is_flat(over_time(sub ($minute) { 3000 })), 1, 'what stays is flat';
is is_flat(over_time(sub ($minute) { 3000 + 200 * ($minute % 2) })), 1, 'and what goes up and down';
is is_flat(over_time(sub ($minute) { $minute < 3 ? 100 : 3000 })), 1, 'the first tenth is warm-up';
is is_flat(over_time(sub ($minute) { $minute == 29 ? 90_000 : 3000 })), 1, 'one bad minute is none';
is is_flat(over_time(sub ($minute) { $minute < 9 ? 3000 : 3000 + 2 * $allowed })), 1, 'one step, and no more after it, is flat';
is is_flat(over_time(sub ($minute) { 3000 + $minute * 3 * $allowed / 30 })), 0, 'what grows with time is not';
is is_flat(over_time(sub ($minute) { $minute < 20 ? 3000 : 3000 + 2 * $allowed })), 0, 'nor is a step that may be the first of many';

# ---- scale: what grows faster than the work ----
sub group (%group) {
    my ($cost) = delete $group{cost};
    return { %group, settings => [ map { { rounds => [ map { { cpu => $_, cpu_mb => $_ } } @$_ ] } } @$cost ] };
}
my @groups = (
    [ 0, 'the same cost',                                     cost => [ [100], [100] ] ],
    [ 0, 'as much dearer as noise is',                        cost => [ [100], [500], [129] ] ],
    [ 1, 'dearer',                                            cost => [ [100], [131] ] ],
    [ 0, 'a round that is far off',                           cost => [ [ 100, 100, 100 ], [ 100, 900, 110 ] ] ],
    [ 0, 'dearer, but bounded, as is said of it',             cost => [ [100], [190] ], allowed => 2 ],
    [ 1, 'dearer than that',                                  cost => [ [100], [210] ], allowed => 2 ],
    [ 0, 'dear small bodies: each event has a cost besides',  cost => [ [900], [100], [90] ], by => 'size' ],
    [ 1, 'a MB of large bodies dearer than one of less large', cost => [ [900], [100], [140] ], by => 'size' ],
    [ 0, 'only one setting',                                  cost => [ [100] ] ],
);
for my $case (@groups) {
    my ($grows, $what, %group) = @$case;
    is Bench::Scale::grows(group(%group)) ? 1 : 0, $grows, $what;
}
like Bench::Scale::table({ title => 'rows', settings => [ { title => 'many', rounds => [ { answers => 1234, recorded => 5, handled => 6, map { ("cpu_$_" => 7) } qw(responder worker database) } ] } ] }),
  qr/^ +rows +answers.*\n +many +1,234 .* 7\+7\+7$/, 'the table';

done_testing;
