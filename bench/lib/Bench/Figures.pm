# SPDX-License-Identifier: ISC
#
# What the benchmark must show: each figure with its target, computed from one run. A figure whose parts were not measured
# (--only) is left out.
package Bench::Figures;
use v5.36;

sub median (@values) {
    my @sorted = sort { $a <=> $b } grep { defined } @values;
    return undef if !@sorted;
    return @sorted % 2 ? $sorted[ $#sorted / 2 ] : ($sorted[ @sorted / 2 - 1 ] + $sorted[ @sorted / 2 ]) / 2;
}

# Half of the distance from the least to the greatest, as a part of the median.
sub spread (@values) {
    my @sorted = sort { $a <=> $b } grep { defined } @values;
    my $median = median(@sorted) or return 0;
    return ($sorted[-1] - $sorted[0]) / 2 / $median;
}

sub of ($results, $name, $what) {
    my $rounds = $results->{contenders}{$name}{rounds} or return undef;
    return median(map { $_->{$what} } @$rounds);
}

sub ratio ($a, $b) { return defined $a && $b ? $a / $b : undef }

# The median of what the rounds of an open loop say.
sub loop ($results, $name, $what) { return median(map { $_->{$what} } @{ $results->{open_loop}{$name} // [] }) }

# A row: id, what it is, the target as text, whether it is met, what was measured.
sub row ($id, $what, $compare, $target, $measured, $unit = '') {
    return undef if !defined $measured;
    my $met = $compare eq '>=' ? $measured >= $target : $compare eq '<=' ? $measured <= $target : undef;
    return { id => $id, what => $what, compare => $compare, target => $target, measured => $measured, unit => $unit, met => $met ? 1 : 0 };
}

sub worst_memory ($results, $server) {
    my $rounds = $results->{contenders}{'candhook-keep'}{rounds} or return undef;
    my ($worst) = sort { $b <=> $a } map { $_->{memory}{$server} // 0 } @$rounds;
    return $worst / 1024;
}

# Losses of candhook in all tests of this run, and what was acknowledged and not handled.
sub sum_of ($results, $what) {
    my ($sum, $seen) = (0, 0);
    for my $name (grep { /^candhook/ } keys %{ $results->{contenders} }) {
        my $one = $results->{contenders}{$name};
        for my $part (@{ $one->{rounds} // [] }, $what eq 'lost' ? ($one->{killed}, $one->{database_stopped}) : ()) {
            next if !$part;
            $sum += $part->{$what} // 0;
            $seen++;
        }
    }
    return $seen ? $sum : undef;
}

# The median of what the rounds of a backlog (recorded or handled), or of its ceiling, say.
sub backlog_of ($results, $what, $part, $value) { return median(map { $_->{$value} } @{ $results->{backlog}{$what}{$part} // [] }) }

sub figures ($results) {
    my $get = sub ($name, $what) { of($results, $name, $what) };
    my $loop = sub ($name, $what) { loop($results, $name, $what) };
    my @memory = map { @{ $_->{memory} } } ($results->{backlog}{handled}{rounds}[0] // { memory => [] });
    my $flat = @memory >= 4 ? ratio($memory[-1], $memory[ @memory / 4 ]) : undef;
    my $growth = $results->{growth} // {};
    my @rows = (
        row('1', 'durable answers, worker stopped, of those without a spool', '>=', 0.70,
            ratio($get->('stopped-keep', 'answers'), $get->('nospool-keep', 'answers'))),
        row('1', 'durable answers, everything running, of those without a spool', '>=', 0.42,
            ratio($get->('candhook-keep', 'answers'), $get->('nospool-keep', 'answers'))),
        row('1', 'durable answers, of those of Express after its commit', '>=', 15,
            ratio($get->('candhook-keep', 'answers'), $get->('express-commit', 'answers')), 'times'),
        row('1', 'behind Apache mod_fcgid, worker stopped, of those without a spool', '>=', 0.9,
            ratio($get->('stopped-fcgid', 'answers'), $get->('nospool-fcgid', 'answers'))),
        row('1', 'behind Apache proxy_fcgi, worker stopped, of those without a spool', '>=', 0.9,
            ratio($get->('stopped-proxy', 'answers'), $get->('nospool-proxy', 'answers'))),
        row('2', 'events handled a second, of Express after its commit', '>=', 15,
            ratio($get->('candhook-keep', 'handled'), $get->('express-commit', 'handled')), 'times'),
        row('2', 'events handled a second, of PHP-FPM', '>=', 9,
            ratio($get->('candhook-keep', 'handled'), $get->('php-fpm', 'handled')), 'times'),
        row('2', 'events handled a second, of the tuned peer behind the same nginx', '>=', 2.5,
            ratio($get->('candhook-keep', 'handled'), $get->('tuned-nginx', 'handled')), 'times'),
        row('2', 'behind mod_fcgid, events handled a second, of PHP-FPM behind the same Apache', '>=', 2,
            ratio($get->('candhook-fcgid', 'handled'), $get->('php-apache', 'handled')), 'times'),
        row('2', 'acknowledged by candhook and not handled at the end', '<=', 0, sum_of($results, 'left'), 'events'),
        row('3', 'CPU per 1,000 events handled, of Express after its commit', '<=', 0.067,
            ratio($get->('candhook-keep', 'cpu'), $get->('express-commit', 'cpu'))),
        row('3', 'CPU per 1,000 events handled, of the tuned peer behind the same nginx', '<=', 0.4,
            ratio($get->('candhook-keep', 'cpu'), $get->('tuned-nginx', 'cpu'))),
        row('3', "PostgreSQL's CPU for an event handled, of that for events and outcomes alone", '<=', 1.8,
            ratio(backlog_of($results, 'handled', 'rounds', 'cpu_database'), backlog_of($results, 'handled', 'ceiling', 'cpu_database')), 'times'),
        row('3', 'p99 of an answer at 500 events/s, of Express after its commit', '<=', 0.125,
            ratio($loop->('candhook-keep 500', 'answer_p99'), $loop->('express-commit 500', 'answer_p99'))),
        row('4', "backlog recorded, of PostgreSQL's own ceiling", '>=', 0.8,
            ratio(backlog_of($results, 'recorded', 'rounds', 'rate'), backlog_of($results, 'recorded', 'ceiling', 'rate'))),
        row('4', 'recorded a second beside a handler that sleeps 50 ms at every tenth event, of beside one that does not', '>=', 0.9,
            ratio(median(map { $_->{rate} } @{ $results->{sleeper}{asleep} // [] }), median(map { $_->{rate} } @{ $results->{sleeper}{awake} // [] }))),
        row('4', 'memory of the worker at the end of the backlog, of that at its first quarter', '<=', 1.25, $flat),
        row('5', 'answer p99 at 1,000 events/s', '<=', 10, $loop->('candhook-keep 1000', 'answer_p99'), 'ms'),
        row('5', 'recorded p99 at 1,000 events/s', '<=', 60, $loop->('candhook-keep 1000', 'recorded_p99'), 'ms'),
        row('5', 'handled p99 at 1,000 events/s', '<=', 60, $loop->('candhook-keep 1000', 'handled_p99'), 'ms'),
        row('6', 'memory of the responder', '<=', 4, worst_memory($results, 'responder'), 'MB'),
        row('6', 'memory of the worker with two runners', '<=', 16, worst_memory($results, 'worker'), 'MB'),
        row('7', sprintf('events recorded a second beside %s rows, of those beside none', $growth->{rows} // '?'), '>=', 0.9,
            ratio(median(@{ $growth->{large} // [] }), median(@{ $growth->{empty} // [] }))),
        row('', 'acknowledged by candhook and lost, in all tests', '<=', 0, sum_of($results, 'lost'), 'events'),
    );
    return [ grep { defined } @rows ];
}

1;
