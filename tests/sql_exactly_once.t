# SPDX-License-Identifier: ISC
#
# The effect of an sql handler happens exactly once, whatever is killed: under load, the worker's main process, one of its
# runners, or the whole database server is killed without warning, again and again, at moments that progress chooses; and
# in the end every event has left its mark once, and nothing is left over.
use v5.36;
use Test::More;
use Rig;

my $rig = Rig->new;
my ($rounds, $events) = (12, 1500);
$rig->cluster;
$rig->conf(runners => 2);
$rig->schema;
$rig->sql(<<'END');
create schema t;
create table t.effect (event_id uuid, worker integer default pg_backend_pid());
create function t.mark(event candhook.event, bot_token text) returns text language plpgsql as $$
begin
    insert into t.effect (event_id) values (event.id);
    return 'marked';
end $$;
grant usage on schema t to public;
grant insert on t.effect to public;
select candhook.add_handler('mark', 'MOIM', '*', 'sql', 't.mark', max_attempts => 1000, first_delay => '10 ms', max_delay => '50 ms');
END
$rig->responder;
$rig->nginx;

my $taken = 0;
sub marked { return eval { $rig->sql('select count(*) from t.effect') } // 0 }

for my $round (1 .. $rounds) {
    my @answers = $rig->post_many($rig->path, [ map { $rig->event(payload => { n => $_ }) } 1 .. $events / $rounds ]);
    $taken += grep { $_ == 200 } @answers;
    my $before = marked();
    my $half = $taken - ($taken - $before) * rand;
    $rig->wait_until(sub { marked() >= $half || $rig->worker_pid }, 'work goes on');
    my $worker = $rig->worker_pid;
    my @runners = $worker ? $rig->children($worker) : ();
    if ($round % 3 == 0) {
        $rig->pg_kill9;
        $rig->pg_start;
    } elsif ($round % 3 == 1 && $worker) {
        kill KILL => $worker;
        $rig->wait_gone($_) for $worker, @runners;
    } elsif (@runners) {
        kill KILL => $runners[ rand @runners ];
    }
}
is $taken, $events, 'every event was taken meanwhile';
$rig->wait_until(sub { marked() >= $taken && $rig->sql('select count(*) from candhook.delivery') == 0 }, 'all is done', 120);
is $rig->sql('select count(*), count(distinct event_id) from t.effect'), "$taken|$taken", 'each has left its mark, once';
is $rig->sql('select count(*) from candhook.event'), $taken, 'each is recorded, once';
is $rig->sql(q{select count(*), count(distinct event_id) from candhook.outcome where result = 'ok'}), "$taken|$taken", 'and has one outcome that is ok';
is $rig->sql(q{select count(*) from candhook.outcome where result = 'failed'}), 0, 'and none that failed';
note $rig->sql(q{select count(*) || ' attempts were lost' from candhook.outcome where result = 'retry'});
done_testing;
