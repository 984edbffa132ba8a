# SPDX-License-Identifier: ISC
#
# Counts instructions with valgrind's callgrind.
#
#     my $pid = $rig->spawn('responder', Callgrind::command($file), $program, @arguments);
#     my $count = Callgrind::count($file, $program);    # when it has ended: { own => of the program's file, all => of all files }
package Callgrind;
use v5.36;

# What comes before the program. %p in the name of the file becomes the process. The environment (Callgrind::environment)
# keeps the choices that libc makes by the kind of CPU out of the count.
sub command ($file) {
    return ('valgrind', '--tool=callgrind', '--quiet', '--vgdb=no', '--compress-strings=no', '--compress-pos=no', "--callgrind-out-file=$file");
}

sub environment {
    return (GLIBC_TUNABLES => 'glibc.cpu.hwcaps=-AVX2,-AVX,-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM,-SSE4_2,-SSSE3,-BMI2,-AVX_Fast_Unaligned_Load');
}

# Adds up what stands below each object (ob=), without what it called: the line behind `calls=` is the cost of a call.
sub count ($file, $program) {
    my ($name) = $program =~ m{([^/]+)$};
    my %count = (own => 0, all => 0);
    my ($own, $call) = (0, 0);

    open my $in, '<', $file or die "cannot read $file: $!\n";
    while (my $line = <$in>) {
        if ($line =~ /^ob=(.*)/) {
            $own = $1 =~ m{/\Q$name\E$};
        } elsif ($line =~ /^calls=/) {
            $call = 1;
        } elsif ($line =~ /^\d+ (\d+)$/) {
            $count{all} += $1 if !$call;
            $count{own} += $1 if !$call && $own;
            $call = 0;
        }
    }
    $count{all} > 0 or die "$file holds no counts\n";
    return \%count;
}

1;
