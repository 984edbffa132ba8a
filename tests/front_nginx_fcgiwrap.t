# SPDX-License-Identifier: ISC
#
# The shipped nginx/fcgiwrap.conf, mounted as it is: candhook.fcgi as a CGI program of fcgiwrap. The suite that every mount
# passes, and what plain CGI promises: each event gets its first attempt without a daemon and without cron.
use v5.36;
use Test::More;
use Rig;
use Conformance;

plan skip_all => 'fcgiwrap is not installed' if !Rig->have('fcgiwrap');

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
my $fcgiwrap = $rig->fcgiwrap;
my $upstream = $rig->read_file($rig->fill_shipped('nginx/upstream_fcgiwrap.conf', 'upstream_fcgiwrap.conf'));
$upstream =~ s{/run/fcgiwrap\.socket}{$rig->{socket}} or die;
$rig->nginx(mount => 'fcgiwrap.conf', http => $upstream);

Conformance::run(
    $rig, $rig->nginx_hooks,
    readme         => 'nginx/README',
    column         => 'fcgiwrap',
    load           => 100,
    guesses        => 200,
    kill_responder => sub {
        $rig->kill9($fcgiwrap);
        $fcgiwrap = $rig->fcgiwrap;
    }
);

# ---- never two at a time, throughout all of that ----
sub wait_idle { $rig->wait_until(sub { !$rig->own_processes }, 'nothing of ours runs') }

# A worker says that it started when it has the lock, and that it ended before it lets go of it.
sub turns { return $rig->read_file('log/candhook.log') =~ /candhook\[(\d+)\] info: (worker=(?:started|ended))/g }
{
    wait_idle();
    my @said = turns();
    my ($count, @wrong) = (0);
    while (my ($pid, $started, $same, $ended) = splice @said, 0, 4) {
        $count++;
        push @wrong, "$pid $started, $same $ended" if "$started $ended" ne 'worker=started worker=ended' || $same != $pid;
    }
    is_deeply \@wrong, [], "$count workers followed one another";
    cmp_ok $count, '>', 5, 'and there were some';
}
$rig->nginx_again;
$rig->wait_until(sub { $rig->connect_front }, 'nginx listens');
$rig->sql('truncate candhook.event, candhook.outcome');

sub post ($name, %member) {
    is $rig->post($rig->path, $rig->event(payload => { id => $name }, %member))->{status}, 200, "$name is taken";
}

sub outcome ($name) {
    return $rig->sql("select o.result from candhook.outcome o join candhook.event e on e.id = o.event_id"
          . " where e.payload ->> 'id' = '$name' order by o.attempt desc limit 1");
}
sub wait_outcome ($name, $result) { $rig->wait_until(sub { outcome($name) eq $result }, "$name is $result") }

# ---- never a missed wake-up ----
{
    my $missed = 0;
    for my $i (1 .. 20) {
        post("turn $i");
        eval { wait_outcome("turn $i", 'unhandled'); 1 } or $missed++;
    }
    is $missed, 0, 'of 20 events in a row none had to wait for the next';
    wait_idle();
    pass 'and then all of it ends by itself';

    # The moment that matters is the one after the worker's last look at the spool. A claim that takes its time makes it long
    # enough to meet; which of the claims is the last one is not known, so the second event comes in each of them in turn.
    $rig->sql(q{do $do$ begin
        execute regexp_replace(pg_get_functiondef('candhook_internal.claim'::regproc), E'\\nbegin\\n', E'\\nbegin\\n perform pg_sleep(0.3);\\n');
    end $do$});
    for my $claim (1 .. 4) {
        my %seen;
        post("before claim $claim");
        wait_outcome("before claim $claim", 'unhandled');
        $rig->wait_until(
            sub {
                $seen{ $rig->sql(q{select coalesce(max(query_start)::text, '')
                    from pg_stat_activity where state = 'active' and query like '% candhook_internal.claim(%' and pid <> pg_backend_pid()}) } = 1;
                return grep({ $_ ne '' } keys %seen) >= $claim || !$rig->own_processes;
            },
            "claim $claim"
        );
        post("in claim $claim");
        ok eval { wait_outcome("in claim $claim", 'unhandled') }, 'which is recorded without any further one';
    }
    wait_idle();
    $rig->sql($rig->read_file(Rig::source_path('sql/functions/claim.sql')));
}

# What a process has open that it can share with another: sockets and pipes.
sub links ($pid) { return grep { /^(?:socket|pipe)/ } map { readlink // () } glob "/proc/$pid/fd/*" }

# ---- a worker that is busy holds up nobody, and holds nothing of the front's ----
{
    my $gate = "$rig->{dir}/gate";
    $rig->write_file('handlers/wait', qq{#!/bin/sh\n: >"$rig->{dir}/began"\nuntil [ -e "$gate" ]; do sleep 0.1; done\n}, 0700);
    $rig->sql(q{select candhook.add_handler('wait', 'MOIM', 'wait', 'exec', 'wait')});
    post('slow', type => 'wait');
    $rig->wait_until(sub { -e "$rig->{dir}/began" }, 'its handler runs');
    my $worker = $rig->worker_pid;
    is readlink "/proc/$worker/fd/$_", '/dev/null', "descriptor $_ of the worker leads nowhere" for 0 .. 2;
    my %front = map { $_ => 1 } map { links($_) } $fcgiwrap, $rig->{nginx}, $rig->children($rig->{nginx});
    is_deeply [ grep { $front{$_} } links($worker) ], [], 'and none to the front';
    my @stat = split / /, $rig->read_file("/proc/$worker/stat") =~ s/.*\) //sr;
    is $stat[3], $worker, 'it leads a session of its own';
    post("beside $_") for 1 .. 5;
    # Those that find one waiting leave: a moment later there is one.
    ok eval { $rig->wait_until(sub { $rig->own_processes('candhook.fcgi') <= 1 }, 'they have left') }, 'of five more at most one waits for its turn';
    wait_outcome("beside $_", 'unhandled') for 1 .. 5;
    pass 'which the busy worker records and settles';
    ok $rig->stop($fcgiwrap), 'fcgiwrap ends';
    is $rig->worker_pid, $worker, 'and the worker goes on';
    $fcgiwrap = $rig->fcgiwrap;
    $rig->write_file('gate', '');
    wait_outcome('slow', 'ok');
    wait_idle();
    pass 'until its handler is done';
}

# ---- what waits for the next event, or for cron ----
{
    $rig->sql(q{create schema app; grant usage on schema app to candhook_handler;
create function app.note(event candhook.event, bot_token text) returns text language sql as $$select 'noted'$$;
select candhook.add_handler('note', 'MOIM', 'note', 'sql', 'app.note', needs_token => true)});
    post('held', type => 'note');
    $rig->wait_until(sub { $rig->sql('select count(*) from candhook.held') == 1 }, 'it is held');
    wait_idle();
    $rig->sql(q{select candhook.set_bot_token('G00O7NKV9M', 'a-token-of-the-test')});
    my (undef, $doctor) = $rig->candhook('doctor');
    like $doctor, qr/^note   worker .*plain CGI hosting.*next\s+event, or for cron: .*work --once$/m, 'doctor says who would go on: the next event, or cron';
    is outcome('held'), '', 'for now nobody does';
    $rig->candhook_ok('work', '--once');
    is outcome('held'), 'ok', 'candhook work --once, as cron runs it, does';
    $rig->sql(q{select candhook.disable_handler('note')});
}

# ---- a person's stop is in force for CGI as well ----
{
    $rig->candhook_ok('stop');
    post('after the stop');
    wait_idle();
    is $rig->sql(q{select count(*) from candhook.event where payload ->> 'id' = 'after the stop'}), 0, 'after candhook stop no worker is started';
    $rig->candhook_ok('work', '--once');
    is outcome('after the stop'), 'unhandled', 'until a person starts one';
}
done_testing;
