# SPDX-License-Identifier: ISC
#
# The PostgreSQL of a rig: a cluster in the rig's folder, reached by a unix socket there and by nothing else.
package Rig::Database;
use v5.36;

use Fcntl      ();
use File::Path ();
use Rig::Psql  ();

# Which SQL wants a psql of its own. Its own commands change what it is; settings of a database or a role are those of new
# sessions; a database that is copied or dropped may have none; one that stays counts itself, and reports its work later.
my $has_commands = qr/^\s*\\|\\g(?!set\b)/m;
my $needs_no_other = qr/\b(?:create|alter|drop)\s+database\b|\balter\s+(?:role|user)\b|\bpg_stat_(?!activity)/i;

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
    $self->copy_template || $self->make_cluster("$dir/pg");
    my @lines = map { "$_ = $self->{cluster}{$_}\n" } sort keys %{ $self->{cluster} };
    $self->write_file('pg/postgresql.auto.conf', join '', @lines);
    $self->pg_start;
}

# initdb, and the database candhook by a server without clients.
sub make_cluster ($self, $data) {
    my ($status, $out, $err) = $self->run({}, bindir() . '/initdb', '--no-sync', '-A', 'trust', '-U', 'postgres', '-E',
        'UTF8', '--locale=C.UTF-8', '-D', $data);
    $status == 0 or die "initdb: $out$err\n";
    ($status, $out, $err) = $self->run({ stdin => "create database candhook\n" }, bindir() . '/postgres', '--single', '-F', '-D', $data, 'postgres');
    $status == 0 && $err !~ /ERROR|FATAL/ or die "postgres --single: $out$err\n";
}

# initdb takes a second: the first test of a build leaves what it made in the build folder, and the others copy that.
# Returns false where it cannot be had.
sub copy_template ($self) {
    my $folder = Rig::build_path('tests');
    my $template = "$folder/cluster-" . join '-', (stat bindir() . '/initdb')[7, 9];

    return 0 if !-d $folder || !-w _;
    open my $lock, '>>', "$folder/cluster.lock" or return 0;
    flock $lock, Fcntl::LOCK_EX() or return 0;
    if (!-d $template) {
        $self->make_cluster("$self->{dir}/template");
        system('cp', '-r', "$self->{dir}/template", "$template.new") == 0 && rename "$template.new", $template or return 0;
        File::Path::remove_tree("$self->{dir}/template", { safe => 0 });
    }
    close $lock;
    system('cp', '-r', '--reflink=auto', $template, "$self->{dir}/pg") == 0 or die "cannot copy $template\n";
    chmod 0700, "$self->{dir}/pg";
    if (my $user = $self->{user}) {
        system('chown', '-R', "$user->{uid}:$user->{gid}", "$self->{dir}/pg") == 0 or die "cannot give away the cluster\n";
    }
    return 1;
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

# A rig has up to two servers, in these folders and on these ports of its socket: the primary, and a standby.
my %port_of = (pg => 5432, standby => 5433);
sub primary ($self) { return $self->{primary} //= 'pg' }
sub standby ($self) { return $self->primary eq 'pg' ? 'standby' : 'pg' }

# Starts the server in a folder. Returns its pid.
sub start_server ($self, $folder, $name) {
    return $self->spawn($name, { signal => 'INT' }, bindir() . '/postgres', '-D', "$self->{dir}/$folder", '-c', "port=$port_of{$folder}");
}

sub pg_start ($self) {
    my $folder = $self->primary;
    $self->{postmaster} = $self->start_server($folder, 'postgres');
    $self->wait_until(
        sub {
            die "it ended: " . $self->read_file('log/postgres.log') if !$self->running($self->{postmaster});
            my @lines = split /\n/, $self->read_file("$folder/postmaster.pid");
            return @lines >= 8 && $lines[0] == $self->{postmaster} && $lines[7] =~ /^ready/;
        },
        'PostgreSQL is ready'
    );
}

# Makes a standby from the primary, in the place of what was there; it is not started.
sub standby_make ($self) {
    my $folder = "$self->{dir}/" . $self->standby;
    File::Path::remove_tree($folder, { safe => 0 });
    my ($status, $out, $err) = $self->run({}, bindir() . '/pg_basebackup', '-D', $folder, '-R', '-X', 'stream', '-c', 'fast', '--no-sync',
        '-d', $self->conninfo(application_name => 'standby'));
    $status == 0 or die "pg_basebackup: $out$err\n";
}

sub standby_start ($self) {
    my $pid = $self->{standby_pid} = $self->start_server($self->standby, 'standby');
    $self->wait_until(
        sub {
            die "it ended: " . $self->read_file('log/standby.log') if !$self->running($pid);
            return ($self->run_sql('select 1', port => $port_of{ $self->standby }))[0] == 0;
        },
        'the standby takes connections'
    );
}

sub standby_stop ($self) {
    $self->psql_close;
    $self->stop(delete $self->{standby_pid} // die("no standby runs\n"), 'INT');
}

# The standby becomes the primary; the one before must be gone.
sub promote ($self) {
    $self->sql('select pg_promote()', port => $port_of{ $self->standby });
    $self->{primary} = $self->standby;
    $self->{postmaster} = delete $self->{standby_pid};
}

# The quick end in good order: connections are cut, everything is written.
sub pg_stop ($self) {
    my $pid = delete $self->{postmaster} or die "PostgreSQL does not run\n";
    $self->psql_close;
    $self->stop($pid, 'INT');
}

# The end without any order, of the server and all of its children.
sub pg_kill9 ($self) {
    my $pid = delete $self->{postmaster} or die "PostgreSQL does not run\n";
    $self->psql_close;
    # Stopped, it starts no further child, which would live on and keep the next server from starting.
    kill STOP => $pid;
    $self->wait_until(sub { ((Rig::Process::stat_of($pid))[0] // 'Z') =~ /[TZ]/ }, 'the postmaster has stopped');
    my @children = $self->children($pid);
    kill KILL => $pid, @children;
    $self->wait_gone($_) for $pid, @children;
}

# Starts pgbouncer before the primary; its socket is in the folder b, port 6432. Options are settings of pgbouncer. Returns its
# pid, undef where it is not installed.
sub pgbouncer ($self, %setting) {
    my $dir = $self->{dir};
    my $program = $self->have('pgbouncer') ? 'pgbouncer' : -x '/usr/sbin/pgbouncer' ? '/usr/sbin/pgbouncer' : return undef;
    %setting = (listen_addr => '', listen_port => 6432, unix_socket_dir => "$dir/b", auth_type => 'any', max_client_conn => 50,
        ignore_startup_parameters => 'extra_float_digits', %setting);
    my $user = delete $setting{user} // 'postgres';
    $self->make_folder('b');
    $self->write_file('b/ini', join "\n", '[databases]', "candhook = host=$dir port=5432 dbname=candhook user=$user", '[pgbouncer]', (map { "$_ = $setting{$_}" } sort keys %setting), '');
    my $pid = $self->spawn('pgbouncer', $program, '-q', "$dir/b/ini");
    $self->wait_until(sub { -S "$dir/b/.s.PGSQL.6432" }, 'pgbouncer listens');
    return $pid;
}

sub conninfo ($self, %member) {
    my %part = (host => $self->{dir}, dbname => 'candhook', user => 'postgres', %member);
    $part{port} //= $port_of{ $self->primary } if $self->primary ne 'pg';
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

# By a psql that stays, where a session that is not new makes no difference: starting psql and a backend costs 20 ms, and
# some tests ask a thousand times.
sub run_sql ($self, $text, %member) {
    my @command = ($self->psql_command(%member), '-v', 'ON_ERROR_STOP=1');

    $self->psql_close if $text =~ $needs_no_other;
    return $self->run({ stdin => $text }, @command) if length $text > 32_000 || $text =~ /$has_commands|$needs_no_other/;
    # The pool is this process's own: a test may fork.
    my $pool = $self->{psql}{$$} //= {};
    my @said;
    while (!@said) {
        my $psql = $pool->{"@command"} //= Rig::Psql->new($self, @command);
        @said = $psql->run($text);
        delete $pool->{"@command"} if $psql->{ended};
    }
    return @said;
}

sub psql_close ($self) {
    my $pool = delete $self->{psql}{$$} // {};
    $_->close for values %$pool;
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
    return Rig::Psql::Session->new($self, %member);
}

1;
