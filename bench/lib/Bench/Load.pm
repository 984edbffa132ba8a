# SPDX-License-Identifier: ISC
#
# The load generator, run to its end or beside other doings. A result is what it prints, decoded, and `begun` (seconds since
# the epoch), `acknowledged_file`.
package Bench::Load;
use v5.36;

use JSON::PP    ();
use Time::HiRes ();

my $json = JSON::PP->new;

# Options: seconds, count, rate, connections, size, communities, prefix, first, type, timeout, every, no_keep_alive.
sub load_start ($self, $url, %option) {
    my @options;
    $option{communities} //= $Bench::communities;
    $option{prefix}      //= 'load';
    my $file = $option{acknowledged} // "$self->{dir}/acknowledged/$option{prefix}";
    for my $name (sort keys %option) {
        next if !defined $option{$name} || $name eq 'acknowledged';
        my $long = $name =~ tr/_/-/r;
        push @options, $name eq 'no_keep_alive' ? "--$long" : "--$long=$option{$name}";
    }
    open my $out, '+>:raw', undef or die "cannot make a temporary file: $!\n";
    my $pid = $self->start({ out => $out }, $self->program('load'), @options, "--acknowledged=$file", $url);
    push @{ $self->{processes} }, { name => 'load', pid => $pid };
    return { pid => $pid, out => $out, begun => Time::HiRes::time(), file => $file, option => \%option };
}

# Waits for its end. With `every`, `stretches` holds the lines that came before the last.
sub load_end ($self, $load) {
    my $status = $self->wait_pid($load->{pid}, ($load->{option}{seconds} // 600) + 120);
    $self->forget($load->{pid});
    if (!defined $status) {
        kill KILL => $load->{pid};
        waitpid $load->{pid}, 0;
        die "the load generator did not end\n";
    }
    $status == 0 or die "the load generator ended with status $status\n";
    my @lines = split /\n/, Rig::Process::slurp($load->{out});
    my $result = $json->decode(pop @lines);
    $result->{stretches} = [ map { $json->decode($_) } @lines ];
    $result->{begun} = $load->{begun};
    $result->{acknowledged_file} = $load->{file};
    return $result;
}

sub load ($self, $url, %option) {
    return $self->load_end($self->load_start($url, %option));
}

1;
