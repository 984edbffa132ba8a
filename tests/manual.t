# SPDX-License-Identifier: ISC
#
# The manual pages and --help of the programs tell the same verbs, options and exit statuses.
use v5.36;
use Test::More;
use Rig;

sub run_help (@command) {
    open my $from, '-|', @command, '--help' or die "$command[0]: $!\n";
    local $/;
    my $text = <$from>;
    close $from or fail "@command --help ends well";
    return $text;
}

# The options of an argp help text, as "x name ARGUMENT", but for those that every program has.
sub options_of_help ($help) {
    my @options;
    while ($help =~ /^ +(?:-(\w), +)?--([a-z-]+)(?:=(\S+))?/mg) {
        push @options, join ' ', grep { defined } $1, $2, $3 if $2 !~ /^(?:help|usage|version)$/;
    }
    return [ sort @options ];
}

# The same of the lines `.It Fl x , Fl -name Ar ARGUMENT` of a manual page.
sub options_of_list ($text) {
    my @options;
    push @options, join ' ', grep { defined } $1, $2, $3 while $text =~ /^\.It (?:Fl (\w) , )?Fl -([a-z-]+)(?: Ar (\S+))?$/mg;
    return [ sort @options ];
}

# Every `Fl -name Ar ARGUMENT` of a text, as "name ARGUMENT".
sub options_of_text ($text) {
    my %option;
    $option{ join ' ', grep { defined } $1, $2 } = 1 while $text =~ /\bFl -([a-z-]+)(?: Ar (\S+))?/g;
    return [ sort keys %option ];
}

sub long_names (@options) { return [ sort map { s/^\w //r } @options ] }

# The statuses behind "Exit status:"; other numbers, such as 404, are none.
sub statuses ($text) {
    my ($told) = $text =~ s/\s+/ /gr =~ /Exit status:(.*?)(?:\.Pp|\.Ss|$)/;
    my %status = map { $_ => 1 } ($told // '') =~ /\b([01]|6[4-9]|7[0-8])\b/g;
    return [ sort { $a <=> $b } keys %status ];
}

sub slurp ($file) {
    open my $in, '<', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}

sub page ($name) { return slurp(Rig::source_path("man/$name")) }

sub section ($page, $name) {
    return $page =~ /^\.Sh \Q$name\E\n(.*?)(?=^\.Sh |\z)/ms ? $1 : '';
}

# ---- candhook(1) ----
my $candhook = Rig::build_path('candhook');
my $page     = page('candhook.1');
my @verbs    = run_help($candhook) =~ /^  ([a-z-]+) +\S.*$/mg;
cmp_ok scalar @verbs, '>', 10, 'candhook --help lists the verbs';
my %described = section($page, 'VERBS') =~ /^\.Ss candhook ([a-z-]+)\n(.*?)(?=^\.Ss |\z)/msg;
is_deeply [ section($page, 'VERBS') =~ /^\.Ss candhook (\S+)$/mg ], \@verbs, 'each has its section in candhook(1), in order';
my (%synopsis, %special);
my $forms = section($page, 'SYNOPSIS');
$synopsis{$1} .= $2 while $forms =~ /^\.Nm\n\.Cm ([a-z-]+)\n(.*?)(?=^\.Nm|\z)/msg;
is_deeply [ sort keys %synopsis ], \@verbs, 'and a line in its synopsis';
for my $verb (@verbs) {
    my $help    = run_help($candhook, $verb);
    my $options = options_of_help($help);
    my $text    = $described{$verb} // '';
    is_deeply options_of_list($text), $options, "$verb: candhook(1) describes the options of --help";
    is_deeply options_of_text($synopsis{$verb} // ''), long_names(@$options), "$verb: its synopsis has them";
    my %known = map { (split)[0] => 1 } @{ long_names(@$options) };
    is_deeply [ grep { !$known{$_} } $text =~ /\bFl -([a-z-]+)/g ], [], "$verb: its text mentions no other";
    is_deeply statuses($text), statuses($help), "$verb: both tell the same exit statuses";
    $special{$_} = 1 for @{ statuses($text) };
}
my %general = map { $_ => 1 } section($page, 'EXIT STATUS') =~ /^\.It (\d+)$/mg;
is_deeply [ grep { !$general{$_} } sort keys %special ], [], 'EXIT STATUS explains each of them';
open my $sysexits, '<', '/usr/include/sysexits.h' or die "sysexits.h: $!\n";
my %number = map { /^#define\s+(EX_\w+)\s+(\d+)/ } <$sysexits>;
my %used = map { $number{$_} => 1 } map { slurp($_) =~ /\b(EX_[A-Z]+)\b/g } glob Rig::source_path('src/tool/*.c');
is_deeply [ sort keys %general ], [ sort keys %{ { %used, 1 => 1 } } ], 'and it lists those of the code, no more';

# ---- candhook.fcgi(8) ----
my $fcgi    = page('candhook.fcgi.8');
my $options = long_names(@{ options_of_help(run_help(Rig::build_path('candhook.fcgi'))) });
is_deeply options_of_text(section($fcgi, 'SYNOPSIS')), $options, 'the synopsis of candhook.fcgi(8) has the options of --help';
my %known = map { (split)[0] => 1 } @$options;
my %told  = map { $_ => 1 } section($fcgi, 'DESCRIPTION') =~ /\bFl -([a-z-]+)/g;
is_deeply [ sort keys %told ], [ sort keys %known ], 'and its text tells of each';
like section($fcgi, 'EXIT STATUS'), qr/\b0\b.*\b64\b.*\b73\b.*\b78\b/s, 'and of the exit statuses';

# ---- the form ----
SKIP: {
    skip 'no groff', 1 if !grep { -x "$_/groff" } split /:/, $ENV{PATH};
    for my $name (qw(candhook.1 candhook.fcgi.8 candhook-handlers.7 candhook-security.7 candhook.conf.5.in)) {
        my $file = Rig::source_path("man/$name");
        is `groff -mdoc -Tascii -ww -z '$file' 2>&1`, '', "$name is formatted without a warning";
    }
}
done_testing;
