#!/usr/bin/env perl
# SPDX-License-Identifier: ISC
#
# The table of keys in src/conf/conf_keys.c, candhook.conf(5) and the sample tell the same keys, in the same order, with the
# same defaults and ranges.
use v5.36;
use FindBin;
use Test::More;

my $top = "$FindBin::Bin/..";

sub slurp ($file) {
    open my $in, '<', "$top/$file" or die "$top/$file: $!\n";
    local $/;
    return <$in>;
}

# A default as the table writes it, C string pieces and folders, in the words of the .in files.
sub default_of ($c) {
    return undef if $c eq 'NULL';
    my %folder = (SYSCONFDIR => '@sysconfdir@', LOCALSTATEDIR => '@localstatedir@', BINDIR => '@bindir@', HANDLERDIR => '@handlerdir@');
    return join '', map { /^"(.*)"$/ ? $1 : $folder{$_} // die "$_: unknown folder\n" } $c =~ /"[^"]*"|\w+/g;
}

my ($table) = slurp('src/conf/conf_keys.c') =~ /conf_keys\[CONF_KEY_COUNT\] = \{\n(.*?)\n\};/s or die "no table\n";
my (@names, %kind, %default, %row);
while ($table =~ /\{"(\w+)",\s*CONF_(\w+),\s*OFFSET\((\w+)\),\s*(.*?),\s*([^,]+),\s*([^,]+),\s*"([^"]+)"\}/gs) {
    my ($name, $kind, $member, $fallback) = ($1, $2, $3, $4);
    push @names, $name;
    $kind{$name} = $kind;
    is $member, $name, "$name is stored in the member of its name";
    $default{$name} = default_of($fallback);
}
is scalar @names, () = $table =~ /^ *\{"/mg, 'every row of the table was understood';
cmp_ok scalar @names, '>=', 10, 'and there are some';
my ($count) = slurp('src/conf/conf_keys.h') =~ /#define CONF_KEY_COUNT (\d+)/;
is $count, @names, 'CONF_KEY_COUNT counts them';
my ($struct) = slurp('src/conf/conf.h') =~ /struct conf \{\n(.*?)\n\};/s;
my @members = grep { $_ ne 'path' } $struct =~ /^\s+(?:enum )?\w+ \*?(\w+);/mg;
is_deeply [ sort @members ], [ sort @names ], 'the members of struct conf';

# ---- the manual page ----
my ($keys) = slurp('man/candhook.conf.5.in') =~ /^\.Ss Keys\n(.*?)^\.Ss /ms;
my %page = $keys =~ /^\.It Ic (\w+)\n(.*?)(?=^\.It|^\.El)/msg;
is_deeply [ $keys =~ /^\.It Ic (\w+)$/mg ], \@names, 'candhook.conf(5) has the same keys, in the same order';
for my $name (@names) {
    my $text = $page{$name} // '';
    my $said = $text =~ /^Default:\n\.Ql (.+)\n\z/m ? $1 : undef;
    is $said, $default{$name} eq '' ? undef : $default{$name}, "candhook.conf(5) has the default of $name" if defined $default{$name};
    like $text, qr/^Default: none\.\n\z/m, "candhook.conf(5) says that $name has no default" if ($default{$name} // 'x') eq '';
    like $text, qr/Default: none; this key must be set\./, "candhook.conf(5) says that $name must be set" unless defined $default{$name};
}

# ---- the sample ----
my $sample = slurp('candhook.conf.sample.in');
my @sampled = $sample =~ /^#(\w+) = .+$/mg;
is_deeply \@sampled, \@names, 'the sample has the same keys, in the same order';
my %sampled = $sample =~ /^#(\w+) = (.+)$/mg;
is $sampled{$_}, $default{$_}, "the sample has the default of $_" for grep { length($default{$_} // '') } @names;
unlike $sample, qr/^(?!#|\[candhook\]$|$)/m, 'and all in it is a comment, but for the section';

# ---- ranges ----
my %range = (
    max_body    => [ 'KIB, 16 * MIB', 'from 1k to 16M' ],
    min_free    => [ '0, 1024 * GIB', 'from 0 to 1024G' ],
    keep_sealed => [ '0, 365 * DAY',  'from 0 (not at all) to 365d' ],
    runners     => [ '0, 64',         'from 0 to 64' ],
);
is_deeply [ sort keys %range ], [ sort grep { $kind{$_} =~ /^(?:SIZE|SPACE|COUNT|SECONDS)$/ } @names ], 'the keys that have ranges';
for my $name (sort keys %range) {
    like $table, qr/\{"$name",[^}]*\Q, $range{$name}[0], "\E/s, "the range of $name in the table";
    (my $text = $page{$name} // '') =~ s/\s+/ /g;
    like $text, qr/\Q$range{$name}[1]\E/, "the range of $name in candhook.conf(5)";
}
done_testing;
