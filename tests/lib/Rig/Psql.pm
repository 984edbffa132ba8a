# SPDX-License-Identifier: ISC
#
# Two kinds of psql that stay: Rig::Psql runs each text as a psql of its own would, Rig::Psql::Session is one session whose
# state the test is about.
package Rig::Psql;
use v5.36;

sub new ($class, $rig, @command) {
    pipe my $stdin, my $to     or die "pipe: $!\n";
    pipe my $out,   my $stdout or die "pipe: $!\n";
    pipe my $err,   my $stderr or die "pipe: $!\n";
    my $pid = $rig->start({ in => $stdin, out => $stdout, err => $stderr }, @command);
    $to->autoflush(1);
    return bless { rig => $rig, pid => $pid, to => $to, from => [ $out, $err ], count => 0 }, $class;
}

# Returns (exit status, stdout, stderr) as a psql that got the text alone; the status is 0 or psql has ended. Returns nothing
# when the connection was lost before: the text has not run then. Afterwards the session is as new: nothing is open or set.
sub run ($self, $text) {
    my $mark = '<<<' . ++$self->{count} . '>>>';
    my @said = ('', '');

    print { $self->{to} } "select 1 \\g /dev/null\n\\echo $mark\n\\warn $mark\n$text\n;\n\\echo $mark\n\\warn $mark\n",
      "begin; rollback; discard all;\n\\echo $mark\n\\warn $mark\n";
    my $ended = !$self->read_to($mark, \@said);
    my ($status) = $ended ? $self->end : 0;
    my @parts = map { [ split /\Q$mark\E\n/, $_, -1 ] } @said;
    # A new one has found no server, or was refused.
    return ($status, @said) if @{ $parts[0] } < 2 && $self->{count} == 1;
    return if @{ $parts[0] } < 2;
    return ($status, map { $_->[1] // '' } @parts);
}

# Reads until both texts have the mark three times. False when psql has ended before.
sub read_to ($self, $mark, $said) {
    my $until = Rig::Process::now() + 60;
    my %open = (0 => 1, 1 => 1);

    while (my @wanted = grep { (() = $said->[$_] =~ /\Q$mark\E\n/g) < 3 } 0, 1) {
        my @from = grep { $open{$_} } 0, 1 or return 0;
        my $in = '';
        vec($in, fileno $self->{from}[$_], 1) = 1 for @from;
        my $left = $until - Rig::Process::now();
        $left > 0 && select($in, undef, undef, $left) or die "psql did not end in time: $said->[0]$said->[1]\n";
        for my $one (grep { vec $in, fileno $self->{from}[$_], 1 } @from) {
            sysread($self->{from}[$one], $said->[$one], 65536, length $said->[$one]) or delete $open{$one};
        }
    }
    return 1;
}

sub end ($self) {
    $self->{ended} = 1;
    return $self->{rig}->wait_pid($self->{pid}, 30) // die "psql did not end\n";
}

# The session has nothing open, so its end needs no order.
sub close ($self) {
    kill KILL => $self->{pid};
    $self->end;
}

# A long-lived psql, for tests with two sessions. What it prints and its errors come back in one text, in order.
package Rig::Psql::Session;
use v5.36;

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

# What the SQL sent last has printed, or undef while it still runs, after so many seconds of waiting for it.
sub ready ($self, $seconds = 0) {
    my $mark = "<<<$self->{count}>>>\n";
    while (index($self->{text}, $mark) < 0) {
        my $in = '';
        vec($in, fileno $self->{from}, 1) = 1;
        return undef if select($in, undef, undef, $seconds) < 1;
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
    return $self->ready(30) // die "waited 30 s in vain until the session answers\n";
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
