#!/usr/bin/env perl
# SPDX-License-Identifier: ISC
#
# The boundaries between the modules: which file may include what, which may read the environment, and every header
# compiles alone.
use v5.36;
use FindBin;
use Test::More;

my $top = "$FindBin::Bin/..";
my @sources = map { s{^\Q$top/\E}{}r } sort glob("'$top/src/*/*.[ch]' '$top/include/candhook/*.h'");

sub code_of ($file) {
    open my $in, '<', "$top/$file" or die "$top/$file: $!\n";
    local $/;
    my $text = <$in>;
    $text =~ s{/\*.*?\*/}{}gs;
    return $text;
}

my %code = map { $_ => code_of($_) } @sources;
cmp_ok scalar @sources, '>', 30, 'there are sources';

# ---- folders ----
# Whom each folder may include, beside itself. src/README draws it.
my %may_include = (
    base   => '',
    conf   => 'base',
    spool  => 'base conf',
    intake => 'base conf spool',
    event  => 'base',
    http   => 'base conf',
    store  => 'base conf spool event',
    work   => 'base conf spool event http store',
    status => 'base conf spool event store',
    tool   => 'base conf spool event http store status work',
    web    => 'base conf spool event http store status',
);
is_deeply [ sort map { m{([^/]+)/$} } glob "'$top'/src/*/" ], [ sort keys %may_include ], 'every folder is in the table';
for my $file (grep { m{^src/} } @sources) {
    my ($folder) = $file =~ m{^src/(\w+)/};
    my %allowed = map { $_ => 1 } $folder, split ' ', $may_include{$folder};
    my @included = $code{$file} =~ /^\s*#\s*include\s*"([^"]+)"/mg;
    is_deeply [ grep { !(m{^(\w+)/\w+\.h$} && $allowed{$1}) } @included ], [], "$file includes headers of folders that it may include";
    my @wrong = grep { m{\.c$} || !-e "$top/src/$_" } grep { $_ !~ m{^(?:candhook/handler\.h)$} } @included;
    is_deeply \@wrong, [], "$file includes headers only";
}

# ---- libraries ----
my @boundaries = (
    [ 'fcgi_stdio.h',  qr/fcgi_stdio\.h/,          [] ],
    [ 'fcgiapp.h',     qr/fcgiapp\.h|fastcgi\.h/,  [ 'src/intake/fcgi.c', 'src/web/web.c' ] ],
    [ 'libpq',         qr/libpq|pg_config|postgres/, ['src/store/database.c'] ],
    [ 'cJSON',         qr/cJSON/,                  [ 'src/event/event.c', 'src/event/event_edit.c', 'src/event/json_write.c', 'src/http/oauth.c' ] ],
    [ 'libcurl',       qr/curl/,                   ['src/http/http_inside.h'] ],
    [ 'nettle',        qr/nettle/,                 ['src/base/digest.c'] ],
    [ 'libseccomp',    qr/seccomp|landlock/,       ['src/intake/confine.c'] ],
    [ 'libxcrypt',     qr/crypt\.h/,              ['src/conf/web_users.c'] ],
    [ 'libbsd',        qr{bsd/},                   ['src/tool/input.c'] ],
    [ 'event_inside.h', qr/event_inside\.h/,       [ map { "src/event/$_.c" } qw(event event_edit event_scan json_write) ] ],
    [ 'http_inside.h', qr/http_inside\.h/,         [ map { "src/http/$_.c" } qw(http http_exchange url) ] ],
    [ 'conf_keys.h',   qr/conf_keys\.h/,           [ 'src/conf/conf.c', 'src/conf/conf_keys.c' ] ],
);
for my $boundary (@boundaries) {
    my ($name, $header, $allowed) = @$boundary;
    my %allowed = map { $_ => 1 } @$allowed;
    my @found = grep { $code{$_} =~ /^\s*#\s*include\s*[<"][^>"]*(?:$header)/m } @sources;
    is_deeply [ grep { !$allowed{$_} } @found ], [], "$name is included " . (@$allowed ? "by @$allowed alone" : 'by nobody');
}

my $needed = qx{readelf -d '${\($ENV{top_builddir} // '.')}/candhook.fcgi'};
like $needed, qr/NEEDED.*libfcgi/, 'candhook.fcgi is linked with libfcgi';
unlike $needed, qr/NEEDED.*(?:libpq|cjson|libcurl|libcrypt)/, 'and with neither libpq, cJSON, libcurl nor libxcrypt: what faces the net has no database';

# ---- the environment ----
# The variables of a CGI request and of the process manager are the input of the others.
my %reads_environment = map { $_ => 1 } qw(src/conf/conf.c src/base/listener.c src/intake/responder.c src/intake/cgi.c src/intake/fcgi.c src/web/web.c);
is_deeply [ grep { !$reads_environment{$_} && $code{$_} =~ /\b(?:secure_)?getenv\s*\(/ } @sources ], [],
  'settings are read from the environment in conf.c alone';

# ---- order ----
for my $file (grep { /^src\/.*\.c$/ } @sources) {
    my ($first, $second) = $code{$file} =~ /^\s*#\s*include\s*([<"][^>"]+[>"])/mg;
    is $first, '<config.h>', "$file begins with config.h";
    (my $own = $file) =~ s{^src/(.*)\.c$}{"$1.h"};
    is $second, $own, "$file includes its own header next" if $code{ $file =~ s/c$/h/r };
}

# ---- who logs ----
# The programs' loops do, and the verb that starts one; all others describe a failure to their caller.
is_deeply [ grep { !m{^src/(?:base/log\.c$|intake/|work/|web/|tool/verb_work\.c$)} && $code{$_} =~ /\blog_(?:error|warning|info|debug)\s*\(/ } grep { $_ ne 'src/base/log.h' } @sources ], [],
  'only intake, work, web and the verb work write to the log';

# ---- log lines ----
my $value = qr/%(?:s|d|ld|lu|zu)|[A-Za-z0-9_.:\/@+,-]+|"[^"%\\]*"/;
for my $file (@sources) {
    next if $file eq 'src/base/log.c';
    while ($code{$file} =~ /\blog_(?:error|warning|info|debug)\(\s*((?:"(?:\\.|[^"\\])*"\s*)+)/g) {
        my $format = join '', $1 =~ /"((?:\\.|[^"\\])*)"/g;
        $format =~ s/\\"/"/g;
        like $format, qr/\A(?:[a-z_]+|%s)=$value(?: [a-z_]+=$value)*\z/, "$file logs key=value: $format";
    }
}

# ---- headers stand alone ----
my $cc = $ENV{CC} || 'cc';
for my $header (grep { /\.h$/ } @sources) {
    my $said = qx{printf '#include "%s"\\n' '$header' | $cc -D_GNU_SOURCE -std=gnu11 -Wall -Wextra -fsyntax-only -x c -I'$top' -I'$top/src' -I'$top/include' - 2>&1};
    is $said, '', "$header compiles alone";
    my ($guard) = $code{$header} =~ /\A\s*#ifndef (CANDHOOK_\w+_H)\n#define \1\n/;
    ok $guard, "$header is guarded";
}
done_testing;
