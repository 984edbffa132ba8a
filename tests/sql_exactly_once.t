# SPDX-License-Identifier: ISC
#
# The effect of an sql handler happens exactly once, whatever is killed between any two steps: under load, the worker with
# all of its processes, one of its runners, the server process that records, or the whole database server is killed without
# warning, or the schema is installed once more; again and again. The moments are chosen by the steps themselves: when
# events are recorded, claimed, in the middle of a batch, or settled. In the end every event has left its mark once, and
# nothing is left over.
use v5.36;
use Test::More;
use POSIX ();
use Rig;

my $rig = Rig->new;
my ($rounds, $size) = (40, 80);
$rig->cluster;
$rig->conf(runners => 2);
$rig->schema;
# Each attempt takes a moment, so that there is a middle of a batch; the sequence shows, outside of any transaction, how
# far they are. The first attempt at every fourth event fails, so there is something to claim, too.
$rig->sql(<<'END');
create schema t;
create table t.effect (event_id uuid);
create sequence t.begun;
create function t.mark(event candhook.event, bot_token text) returns text language plpgsql security definer as $$
begin
    insert into t.effect (event_id) values (event.id);
    perform nextval('t.begun'), pg_sleep(0.0002);
    if right(event.payload ->> 'n', 1) in ('0', '4', '8')
       and not exists (select from candhook.outcome o where o.received_at = event.received_at and o.event_id = event.id) then
        raise exception 'not at first';
    end if;
    return 'marked';
end $$;
grant usage on schema t to public;
grant insert on t.effect to public;
grant usage on t.begun to public;
select candhook.add_handler('mark', 'MOIM', '*', 'sql', 't.mark', max_attempts => 1000, first_delay => '10 ms', max_delay => '50 ms');
END
$rig->{socket} = "$rig->{dir}/candhook.sock";
$rig->wait_for_socket($rig->spawn('responder', $rig->program('candhook.fcgi'), '--no-worker', '--listen', $rig->{socket}), $rig->{socket});
$rig->nginx;
my $worker;
sub start_worker { $worker = $rig->spawn('worker', $rig->program('candhook'), 'work') }
start_worker();

# Posts in a process of its own, so that the killing falls into the load. Its exit status says that all were taken.
sub post ($round) {
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;
    my @answers = $rig->post_many($rig->path, [ map { $rig->event(payload => { n => "$round-$_" }) } 1 .. $size ], 10);
    POSIX::_exit((grep { $_ != 200 } @answers) ? 1 : 0);
}

# The steps to kill at. Each is a number that grows or a state that comes; a round waits until it has seen it.
my %step = (
    recorded => sub ($before, $more) { $rig->sql('select count(*) from candhook.event') >= $before->{recorded} + $more },
    claimed  => sub ($before, $more) { $rig->sql('select exists (select from candhook.delivery where lease is not null)') eq 't' },
    begun    => sub ($before, $more) { $rig->sql('select last_value from t.begun') >= $before->{begun} + $more },
    settled  => sub ($before, $more) { $rig->sql(q{select count(*) from candhook.outcome where result = 'ok'}) >= $before->{settled} + $more }
);
my @steps = sort keys %step;
my %kill = (
    worker => sub { kill KILL => -$worker; $rig->wait_gone($worker); start_worker() },
    backend => sub {
        my $recorder = $rig->sql(q{select pid from pg_stat_activity where query like '%candhook_internal.record%' and pid <> pg_backend_pid() limit 1});
        my $again = sub { scalar(() = $rig->read_file('log/postgres.log') =~ /all server processes terminated; reinitializing/g) };
        my $before = $again->();
        return if !$recorder || !kill KILL => $recorder;
        $rig->wait_until(sub { $again->() > $before }, 'the server begins anew');
        $rig->wait_until(sub { eval { $rig->sql('select 1') } }, 'and is there again');
    },
    schema => sub { $rig->schema_file },
    runner => sub { my @runners = $rig->children($worker); kill KILL => $runners[ rand @runners ] if @runners },
    server => sub { $rig->pg_kill9; $rig->pg_start }
);
my @kills = sort keys %kill;

my ($missed, $all_taken) = (0, 1);
for my $round (0 .. $rounds - 1) {
    my ($what, $at) = ($kills[ $round % @kills ], $steps[ ($round / @kills) % @steps ]);
    my ($recorded, $begun, $settled) = split /\|/,
      $rig->sql(q{select (select count(*) from candhook.event), (select last_value from t.begun), (select count(*) from candhook.outcome where result = 'ok')});
    my $before = { recorded => $recorded, begun => $begun, settled => $settled };
    my $more = 1 + int rand $size / 2;
    my $poster = post($round);
    eval { $rig->wait_until(sub { $step{$at}->($before, $more) }, "$at $more", 20); 1 } or $missed++ && diag "round $round: $@";
    $kill{$what}->();
    waitpid $poster, 0;
    $all_taken = 0 if $? != 0;
}
ok $all_taken, 'every event was taken meanwhile';
cmp_ok $missed, '<=', 3, 'nearly all were killed in the middle of the work';

my $taken = $rounds * $size;
eval { $rig->wait_until(sub { $rig->sql('select (select count(*) from candhook.event) = ' . $taken . ' and not exists (select from candhook.delivery)') eq 't' }, 'all is done', 120); 1 }
  or diag $@;
is $rig->sql('select count(*) from candhook.delivery'), 0, 'no delivery is left';
is $rig->sql('select count(*), count(distinct event_id) from t.effect'), "$taken|$taken", 'each event has left its mark, once';
is $rig->sql(q{select count(*), count(distinct payload ->> 'n') from candhook.event}), "$taken|$taken", 'each is recorded, once';
is $rig->sql(q{select count(*), count(distinct event_id) from candhook.outcome where result = 'ok'}), "$taken|$taken", 'and has one outcome that is ok';
is $rig->sql(q{select count(*) from candhook.outcome where result = 'failed'}), 0, 'and none that failed';
cmp_ok $rig->sql(q{select count(*) from candhook.outcome where detail like 'attempt lost%'}), '>', 0, 'attempts were lost, so the killing hit something';
done_testing;
