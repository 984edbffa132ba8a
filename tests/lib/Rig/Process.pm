# SPDX-License-Identifier: ISC
#
# The processes of a rig: programs that are run to their end, and servers that are started, found and ended. Every server
# leads a process group of its own and dies when the test is killed; at the end the groups are killed, and so is every
# process whose program lies in the rig's folder, whoever started it (the responder's monitor starts workers).
package Rig::Process;
use v5.36;

use Fcntl       ();
use POSIX       qw(:sys_wait_h);
use Time::HiRes ();

sub now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }

# The command as the rig's user; the signal is sent to it when the test itself dies.
sub as_user ($self, $signal, @command) {
    my $user = $self->{user};
    my @become = $user ? ("--reuid=$user->{uid}", "--regid=$user->{gid}", '--clear-groups') : ();
    state $setpriv = Rig::Front::which('setpriv');
    return ($setpriv, "--pdeathsig=$signal", @become, '--', @command);
}

# Options: in, out, err => handles; listener => what is to be fd 3; env => {name => value}; dir => where it runs; signal => at the death of the test.
sub start ($self, $option, @command) {
    my $pid = fork // die "cannot fork: $!\n";
    return $pid if $pid;

    # In the child nothing of the test may run on: whatever happens, it ends here.
    eval {
        POSIX::setpgid(0, 0);
        $SIG{$_} = 'DEFAULT' for qw(HUP INT TERM PIPE);
        my %env = (%{ $self->{env} }, %{ $option->{env} // {} });
        for my $name (keys %env) {
            defined $env{$name} ? ($ENV{$name} = $env{$name}) : delete $ENV{$name};
        }
        chdir($option->{dir} // $self->{dir}) or die "chdir: $!\n";
        open my $null, '<', '/dev/null' or die;
        POSIX::dup2(fileno($option->{in}  // $null),   0) // die;
        POSIX::dup2(fileno($option->{out} // \*STDOUT), 1) // die;
        POSIX::dup2(fileno($option->{err} // \*STDERR), 2) // die;
        if (my $listener = $option->{listener}) {
            # dup2 clears the flag that closes it at exec, but not where it is 3 already.
            fileno $listener == 3 ? fcntl $listener, Fcntl::F_SETFD(), 0 : POSIX::dup2(fileno $listener, 3) or die;
        }
        my @line = $self->as_user($option->{signal} // 'TERM', @command);
        exec { $line[0] } @line;
    };
    print STDERR "cannot run $command[0]: $! $@\n";
    POSIX::_exit(127);
}

# Runs a program to its end. Options as for start, with `stdin` a text, and `seconds` it may take.
# Returns (exit status, stdout, stderr); a program ended by a signal has the status 128 + signal, as in a shell.
sub run ($self, $option, @command) {
    my ($in, $out, $err) = map { scratch() } 1 .. 3;
    print {$in} $option->{stdin} // '';
    $in->flush;
    sysseek $in, 0, 0;
    my $pid = $self->start({ %$option, in => $in, out => $out, err => $err }, @command);
    my $status = $self->wait_pid($pid, $option->{seconds} // 60);
    if (!defined $status) {
        kill KILL => -$pid, $pid;
        waitpid $pid, 0;
        die "$command[0] did not end in time: ", slurp($err), "\n";
    }
    return ($status, slurp($out), slurp($err));
}

sub scratch {
    open my $file, '+>:raw', undef or die "cannot make a temporary file: $!\n";
    return $file;
}

sub slurp ($file) {
    sysseek $file, 0, 0;
    local $/;
    return scalar <$file> // '';
}

# Runs one of the rig's own programs: $rig->candhook('work', '--once'), with an option hash at the end if need be.
sub candhook ($self, @args) {
    my $option = ref $args[-1] ? pop @args : {};
    return $self->run($option, $self->program('candhook'), @args);
}

# The same for those who need it to work: dies with its words, returns its stdout.
sub candhook_ok ($self, @args) {
    my ($status, $out, $err) = $self->candhook(@args);
    my @words = grep { !ref } @args;
    $status == 0 or die "candhook @words: exit status $status: $err\n";
    return $out;
}

# Waits for a child of ours. Its status as in a shell, or undef when the time is over. SIGCHLD ends the pause early.
sub wait_pid ($self, $pid, $seconds) {
    my $end = now() + $seconds;
    local $SIG{CHLD} = sub { };
    my $pause = 0.001;
    while (1) {
        my $got = waitpid $pid, WNOHANG;
        return 0 if $got < 0;
        return WIFSIGNALED($?) ? 128 + WTERMSIG($?) : WEXITSTATUS($?) if $got == $pid;
        return undef if now() > $end;
        select undef, undef, undef, $pause;
        $pause = 0.02 if ($pause *= 2) > 0.02;
    }
}

# Starts a server; what it says goes to log/NAME.log. An option hash may come before the command. Returns the pid.
sub spawn ($self, $name, @command) {
    my $option = ref $command[0] ? shift @command : {};
    my $log = "$self->{dir}/log/$name.log";
    open my $out, '>>:raw', $log or die "cannot write $log: $!\n";
    $self->own($log);
    my $pid = $self->start({ out => $out, err => $out, %$option }, @command);
    push @{ $self->{processes} }, { name => $name, pid => $pid };
    return $pid;
}

# Whether a process runs. One of ours that ended is reaped; one of others may stay a zombie until its parent wakes, which
# can take a second.
sub running ($self, $pid) {
    return 0 if waitpid($pid, WNOHANG) == $pid;
    my ($state) = stat_of($pid) or return 0;
    return 1 if $state ne 'Z';
    waitpid $pid, WNOHANG;
    return 0;
}

# State and parent of a process; nothing when there is none.
sub stat_of ($pid) {
    open my $file, '<', "/proc/$pid/stat" or return;
    return (<$file> // '') =~ /.*\) (\S) (\d+)/;
}

# Waits for the end of a process, ours or not, that something else ends. Dies when it does not.
sub wait_gone ($self, $pid, $seconds = 30) {
    $self->wait_until(sub { !$self->running($pid) }, "process $pid is gone", $seconds);
    $self->forget($pid);
}

# TERM, and KILL to the whole group when that does not end it in time. Returns true when TERM was enough.
sub stop ($self, $pid, $signal = 'TERM', $seconds = 15) {
    kill $signal => $pid;
    my $good = eval { $self->wait_until(sub { !$self->running($pid) }, 'it is gone', $seconds) };
    if (!$good) {
        kill KILL => -$pid, $pid;
        $self->wait_until(sub { !$self->running($pid) }, "process $pid is killed");
    }
    $self->forget($pid);
    return $good ? 1 : 0;
}

# kill -9, and waits until it is gone; of candhook.fcgi the process that answers, too, which would end in good order.
sub kill9 ($self, $pid) {
    my @pids = ($pid, $self->answering($pid));
    kill KILL => @pids;
    $self->wait_gone($_) for @pids;
}

# The process that answers requests: the child of the one that was started (its monitor). None when it is none.
sub answering ($self, $monitor) {
    return if name_of($monitor) !~ /^candhook-monito/;
    my @found = grep { name_of($_) eq 'candhook.fcgi' } $self->children($monitor);
    return @found;
}

sub name_of ($pid) {
    open my $file, '<', "/proc/$pid/comm" or return '';
    return (<$file> // '') =~ s/\n\z//r;
}

sub forget ($self, $pid) {
    $self->{processes} = [ grep { $_->{pid} != $pid } @{ $self->{processes} } ];
}

# Every process: pid => [parent, name of the executable]. A process that dumps no core does not show its own to a plain
# user: then it is the one that the command line names, else ''.
sub process_table {
    my %table;
    for my $folder (glob '/proc/[0-9]*') {
        my ($pid) = $folder =~ /(\d+)$/;
        my ($state, $parent) = stat_of($pid) or next;
        next if $state eq 'Z';
        $table{$pid} = [ $parent, readlink("$folder/exe") // command_line(undef, $pid) =~ s/ .*//sr ];
    }
    return \%table;
}

sub children ($self, $pid) {
    my $table = process_table();
    my @found = grep { $table->{$_}[0] == $pid } keys %$table;
    return @found;
}

# The processes whose program lies in the rig's folder: all, or those of one program.
sub own_processes ($self, $program = '') {
    my $table = process_table();
    my $start = "$self->{dir}/bin/$program";
    my @found = grep {
        my $exe = $table->{$_}[1] =~ s/ \(deleted\)$//r;
        $program ? $exe eq $start : index($exe, "$self->{dir}/") == 0;
    } keys %$table;
    return @found;
}

sub command_line ($self, $pid) {
    open my $file, '<', "/proc/$pid/cmdline" or return '';
    local $/;
    return (<$file> // '') =~ tr/\0/ /r;
}

# All processes of `candhook work`, and the one that is the parent of the others (undef when there is none).
sub workers ($self) {
    my @found = grep { $self->command_line($_) =~ /^\S*candhook work/ } $self->own_processes('candhook');
    return @found;
}

sub worker_pid ($self) {
    my %worker = map { $_ => 1 } $self->workers;
    my $table = process_table();
    my ($top) = grep { $table->{$_} && !$worker{ $table->{$_}[0] } } sort { $a <=> $b } keys %worker;
    return $top;
}

sub end_processes ($self) {
    $self->psql_close;
    # Newest first, so the front ends before the responder, and that before the database, which gets its quick way to end.
    for my $process (reverse @{ $self->{processes} }) {
        next if $process->{name} eq 'postgres';
        eval { $self->stop($process->{pid}, 'TERM', 10); 1 } or warn "$process->{name}: $@";
        kill KILL => -$process->{pid};
    }
    for my $signal (qw(TERM KILL)) {
        my @left = $self->own_processes or last;
        kill $signal => @left;
        eval { $self->wait_until(sub { !$self->own_processes }, 'they are gone', 5) };
    }
    $self->pg_kill9 if $self->{postmaster};
}

1;
