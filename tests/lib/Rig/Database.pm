# SPDX-License-Identifier: ISC
#
# The PostgreSQL of a rig: a cluster in the rig's folder, reached by a unix socket there and by nothing else.
package Rig::Database;
use v5.36;

# Makes and starts a cluster with an empty database. Options are settings: cluster(fsync => 'on'). Without fsync a test
# of a killed database still means something (the kernel keeps what was written); one of a power cut does not.
sub cluster ($self, %setting) {
    my $dir = $self->{dir};
    $self->{cluster} = {
        fsync              => 'off',
        listen_addresses   => "''",
        max_connections    => 50,
        shared_buffers     => '16MB',
        log_line_prefix    => "'%m [%p] %q%u@%d '",
        %setting,
        unix_socket_directories => quoted($dir)
    };
    my ($status, $out, $err) = $self->run({}, bindir() . '/initdb', '--no-sync', '-A', 'trust', '-U', 'postgres', '-E',
        'UTF8', '--locale=C.UTF-8', '-D', "$dir/pg");
    $status == 0 or die "initdb: $out$err\n";
    my @lines = map { "$_ = $self->{cluster}{$_}\n" } sort keys %{ $self->{cluster} };
    $self->write_file('pg/postgresql.auto.conf', join '', @lines);
    $self->pg_start;
    $self->sql('create database candhook', dbname => 'postgres');
}

sub quoted ($text) {
    return "'" . $text =~ s/(['\\])/$1$1/gr . "'";
}

# Where the server's programs lie: what pg_config says, if they are there, else the newest that is installed.
sub bindir {
    state $found = do {
        my $said = `pg_config --bindir 2>/dev/null` // '';
        chomp $said;
        my @installed = sort { ($b =~ /(\d+)/)[0] <=> ($a =~ /(\d+)/)[0] } glob '/usr/lib/postgresql/*/bin';
        my ($first) = grep { -x "$_/initdb" && -x "$_/postgres" } grep { length } $said, @installed;
        $first // die "no PostgreSQL server found: neither `pg_config --bindir` nor /usr/lib/postgresql has initdb\n";
    };
    return $found;
}

sub pg_start ($self) {
    my $dir = $self->{dir};
    $self->{postmaster} =
      $self->spawn('postgres', { signal => 'INT' }, bindir() . '/postgres', '-D', "$dir/pg");
    $self->wait_until(
        sub {
            die "it ended: " . $self->read_file('log/postgres.log') if !$self->running($self->{postmaster});
            my @lines = split /\n/, $self->read_file('pg/postmaster.pid');
            return @lines >= 8 && $lines[0] == $self->{postmaster} && $lines[7] =~ /^ready/;
        },
        'PostgreSQL is ready'
    );
}

# The quick end in good order: connections are cut, everything is written.
sub pg_stop ($self) {
    my $pid = delete $self->{postmaster} or die "PostgreSQL does not run\n";
    $self->stop($pid, 'INT');
}

# The end without any order, of the server and all of its children.
sub pg_kill9 ($self) {
    my $pid = delete $self->{postmaster} or die "PostgreSQL does not run\n";
    my @children = $self->children($pid);
    kill KILL => $pid, @children;
    $self->wait_gone($_) for $pid, @children;
}

sub conninfo ($self, %member) {
    my %part = (host => $self->{dir}, dbname => 'candhook', user => 'postgres', %member);
    return join ' ', map { "$_=" . ($part{$_} =~ /^[\w.\/-]+$/ ? $part{$_} : quoted($part{$_})) } sort keys %part;
}

sub psql_command ($self, %member) {
    return (bindir() . '/psql', '-XAtq', '-d', $self->conninfo(%member));
}

# Runs SQL text (one transaction a statement) and returns what it prints, without the last line's end.
# Members of the conninfo can be given: sql('…', user => 'somebody').
sub sql ($self, $text, %member) {
    my ($status, $out, $err) = $self->run_sql($text, %member);
    $status == 0 or die "psql: $err\n--- in: $text\n";
    chomp $out;
    return $out;
}

# The message of SQL that must fail, '' when it does not.
sub sql_error ($self, $text, %member) {
    my ($status, undef, $err) = $self->run_sql($text, %member);
    return $status == 0 ? '' : $err;
}

sub run_sql ($self, $text, %member) {
    return $self->run({ stdin => $text }, $self->psql_command(%member), '-v', 'ON_ERROR_STOP=1');
}

# Installs the schema with the program.
sub schema ($self) {
    $self->conf if !-e "$self->{dir}/candhook.conf";
    return $self->candhook_ok('init');
}

# Installs the schema without the program: the joined file that make built.
sub schema_file ($self, $file = Rig::build_path('install.sql')) {
    open my $in, '<:raw', $file or die "cannot read $file: $!\n";
    local $/;
    return $self->sql(scalar <$in>);
}

sub psql_session ($self, %member) {
    return Rig::Database::Session->new($self, %member);
}

# A long-lived psql, for tests with two sessions. What it prints and its errors come back in one text, in order.
package Rig::Database::Session;
use v5.36;

use Errno ();

sub new ($class, $rig, %member) {
    pipe my $stdin,  my $to   or die "pipe: $!\n";
    pipe my $from,   my $stdout or die "pipe: $!\n";
    my $pid = $rig->start({ in => $stdin, out => $stdout, err => $stdout }, $rig->psql_command(%member));
    push @{ $rig->{processes} }, { name => 'psql', pid => $pid };
    $to->autoflush(1);
    return bless { rig => $rig, pid => $pid, to => $to, from => $from, text => '', count => 0 }, $class;
}

# Sends SQL and does not wait; it needs its semicolon.
sub async ($self, $text) {
    $self->{count}++;
    print { $self->{to} } "$text\n\\echo <<<$self->{count}>>>\n";
}

# What the SQL sent last has printed, or undef while it still runs.
sub ready ($self) {
    my $mark = "<<<$self->{count}>>>\n";
    while (index($self->{text}, $mark) < 0) {
        my $in = '';
        vec($in, fileno $self->{from}, 1) = 1;
        return undef if select($in, undef, undef, 0) < 1;
        sysread($self->{from}, $self->{text}, 65536, length $self->{text}) or die "psql ended: $self->{text}\n";
    }
    my $answer = substr $self->{text}, 0, index($self->{text}, $mark);
    substr($self->{text}, 0, index($self->{text}, $mark) + length $mark) = '';
    $self->{count} = 0;
    chomp $answer;
    return $answer;
}

# Waits for what the SQL sent last prints.
sub result ($self) {
    my $answer;
    $self->{rig}->wait_until(sub { defined($answer = $self->ready) }, 'the session answers');
    return $answer;
}

sub query ($self, $text) {
    $self->async($text);
    return $self->result;
}

# The pid of the session's backend.
sub backend ($self) {
    return $self->query('select pg_backend_pid();');
}

sub close ($self) {
    CORE::close $self->{to};
    $self->{rig}->wait_gone($self->{pid});
}

1;
