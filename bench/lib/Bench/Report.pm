# SPDX-License-Identifier: ISC
#
# What a run shows: the table and the figures on the terminal, results.json, and results.svg.
package Bench::Report;
use v5.36;
use utf8;

use Bench::Contenders ();
use Bench::Figures    ();
use JSON::PP          ();

# 12345.6 as 12,346; small numbers with a decimal.
sub number ($value, $digits = undef) {
    return '-' if !defined $value;
    $digits //= $value != 0 && abs $value < 10 ? 1 : 0;
    my $text = sprintf "%.${digits}f", $value;
    1 while $text =~ s/^(-?\d+)(\d{3})/$1,$2/;
    return $text;
}

sub rows_of ($results) {
    return grep { $results->{contenders}{ $_->{name} }{rounds} } @Bench::Contenders::contenders;
}

sub median_of ($results, $contender, $what) { return Bench::Figures::of($results, $contender->{name}, $what) }

sub table ($results) {
    my $format = '%-37s %9s %5s %7s %7s %10s %9s %7s %13s %7s %8s %8s';
    my @lines = (
        sprintf($format, '', 'answers/s', '', 'p50', 'p99', 'recorded', 'handled', 'CPU ms', 'front+program', 'memory', 'lost by', 'lost by'),
        sprintf($format, '64 connections', '(2xx)', '', 'ms', 'ms', '/s', '/s', '/1,000', '+database', 'MB', 'kill -9', 'DB stop'),
    );
    my $kind = '';
    for my $contender (rows_of($results)) {
        push @lines, '' if $kind ne $contender->{kind};
        $kind = $contender->{kind};
        my $one = $results->{contenders}{ $contender->{name} };
        my @answers = map { $_->{answers} } @{ $one->{rounds} };
        my $get = sub ($what) { median_of($results, $contender, $what) };
        my $lost = sub ($part) { $one->{$part} ? number($one->{$part}{lost}, 0) : '-' };
        push @lines, sprintf($format, $contender->{title}, number($get->('answers')),
            sprintf('±%.0f%%', 100 * Bench::Figures::spread(@answers)), (map { number($get->($_)) } qw(p50 p99 recorded handled cpu)),
            join('+', map { sprintf '%.0f', $get->("cpu_$_") } qw(front program database)), number($get->('memory_kb') / 1024),
            $lost->('killed'), $lost->('database_stopped'));
    }
    return join("\n", @lines) . "\n";
}

# Notes that the table has no column for.
sub notes ($results) {
    my @lines;
    for my $contender (rows_of($results)) {
        my $one = $results->{contenders}{ $contender->{name} };
        my ($lost, $left, $refused) = (0, 0, 0);
        for my $round (@{ $one->{rounds} }) {
            $lost += $round->{lost} // 0;
            $left += $round->{left} // 0;
            $refused += $round->{refused};
        }
        push @lines, "$contender->{title}: $lost acknowledged events were lost without any mishap" if $lost;
        push @lines, "$contender->{title}: $left acknowledged events were not handled in the end" if $left;
        push @lines, "$contender->{title}: $refused events were not answered 2xx" if $refused;
        my $stop = $one->{database_stopped} or next;
        push @lines, "$contender->{title}: while the database was stopped, " . number($stop->{acknowledged}, 0) . ' events were answered 2xx and '
          . number($stop->{refused}, 0) . ' were not';
    }
    return join '', map { "  $_\n" } @lines;
}

# What is no row of the table: events by the clock, and the backlogs.
sub further ($results) {
    my @lines;
    for my $name (sort keys %{ $results->{open_loop} // {} }) {
        push @lines, sprintf("  %-22s answer p50 %s p99 %s ms, recorded p50 %s p99 %s ms, handled p50 %s p99 %s ms, CPU %s+%s+%s ms per 1,000\n",
            "$name/s", (map { number(Bench::Figures::loop($results, $name, $_)) } qw(answer_p50 answer_p99 recorded_p50 recorded_p99 handled_p50 handled_p99)),
            map { number(Bench::Figures::loop($results, $name, "cpu_$_"), 0) } qw(front program database));
    }
    for my $what (grep { $results->{backlog}{$_} } qw(recorded handled)) {
        push @lines, sprintf("  %-32s %s events/s, PostgreSQL %s ms per 1,000; PostgreSQL alone %s events/s, %s ms per 1,000\n", "backlog $what",
            map { (number(Bench::Figures::backlog_of($results, $what, $_, 'rate')), number(Bench::Figures::backlog_of($results, $what, $_, 'cpu_database'), 1)) } qw(rounds ceiling));
    }
    for my $pair ([ 'recorded beside a sleeper', map { $_->{rate} } @{ $results->{sleeper}{asleep} // [] } ],
        [ 'recorded beside it, awake', map { $_->{rate} } @{ $results->{sleeper}{awake} // [] } ],
        [ 'into an empty table', @{ $results->{growth}{empty} // [] } ], [ 'into the large one', @{ $results->{growth}{large} // [] } ]) {
        my ($title, @rates) = @$pair;
        push @lines, sprintf("  %-32s %s events/s ±%.0f%%\n", $title, number(Bench::Figures::median(@rates)), 100 * Bench::Figures::spread(@rates)) if @rates;
    }
    return join '', @lines;
}

sub figures_table ($results, $good, $bad, $plain) {
    my @lines;
    for my $figure (@{ $results->{figures} }) {
        my ($colour, $mark) = $figure->{met} ? ($good, 'met') : ($bad, 'NOT MET');
        my $digits = $figure->{measured} == int $figure->{measured} ? 0 : abs $figure->{measured} < 1 ? 3 : 1;
        push @lines, sprintf("  %-2s %-72s %s %-7s %10s %-6s %s%s%s\n", $figure->{id}, $figure->{what}, $figure->{compare},
            $figure->{target}, number($figure->{measured}, $digits), $figure->{unit}, $colour, $mark, $plain);
    }
    return join '', @lines;
}

sub write_json ($results, $file) {
    open my $out, '>:raw', $file or die "cannot write $file: $!\n";
    print {$out} JSON::PP->new->canonical->pretty->utf8->encode($results);
    close $out or die "cannot write $file: $!\n";
}

# ---- the picture ----

my %colour = (candhook => '#2b7a4b', peer => '#8a8f98');

sub escape ($text) {
    return $text =~ s/&/&amp;/gr =~ s/</&lt;/gr =~ s/>/&gt;/gr;
}

sub text ($x, $y, $text, $more = '') {
    return sprintf qq(<text x="%.1f" y="%.1f" %s>%s</text>\n), $x, $y, $more, escape($text);
}

# One panel: a title, and a bar for each contender. A bar more than twice as long as the next would hide all others: it is
# cut, and says so.
sub panel ($x, $y, $width, $title, $rows, $value) {
    my $svg = text($x, $y, $title, 'class="title"');
    my ($largest, $next) = sort { $b <=> $a } map { $value->($_) // 0 } @$rows;
    $largest = 1.3 * $next if $next && $largest > 2 * $next;
    my $at = $y + 14;
    for my $row (@$rows) {
        my $size = $value->($row);
        my $cut = $largest && defined $size && $size > $largest;
        my $length = $cut ? $width - 70 : $largest && defined $size ? $size / $largest * ($width - 70) : 0;
        $svg .= sprintf qq(<rect x="%.1f" y="%.1f" width="%.1f" height="15" fill="%s"/>\n), $x, $at, $length > 1 ? $length : 1,
          $colour{ $row->{kind} };
        $svg .= text($x + $length + 5, $at + 12, number($size, 0) . ($cut ? ' (cut)' : ''));
        $at += 22;
    }
    return $svg;
}

sub write_svg ($results, $file) {
    my @rows = grep { $_->{kind} ne 'ceiling' } rows_of($results);
    my $height = 120 + 22 * @rows;
    my $get = sub ($what) {
        return sub ($row) { median_of($results, $row, $what) }
    };
    my $svg = <<"END";
<svg xmlns="http://www.w3.org/2000/svg" width="1140" height="$height" viewBox="0 0 1140 $height" font-family="sans-serif" font-size="12" fill="#222">
<style>.title { font-weight: bold; font-size: 13px } .head { font-weight: bold; font-size: 17px } .small { fill: #666; font-size: 11px } .lost { fill: #b3261e; font-weight: bold }</style>
<rect width="1140" height="$height" fill="#ffffff"/>
END
    $svg .= text(20, 30, 'Webhook events: answered, recorded in PostgreSQL and handled', 'class="head"');
    $svg .= text(20, 48, "one machine with $results->{machine}{cores} cores for front, program, database and load; 64 connections; medians of $results->{plan}{rounds} rounds",
        'class="small"');
    my ($top, $at) = (78, 92);
    for my $row (@rows) {
        $svg .= text(20, $at + 12, $row->{title});
        $at += 22;
    }
    $svg .= panel(260, $top, 280, 'events handled a second', \@rows, $get->('handled'));
    $svg .= panel(570, $top, 290, 'ms of CPU per 1,000 events', \@rows, $get->('cpu'));
    $svg .= text(890, $top - 15, 'answered 2xx, and lost by', 'class="title"');
    my $x = 890;
    for my $part ([ killed => 'kill -9' ], [ database_stopped => 'a database stop' ]) {
        $svg .= text($x, $top, $part->[1], 'class="title"');
        $at = $top + 14;
        for my $row (@rows) {
            my $one = $results->{contenders}{ $row->{name} }{ $part->[0] };
            $svg .= text($x, $at + 12, number($one->{lost}, 0), $one->{lost} ? 'class="lost"' : '') if $one;
            $at += 22;
        }
        $x += 110;
    }
    $svg .= text(20, $height - 10, "bench/run, $results->{machine}{date}; ratios count, the numbers are this machine's", 'class="small"');
    open my $out, '>:encoding(UTF-8)', $file or die "cannot write $file: $!\n";
    print {$out} "$svg</svg>\n";
    close $out or die "cannot write $file: $!\n";
}

1;
