# SPDX-License-Identifier: ISC
#
# How a runner goes about handlers of kind sql: what it only locks and what it leases first, and what it does when a batch
# fails as a whole: the one at fault is found, and the others run, once.
use v5.36;
use Test::More;
use HandlerRig;

my $rig = HandlerRig->new(runners => 1);
$rig->sql(<<'END');
create table t.effect (event_id uuid);
create function t.tell(event candhook.event, bot_token text) returns text language plpgsql security definer as $$
begin
    insert into t.effect (event_id) values (event.id);
    if event.payload ? 'slow' then
        perform pg_sleep(60);
    end if;
    return (select case when d.lease is null then 'locked' else 'leased' end from candhook.delivery d where d.event_id = event.id);
end $$;
grant usage on schema t to public;
END
my $worker = $rig->start_worker;
$rig->handler('tell', kind => 'sql', target => 't.tell', max_attempts => 2, timeout => '300 ms');

$rig->event_of('tell');
is_deeply $rig->settled('tell', 1), ['ok|leased'], 'what a runner claims first is leased';
$rig->event_of('tell');
is_deeply [ sort @{ $rig->settled('tell', 2) } ], [ 'ok|leased', 'ok|locked' ], 'then it only locks';

# One whose event was dropped, with its month.
my $gone = HandlerRig::new_id();
$rig->sql("insert into candhook.delivery (event_id, received_at, handler) values ('$gone', candhook.received_at('$gone'), 'tell'); select pg_notify('candhook', '')");
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.delivery') == 0 }, 'what has no event any more is cleaned away');
is $rig->sql(q{select count(*) from candhook.outcome}), 2, 'a delivery without its event leaves nothing, and nobody spins';
kill KILL => $rig->children($worker);
$rig->event_of('tell');
is_deeply [ sort @{ $rig->settled('tell', 3) } ], [ 'ok|leased', 'ok|leased', 'ok|locked' ], 'a new runner begins with a lease';
$rig->event_of('tell');
is scalar(grep { $_ eq 'ok|locked' } @{ $rig->settled('tell', 4) }), 2, 'and locks again';

my @ids = $rig->events_of('tell', [ map { $_ == 7 ? { slow => 1 } : { n => $_ } } 0 .. 19 ]);
my @results = @{ $rig->settled('tell', 24) };
is scalar(grep { $_ eq 'ok|leased' } @results), 21, 'after a batch that ran past the time limit it leases';
like join("\n", @results), qr/^failed\|.*statement timeout/m, 'the one at fault has failed';
is $rig->sql("select string_agg(result, ' ' order by attempt) from candhook.outcome where event_id = '$ids[7]'"), 'retry failed', 'when its attempts were used up';
is $rig->sql(q{select count(*) from candhook.outcome where attempt > 1}), 1, 'the others needed one attempt';
is $rig->sql('select count(*), count(distinct event_id) from t.effect'), '23|23', 'and have one effect each';
$rig->event_of('tell');
is scalar(grep { $_ eq 'ok|leased' } @{ $rig->settled('tell', 25) }), 22, 'it goes on with leases for a while';
done_testing;
