# SPDX-License-Identifier: ISC
#
# The manual pages and the programs' --help tell the same verbs and options, and each page tells its exit statuses.
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

# The long options of an argp help text, each with its argument, but for those that each program has.
sub options_of_help ($help) {
    my %option = map { $_->[0] => $_->[1] // '' } map { [/^ +(?:-\w, +)?--([a-z-]+)(?:=(\S+))?/] } grep { /^ +(?:-\w, +)?--[a-z]/ } split /\n/, $help;
    delete @option{qw(help usage version)};
    return \%option;
}

# The long options of mdoc lines, each with its argument: `.Fl -name Ar ARGUMENT`.
sub options_of_page ($text) {
    my %option;
    while ($text =~ /\bFl -([a-z-]+)(?: Ns)?(?: (?:Ar |= Ns Ar )(\S+))?/g) {
        $option{$1} = $2 if ($option{$1} // '') eq '';
        $option{$1} //= '';
    }
    return \%option;
}

sub page ($name) {
    open my $in, '<', Rig::source_path("man/$name") or die "man/$name: $!\n";
    local $/;
    return <$in>;
}

sub section ($page, $name) {
    return $page =~ /^\.Sh \Q$name\E\n(.*?)(?=^\.Sh |\z)/ms ? $1 : '';
}

# ---- candhook(1) ----
my $candhook = Rig::build_path('candhook');
my $page = page('candhook.1');
my %summary = run_help($candhook) =~ /^  ([a-z-]+) +(\S.*)$/mg;
cmp_ok scalar keys %summary, '>', 10, 'candhook --help lists the verbs';
# `.Ss candhook VERB` opens what the page says of a verb; the synopsis has a line `.Cm VERB` for each form of it.
my %described = section($page, 'VERBS') =~ /^\.Ss candhook ([a-z-]+)\n(.*?)(?=^\.Ss |\z)/msg;
is_deeply [ sort keys %described ], [ sort keys %summary ], 'each verb has its section in candhook(1)';
is_deeply [ sort keys %described ], [ section($page, 'VERBS') =~ /^\.Ss candhook (\S+)$/mg ], 'in order';
my %synopsis;
$synopsis{$1} .= $2 while section($page, 'SYNOPSIS') =~ /^\.Nm\n\.Cm ([a-z-]+)(.*?)(?=^\.Nm|\z)/msg;
is_deeply [ sort keys %synopsis ], [ sort keys %summary ], 'and its line in the synopsis';
for my $verb (sort keys %summary) {
    my $help = run_help($candhook, $verb);
    my $options = options_of_help($help);
    my $text = $described{$verb} // '';
    my $listed = { map { options_of_page($_)->%* } $text =~ /^(\.It Fl .*)$/mg };
    is_deeply $listed, $options, "$verb: candhook(1) describes the options of --help";
    is_deeply options_of_page($synopsis{$verb} // ''), $options, "$verb: and so does its synopsis";
    my $mentioned = options_of_page($text);
    is_deeply [ grep { !exists $options->{$_} } sort keys %$mentioned ], [], "$verb: and it mentions no other";

    # The statuses, in the words "Exit status: 0 …; 69 when …".
    my ($told) = $help =~ /Exit status: (.*)\z/s;
    ok $told, "$verb: --help tells the exit statuses" or next;
    my @statuses = $told =~ /\b(\d+)(?= when\b| or \d+ when\b| for\b|;|, or\b|\.|,| or no\b)/g;
    my ($said) = $text =~ /^Exit status:(.*?)(?=^\.Pp|^\.Ss|\z)/ms;
    is_deeply [ sort { $a <=> $b } ($said // '') =~ /\b(\d\d?)\b(?! seconds)/g ], [ sort { $a <=> $b } @statuses ], "$verb: and candhook(1) the same";
}
my %status = section($page, 'EXIT STATUS') =~ /^\.It (\d+)\n(.*)$/mg;
my %named = map { $_ => 1 } map { /\b(\d\d?)\b/g } map { /^Exit status:(.*?)(?=^\.Pp|^\.Ss|\z)/ms } values %described;
is_deeply [ grep { !exists $status{$_} } sort { $a <=> $b } keys %named ], [], 'EXIT STATUS explains each of them';

# ---- candhook.fcgi(8) ----
my $fcgi = page('candhook.fcgi.8');
my $options = options_of_help(run_help(Rig::build_path('candhook.fcgi')));
is_deeply options_of_page($fcgi), $options, 'candhook.fcgi(8) has the options of --help';
is_deeply options_of_page(section($fcgi, 'SYNOPSIS')), $options, 'and so has its synopsis';
like section($fcgi, 'EXIT STATUS'), qr/\b0\b.*\b64\b.*\b73\b.*\b78\b/s, 'and it tells the exit statuses';

# ---- all pages ----
for my $name (qw(candhook.1 candhook.fcgi.8 candhook-handlers.7 candhook.conf.5.in)) {
    my $file = Rig::source_path("man/$name");
  SKIP: {
        skip 'no groff', 1 if !grep { -x "$_/groff" } split /:/, $ENV{PATH};
        my $warnings = `groff -mdoc -Tascii -ww -z '$file' 2>&1`;
        is $warnings, '', "$name is formatted without a warning";
    }
}
done_testing;
