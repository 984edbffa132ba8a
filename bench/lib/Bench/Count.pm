# SPDX-License-Identifier: ISC
#
# What the database says of a load: what is recorded and handled, when, and what of the acknowledged is missing. The time
# of recording is that of the commit (track_commit_timestamp), for candhook as for its peers.
package Bench::Count;
use v5.36;

use Time::HiRes ();

# What differs between candhook's tables and the peers'.
my %table = (
    candhook => {
        event   => 'candhook.event e',
        outcome => "candhook.outcome o join candhook.event e on e.received_at = o.received_at and e.id = o.event_id and o.result = 'ok'",
        payload => 'e.payload',
    },
    peer => {
        event   => 'peer.event e',
        outcome => "peer.outcome o join peer.event e on e.id = o.event_id and o.result = 'ok'",
        payload => "(e.body -> 'payload')",
    },
);

sub table_of ($self, $running) { return $table{ $running->{tables} } }

# How many rows there are: a cheap question for those who wait. (recorded, handled)
sub rows ($self, $running) {
    my $schema = $running->{tables};
    my $done = $schema eq 'candhook' ? "candhook.outcome where result = 'ok'" : 'peer.outcome';
    return split /\|/, $self->ask("select (select count(*) from $schema.event), (select count(*) from $done);");
}

# One session that stays: a new one for each question would cost the database more than some thousand events do, and be
# counted as theirs.
sub ask ($self, $sql) {
    $self->{watch} //= $self->psql_session;
    return $self->{watch}->query($sql);
}

# Waits until WANTED more events than before are handled. Gives up when nothing moves for so many seconds. Returns whether
# all came.
sub wait_done ($self, $running, $wanted, $patience = 6) {
    my ($last, $moved) = (-1, Time::HiRes::time());
    while (1) {
        # While deliveries wait the rows need not be counted.
        my $busy = $running->{tables} eq 'candhook' && $self->ask('select exists (select from candhook.delivery);') eq 't'
          && Time::HiRes::time() - $moved < $patience;
        my $now = $busy ? $last : ($self->rows($running))[1];
        return 1 if !$busy && $now >= $wanted;
        $moved = Time::HiRes::time() if !$busy && $now != $last;
        $last = $now;
        return 0 if Time::HiRes::time() - $moved > $patience;
        Time::HiRes::sleep(0.1);
    }
}

# Counts and times of a load: recorded, handled, the last commits as seconds since the epoch.
sub tally ($self, $running, $prefix) {
    my $table = $self->table_of($running);
    my %tally;
    for my $what (qw(event outcome)) {
        my $alias = $what eq 'event' ? 'e' : 'o';
        my ($count, $last) = split /\|/, $self->sql(<<"END");
select count(*), extract(epoch from max(pg_xact_commit_timestamp($alias.xmin)))
  from $table->{$what} where $table->{payload} ->> 'id' like '$prefix-%'
END
        $tally{$what} = { count => $count, last => $last || 0 };
    }
    return \%tally;
}

# Parts of the times from receipt to the commit of event and outcome, in ms: { event => {p50, p99, max}, outcome => … }; undef
# where there is none. A peer's time of receipt is that of its transaction, so what it waited for a connection is left out.
sub delays ($self, $running, $prefix) {
    my $table = $self->table_of($running);
    my %delays;
    for my $what (qw(event outcome)) {
        my $alias = $what eq 'event' ? 'e' : 'o';
        my @part = split /\|/, $self->sql(<<"END");
with delay as (
    select greatest(0, extract(epoch from pg_xact_commit_timestamp($alias.xmin) - e.received_at) * 1000) as ms
      from $table->{$what} where $table->{payload} ->> 'id' like '$prefix-%')
select percentile_disc(0.5) within group (order by ms), percentile_disc(0.99) within group (order by ms), max(ms) from delay
END
        $delays{$what} = {};
        @{ $delays{$what} }{qw(p50 p99 max)} = map { 0 + $_ } @part if @part;
    }
    return \%delays;
}

# Events that were acknowledged and are not in the database, or, of outcome, were not handled: exactly, by their numbers.
sub lost ($self, $running, $load, $prefix, $what = 'event') {
    my $table = $self->table_of($running);
    my $there = '';
    for my $number (split /\n/, $self->sql("select right($table->{payload} ->> 'id', 10) from $table->{$what} where $table->{payload} ->> 'id' like '$prefix-%'")) {
        vec($there, $number, 1) = 1;
    }
    my $lost = 0;
    open my $in, '<', $load->{acknowledged_file} or die "$load->{acknowledged_file}: $!\n";
    while (my $line = <$in>) {
        my ($first, $last) = split ' ', $line;
        $lost += grep { !vec($there, $_, 1) } $first .. $last;
    }
    return $lost;
}

1;
