# SPDX-License-Identifier: ISC
#
# What processes use, from /proc. The CPU of a tree of processes is what its living ones used and what those they have
# reaped used; so it counts programs that come and go, as long as somebody of the tree waits for them.
package Bench::Usage;
use v5.36;

use POSIX ();

my $ticks = POSIX::sysconf(POSIX::_SC_CLK_TCK());

# pid => [parent, seconds of CPU with those of reaped children].
sub cpu_table {
    my %table;
    for my $file (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $file or next;
        my ($pid, $rest) = (<$in> // '') =~ /^(\d+) .*\) (.*)/s or next;
        my @field = split ' ', $rest;
        $table{$pid} = [ $field[1], ($field[11] + $field[12] + $field[13] + $field[14]) / $ticks ];
    }
    return \%table;
}

sub tree ($table, @roots) {
    my (%children, @found);
    push @{ $children{ $table->{$_}[0] } }, $_ for keys %$table;
    my @open = grep { $table->{$_} } @roots;
    while (defined(my $pid = shift @open)) {
        push @found, $pid;
        push @open, @{ $children{$pid} // [] };
    }
    return @found;
}

# Seconds of CPU of the trees below these processes.
sub cpu ($self, @roots) {
    my $table = cpu_table();
    my $sum = 0;
    $sum += $table->{$_}[1] for tree($table, @roots);
    return $sum;
}

# Proportional memory in kB of the trees below these processes.
sub memory ($self, @roots) { return $self->memory_alone(tree(cpu_table(), @roots)) }

# The same of these processes alone.
sub memory_alone ($self, @pids) {
    my $sum = 0;
    for my $pid (@pids) {
        open my $in, '<', "/proc/$pid/smaps_rollup" or next;
        while (my $line = <$in>) {
            $sum += $1 if $line =~ /^Pss:\s+(\d+)/;
        }
    }
    return $sum;
}

sub pids_below ($self, @roots) {
    my @found = tree(cpu_table(), @roots);
    return @found;
}

1;
