# SPDX-License-Identifier: ISC
#
# The test rig: a folder of its own under ${TMPDIR:-/tmp} in which a test runs the real programs, a real PostgreSQL and a
# real front server, and of which nothing is left afterwards: neither a file nor a process, also when the test dies.
#
#     use Rig;
#     my $rig = Rig->new;
#     $rig->cluster; $rig->conf; $rig->schema; $rig->responder; $rig->nginx;
#     is $rig->post($rig->path, $rig->event)->{status}, 200;
#     $rig->wait_until(sub { $rig->sql('select count(*) from candhook.event') == 1 }, 'the event is recorded');
#
# PostgreSQL refuses to run as root, so under root everything runs as an unprivileged user who owns the folder, and the
# programs are copied into it: a checkout below /root is closed to that user, and a test may replace its copies.
# Rig::Process holds the processes, Rig::Database the cluster, Rig::Front the responder and the posting, Rig::Nginx and
# Rig::Apache the front servers.
package Rig;
use v5.36;
use parent qw(Rig::Process Rig::Database Rig::Front Rig::Nginx Rig::Apache);

use Cwd        ();
use File::Copy ();
use File::Path ();
use File::Temp ();
use JSON::PP   ();
use Test::More ();

my @rigs;
my $owner = $$;
my $found = 0;

# A signal ends the test in good order, so that END clears up.
for my $signal (qw(HUP INT TERM)) {
    $SIG{$signal} = sub { exit 1 };
}
$SIG{PIPE} = 'IGNORE';

# Makes the folder and the copies of the programs that are built. Options: programs => [names] or [].
sub new ($class, %option) {
    my $tmp = $ENV{TMPDIR} || '/tmp';
    my $dir = File::Temp::mkdtemp(Cwd::abs_path($tmp) . '/ch.XXXXXX') or die "cannot make a folder in $tmp: $!\n";
    my $self = bless { dir => $dir, processes => [], env => {}, secret => random_word(24) }, $class;

    push @rigs, $self;
    length $dir <= 80 or die "TMPDIR is too long for unix sockets: $tmp\n";
    $self->{user} = $self->choose_user;
    $self->own($dir);
    $self->make_folder($_) for qw(bin log handlers sanitizer);
    for my $program (@{ $option{programs} // [qw(candhook candhook.fcgi candhook-web.fcgi)] }) {
        my $built = build_path($program);
        $self->install_program($built) if -x $built;
    }
    delete @ENV{ grep { /^(?:PG|CANDHOOK_|FCGI_|LISTEN_)/ } keys %ENV };
    $self->{env} = { HOME => $dir, CANDHOOK_CONF => "$dir/candhook.conf", LC_ALL => 'C' };
    return $self;
}

# Where the sources are, and where they were built; make says both.
my $top_srcdir   = Cwd::abs_path($ENV{top_srcdir} // __FILE__ =~ s{[^/]+$}{../..}r);
my $top_builddir = Cwd::abs_path($ENV{top_builddir} // $top_srcdir);

sub source_path ($file) { return "$top_srcdir/$file" }
sub build_path ($file) { return "$top_builddir/$file" }

# Whether the programs are built with sanitizers or for coverage: what these write at a process's end, no confined one may.
sub instrumented {
    state $is = do {
        open my $makefile, '<', build_path('Makefile') or die "no Makefile in the build folder: $!\n";
        scalar grep { /^HARDEN_CFLAGS = .*(?:-fsanitize|--coverage)/ } <$makefile>;
    };
    return $is;
}

sub random_word ($length) {
    return join '', map { ('a' .. 'z', 0 .. 9)[ rand 36 ] } 1 .. $length;
}

# The user that everything runs as: undef stands for whoever runs the test.
sub choose_user ($self) {
    return undef if $> != 0;
    for my $name (qw(postgres nobody)) {
        my (undef, undef, $uid, $gid) = getpwnam $name;
        return { name => $name, uid => $uid, gid => $gid } if $uid;
    }
    die "run as root, the tests need the user postgres or nobody\n";
}

sub own ($self, @paths) {
    my $user = $self->{user} or return;
    chown $user->{uid}, $user->{gid}, @paths or die "cannot give @paths to $user->{name}: $!\n";
}

sub make_folder ($self, $name, $mode = 0700) {
    my $path = "$self->{dir}/$name";
    -d $path or mkdir $path or die "cannot make $path: $!\n";
    chmod $mode, $path;
    $self->own($path);
    return $path;
}

# Writes a file of the rig's user; a relative name lies in the rig's folder. Returns its path.
sub write_file ($self, $name, $text, $mode = 0600) {
    my $path = $name =~ m{^/} ? $name : "$self->{dir}/$name";
    open my $file, '>:raw', $path or die "cannot write $path: $!\n";
    print {$file} $text;
    close $file or die "cannot write $path: $!\n";
    chmod $mode, $path;
    $self->own($path);
    return $path;
}

sub read_file ($self, $name) {
    my $path = $name =~ m{^/} ? $name : "$self->{dir}/$name";
    open my $file, '<:raw', $path or return '';
    local $/;
    return scalar <$file> // '';
}

# Puts a copy of a program into bin, by renaming: a running copy keeps its file, a watcher sees a new one.
sub install_program ($self, $source, $name = $source =~ s{.*/}{}r) {
    my $path = "$self->{dir}/bin/$name";
    File::Copy::copy($source, "$path.new") or die "cannot copy $source: $!\n";
    chmod 0755, "$path.new";
    $self->own("$path.new");
    rename "$path.new", $path or die "cannot rename $path.new: $!\n";
    return $path;
}

sub program ($self, $name) {
    my $path = "$self->{dir}/bin/$name";
    -x $path or die "$name is not built: run make first, or set top_builddir\n";
    return $path;
}

sub secret ($self) { return $self->{secret} }

# The path that the shipped front configurations mount, with the secret.
sub path ($self) { return "/candhook/$self->{secret}" }

# Writes candhook.conf and the secrets. A key with an undefined value is left out.
sub conf ($self, %override) {
    my $dir = $self->{dir};
    my %key = (
        database       => $self->{cluster} ? $self->conninfo : "host=$dir dbname=candhook user=postgres",
        spool          => "$dir/spool",
        url_secrets    => "$dir/secrets",
        handler_dir    => "$dir/handlers",
        log            => "$dir/log/candhook.log",
        worker_program => "$dir/bin/candhook",
        web_key        => "$dir/web.key",
        web_users      => "$dir/web.users",
        confine        => instrumented() ? 'no' : undef,
        %override
    );
    my @lines = map { "$_ = $key{$_}\n" } grep { defined $key{$_} } sort keys %key;

    $self->{conf} = \%key;
    $self->write_file('secrets', "$self->{secret} rig\n") if !-e "$dir/secrets";
    return $self->write_file('candhook.conf', join '', "[candhook]\n", @lines);
}

# The text of an event; every member can be given.
sub event ($self, %member) {
    my %event = (
        module  => 'MOIM',
        type    => 'product.created',
        context => {
            originCommunityId => 'G00O7NKV9M',
            userId            => 'UAKDIJ23KD',
            communityId       => 'G0IZUDWCL',
            profileId         => 'UAKDIJ23KE'
        },
        payload => { id => 'CP:AK290DKFJD' },
        %member
    );
    return JSON::PP->new->canonical->utf8->encode(\%event);
}

# Polls until the condition holds; dies when it does not in time. A condition that dies does not hold yet.
sub wait_until ($self, $condition, $what, $seconds = 30) {
    my $end = Rig::Process::now() + $seconds;
    my $error = '';
    my $pause = 0.001;

    while (1) {
        my $holds = eval { $condition->() };
        return $holds if $holds;
        $error = $@ ? " ($@)" : '';
        last if Rig::Process::now() > $end;
        select undef, undef, undef, $pause;
        $pause = 0.02 if ($pause *= 2) > 0.02;
    }
    die "waited $seconds s in vain until $what$error\n";
}

# The last lines of every log, for a person who must find out why a test failed.
sub diag_logs ($self, $lines = 30) {
    for my $log (sort glob "$self->{dir}/log/*") {
        my @tail = split /\n/, $self->read_file($log);
        @tail = @tail[ -$lines .. -1 ] if @tail > $lines;
        Test::More::diag(join "\n", "--- $log", @tail) if @tail;
    }
}

# What a sanitizer found in a program of the rig (tests/sanitizer_options.c) fails the test, whatever that made of it.
sub sanitizer_reports ($self) {
    return map { Test::More::diag("--- $_", $self->read_file($_)); $_ } glob "$self->{dir}/sanitizer/*";
}

# Ends every process and removes the folder. Called at the end of the test, at the latest.
sub end ($self) {
    return if $self->{ended}++;
    $self->end_processes;
    $found += $self->sanitizer_reports;
    File::Path::remove_tree($self->{dir}, { safe => 0 });
    Test::More::diag("$self->{dir} is still there") if -e $self->{dir};
}

END {
    if ($$ == $owner) {
        my $status = $?;
        my $failed = $status || !Test::More->builder->is_passing;
        for my $rig (@rigs) {
            next if $rig->{ended};
            $rig->diag_logs if $failed;
            $rig->end;
        }
        $? = $status || ($found ? 1 : 0);
    }
}

1;
