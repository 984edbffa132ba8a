# SPDX-License-Identifier: ISC
#
# kill -9 of responder, recorder, runner and database under load: every event that was answered with 200 is recorded
# exactly once, and each has its sql handler's effect exactly once. What was answered otherwise may be there, once.
use v5.36;
use Test::More;
use POSIX ();
use Rig;

my $rig = Rig->new;
$rig->cluster;
$rig->conf(log_level => 'info');
$rig->schema;
$rig->sql(<<'END');
create schema app;
grant usage on schema app to candhook_handler;
create table app.effect (id text not null);
grant insert on app.effect to candhook_handler;
create function app.effect(event candhook.event, bot_token text) returns text language sql as $$
    insert into app.effect values (event.payload ->> 'id') returning null::text $$;
insert into candhook.handler (name, module, type, kind, target, first_delay, max_attempts)
values ('effect', 'MOIM', '*', 'sql', 'app.effect', '100 ms', 100);
END

my $responder = $rig->responder;
$rig->nginx;
$rig->wait_until(sub { $rig->worker_pid }, 'a worker runs');

# Posts events of a round, kills in the middle of it, and returns the ids that were answered with 200.
my $round = 0;
my (%posted, %acknowledged);
sub load ($kill) {
    my @ids = map { sprintf 'r%d-%d', $round, $_ } 1 .. 300;
    my $pid = fork // die "fork: $!\n";
    $round++;
    if (!$pid) {
        my @status = $rig->post_many($rig->path, [map { $rig->event(payload => { id => $_ }) } @ids], 10);
        my %acknowledged = map { $ids[$_] => $status[$_] } 0 .. $#ids;
        $rig->write_file("round$round", join '', map { "$_ $acknowledged{$_}\n" } @ids);
        POSIX::_exit(0);
    }
    $kill->();
    waitpid $pid, 0;
    $posted{$_}++ for @ids;
    for (split /\n/, $rig->read_file("round$round")) {
        my ($id, $status) = split;
        $acknowledged{$id}++ if $status == 200;
    }
}

# Waits until the load has come so far that there is something to kill.
sub growing ($what) {
    my $before = $rig->sql('select count(*) from candhook.event');
    $rig->wait_until(sub { $rig->sql('select count(*) from candhook.event') > $before }, $what);
}

sub runner_pid {
    my ($runner) = $rig->children($rig->worker_pid);
    return $runner;
}

load(sub { });
is keys %acknowledged, 300, 'all of the first round are taken';

load(
    sub {
        growing('the round has begun');
        $rig->kill9($responder);
        unlink "$rig->{dir}/candhook.sock";
        $responder = $rig->responder;
    }
);
pass 'the responder is killed and started again';

load(
    sub {
        growing('the round has begun');
        $rig->kill9($rig->worker_pid);
    }
);
pass 'the worker is killed';

load(
    sub {
        growing('the round has begun');
        my $runner = runner_pid();
        $rig->kill9($runner) if $runner;
    }
);
pass 'a runner is killed';

load(
    sub {
        growing('the round has begun');
        $rig->pg_kill9;
        $rig->pg_start;
    }
);
pass 'the database is killed and started again';

cmp_ok keys %acknowledged, '>=', 1200, 'most were answered with 200';
$rig->wait_until(
    sub { !(() = glob "$rig->{dir}/spool/*.seg") && $rig->sql('select count(*) from candhook.delivery') == 0 },
    'the spool is empty and no delivery waits', 60
);

my %recorded;
$recorded{$_}++ for split /\n/, $rig->sql("select payload ->> 'id' from candhook.event");
is_deeply [grep { !$recorded{$_} } sort keys %acknowledged], [], 'every acknowledged event is recorded';
is_deeply [grep { $recorded{$_} > 1 } sort keys %recorded], [], 'none twice';
is_deeply [grep { !$posted{$_} } sort keys %recorded], [], 'and nothing else';

my %effect;
$effect{$_}++ for split /\n/, $rig->sql('select id from app.effect');
is_deeply \%effect, \%recorded, 'each has its effect exactly once';
is $rig->sql("select count(*) from candhook.outcome where result = 'ok'"), keys %recorded, 'and one outcome ok';
is $rig->sql("select count(*) from candhook.outcome where result = 'failed'"), 0, 'none failed';

done_testing;
