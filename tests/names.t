#!/usr/bin/env perl
# SPDX-License-Identifier: ISC
#
# Names: what gdb, perf or grep shows is in one place, and a newcomer finds each file in the README of its folder.
use v5.36;
use FindBin;
use Test::More;

my $top = "$FindBin::Bin/..";
my @sources = map { s{^\Q$top/\E}{}r } sort glob "'$top'/src/*/*.[ch]";
cmp_ok scalar @sources, '>', 30, 'there are sources';

sub slurp ($file) {
    open my $in, '<', "$top/$file" or die "$top/$file: $!\n";
    local $/;
    return scalar <$in>;
}

my (%static, %struct);
for my $file (@sources) {
    my $code = slurp($file) =~ s{/\*.*?\*/}{}gsr;
    # A definition begins in the first column, behind attributes perhaps, and its body stands on the next line.
    push $static{$_}->@*, $file for $code =~ /^(?:__attribute__\(\(.*?\)\) )?static (?:inline )?[\w ]+[ *](\w+)\([^;{]*\)\n\{/mg;
    push $struct{$_}->@*, $file for $code =~ /^(?:static (?:const )?)?struct (\w+) \{/mg;
}
cmp_ok scalar keys %static, '>', 300, 'there are static functions';
cmp_ok scalar keys %struct, '>', 30, 'and structs';
is_deeply { map { $_ => $static{$_} } grep { $static{$_}->@* > 1 } keys %static }, {}, 'the name of a static function occurs once';
is_deeply { map { $_ => $struct{$_} } grep { $struct{$_}->@* > 1 } keys %struct }, {}, 'and so does that of a struct';

# A file's README names its module: `segment.c`, or `event.c, .h`, or for a family `verb_*.c`.
for my $folder (map { m{([^/]+)/$} } glob "'$top'/src/*/") {
    my $readme = slurp("src/$folder/README");
    my @families = $readme =~ /\b(\w+_)\*/g;
    my @missing = grep {
        my $module = $_;
        $readme !~ /\b$module\b/ && !grep { index($module, $_) == 0 } @families
    } map { m{^src/$folder/(\w+)\.[ch]$} } @sources;
    is_deeply \@missing, [], "src/$folder/README names each of its files";
    like slurp('src/README'), qr/^    $folder\/ /m, "src/README has $folder on its map";
}
done_testing;
