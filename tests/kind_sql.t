# SPDX-License-Identifier: ISC
#
# How a worker goes about handlers of kind sql: what it runs as it records it, and what it leases. A handler that hangs,
# sleeps, crashes its server, waits for a lock or undoes what it runs in holds up nobody else: each event is recorded,
# each handler has its outcomes, and the one at fault has its own.
use v5.36;
use Test::More;
use HandlerRig;

my $rig = HandlerRig->new;
$rig->sql(<<'END');
create table t.effect (handler text, event_id uuid);
create table t.parent (id text primary key);
create table t.child (id text references t.parent deferrable initially deferred);
create table t.account (id integer primary key, amount integer not null);
insert into t.account values (1, 0);
grant usage on schema t to public;
grant all on t.effect, t.parent, t.child, t.account to public;

-- Notes whether the attempt is a first one, made when the event is recorded: then there is no delivery.
create function t.note(event candhook.event, bot_token text) returns text language plpgsql security definer as $$
begin
    insert into t.effect values ('note', event.id);
    return case when exists (select from candhook.delivery d where d.event_id = event.id and d.handler = 'note') then 'leased' else 'at once' end;
end $$;

-- Does what the payload says, in the one event that says it.
create function t.nasty(event candhook.event, bot_token text) returns text language plpgsql as $$
declare
    what constant text := event.payload ->> 'do';
begin
    insert into t.effect values ('nasty', event.id);
    case what
        when 'sleep' then perform pg_sleep(60);
        when 'hang' then loop end loop;
        when 'catch' then
            begin
                perform pg_sleep(60);
            exception when query_canceled then
                return 'caught';
            end;
        when 'lock' then update t.account set amount = amount + 1 where id = 1;
        when 'orphan' then insert into t.child values ('nobody');
        when 'defer' then set constraints all deferred; insert into t.child values ('nobody');
        when 'role' then reset role;
        when 'path' then set search_path = nowhere;
        when 'time' then set statement_timeout = 1; set lock_timeout = 1;
        when 'read only' then set transaction_read_only = on;
        when 'isolation' then set transaction isolation level serializable;
        when 'commit' then commit;
        when 'megabytes' then return repeat('x', 50000000);
        when 'too much' then return repeat('x', 1100000000);
        when 'close' then execute 'close all';
        when 'deallocate' then execute 'discard all';
        when 'cancel' then raise exception 'by hand' using errcode = 'query_canceled';
        when 'assert' then assert false, 'asserted';
        when 'class' then raise exception 'of class %', event.payload ->> 'class' using errcode = event.payload ->> 'class';
        else return 'well';
    end case;
    return what || ' went';
end $$;

-- What only the owner may do: candhook's own functions, on its own event and handler.
create function t.own(event candhook.event, bot_token text) returns text language plpgsql security definer as $$
begin
    insert into t.effect values ('own', event.id);
    case event.payload ->> 'do'
        when 'replay' then
            if not exists (select from candhook.outcome o where o.event_id = event.id and o.handler = 'own') then
                perform candhook.replay(event.id);
            end if;
        when 'token' then perform candhook.set_bot_token('G1', 'a-token-of-its-own');
        when 'disable' then perform candhook.disable_handler('own');
        when 'give up' then perform candhook.give_up(event.id);
        when 'remove' then perform candhook.remove_handler('own');
        when 'crash' then
            if not exists (select from candhook.outcome o where o.event_id = event.id and o.handler = 'own') then
                perform pg_terminate_backend(pg_backend_pid());
                perform pg_sleep(10);
            end if;
        else null;
    end case;
    return 'well';
end $$;
END
my $worker = $rig->start_worker;
$rig->handler_file('true', "#!/bin/sh\n");
my @quick = (kind => 'sql', max_attempts => 2, module => '*', type => '*');

sub log_lines ($pattern) { return scalar(() = $rig->read_file('log/candhook.log') =~ /$pattern/g) }

# Sends an event to the worker's spool, beside two that say nothing, and returns its id when all three are settled.
# Which handlers saw them, and with what, is left in the tables.
$rig->responder(args => ['--no-worker']);
my $fcgi = do { require FastCGI; FastCGI->new($rig->{socket}) };
my $number = 0;

sub post (%payload) {
    my $id = 'n' . ++$number;
    $fcgi->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path }, body => $rig->event(type => 'any', payload => { id => $id, %payload }), keep => 1);
    $fcgi->answer->{status} == 200 or BAIL_OUT('an event was not taken');
    return $id;
}

sub settled (@ids) {
    my $list = join ', ', map { "'$_'" } @ids;
    my $handlers = $rig->sql('select count(*) from candhook.handler');
    $rig->wait_until(
        sub {
            $rig->sql("select count(*) = @{[scalar @ids]} from candhook.event where payload ->> 'id' in ($list)") eq 't'
              && $rig->sql("select not exists (select from candhook.delivery d join candhook.event e on e.id = d.event_id where e.payload ->> 'id' in ($list))") eq 't';
        },
        "@ids are settled",
        120
    );
}

sub outcomes ($handler, $id) {
    return $rig->sql("select string_agg(result || '|' || coalesce(detail, ''), E'\\n' order by attempt) from candhook.outcome o join candhook.event e on e.id = o.event_id
        where o.handler = '$handler' and e.payload ->> 'id' = '$id'");
}

# The worker forgets which handlers it leaves to the runners.
sub restart_worker {
    $rig->stop($worker) or fail 'TERM ends the worker';
    $worker = $rig->start_worker;
}

# ---- at once ----
$rig->handler('note', @quick, target => 't.note');
my $id = post();
settled($id);
is outcomes('note', $id), 'ok|at once', 'a first attempt is made as the event is recorded';
$rig->sql(q{select candhook.replay(id) from candhook.event});
settled($id);
is outcomes('note', $id), "ok|at once\nok|leased", 'a replay is leased';
$rig->sql(q{update candhook.handler set timeout = '1 s'});
$id = post();
settled($id);
is outcomes('note', $id), 'ok|leased', 'what may take less time than recording may is leased';
$rig->sql(q{update candhook.handler set timeout = '30 s', ordered_by = 'community'});
$id = post();
settled($id);
is outcomes('note', $id), 'ok|leased', 'so is what has an order';
$rig->sql(q{update candhook.handler set ordered_by = 'none'});
$rig->candhook_ok('stop');
$rig->wait_gone($worker);
$id = post();
$rig->candhook_ok('work', '--once');
is outcomes('note', $id), 'ok|at once', 'work --once does the same';
$rig->sql('truncate t.effect');
$worker = $rig->start_worker;

# One whose event was dropped, with its month.
my $gone = HandlerRig::new_id();
$rig->sql("insert into candhook.delivery (event_id, received_at, handler) values ('$gone', candhook.received_at('$gone'), 'note'); select pg_notify('candhook', '')");
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.delivery') == 0 }, 'what has no event any more is cleaned away');
is $rig->sql("select count(*) from candhook.outcome where event_id = '$gone'"), 0, 'a delivery without its event leaves nothing, and nobody spins';

# ---- one that is at fault, and its neighbours ----
# What it does, how its two attempts end, and whether the handler is left to the runners afterwards.
$rig->handler('nasty', @quick, target => 't.nasty', timeout => '2 s');
my $timeout = qr/ERROR:  canceling statement due to statement timeout/;
my @nasty = (
    [ sleep        => qr/^retry\|$timeout\nfailed\|$timeout$/, 1 ],
    [ hang         => qr/^retry\|$timeout\nfailed\|$timeout$/, 1 ],
    [ catch        => qr/^ok\|caught/, 1 ],
    [ orphan       => qr/^retry\|.*\(23503\)\nfailed\|.*\(23503\)$/, 0 ],
    [ defer        => qr/^retry\|.*\(23503\)\nfailed\|.*\(23503\)$/, 0 ],
    [ role         => qr/^ok\|role went$/, 0 ],
    [ path         => qr/^ok\|path went$/, 0 ],
    [ time         => qr/^ok\|time went$/, 0 ],
    [ 'read only'  => qr/^ok\|read only went$/, 0 ],
    [ isolation    => qr/^retry\|.*\(25001\)\nfailed\|.*\(25001\)$/, 0 ],
    [ commit       => qr/^retry\|.*\(2D000\)\nfailed\|.*\(2D000\)$/, 0 ],
    [ megabytes    => qr/^(?:retry\|.*\n)?ok\|x{4000}$/, undef ],
    [ 'too much'   => qr/^retry\|.*\nfailed\|.*\([0-9A-Z]{5}\)$/, undef ],
    [ close        => qr/^(?:retry\|.*\n)?ok\|close went$/, 0 ],
    [ deallocate   => qr/^retry\|.*\(25001\)\nfailed\|.*\(25001\)$/, 0 ],
    [ cancel       => qr/^retry\|.*by hand.*\nfailed\|.*by hand/, 1 ],
    [ assert       => qr/^retry\|asserted \(P0004\)\nfailed\|asserted \(P0004\)$/, 0 ],
    [ lock         => qr/^ok\|lock went$/, 1 ]
);
for my $case (@nasty) {
    my ($do, $expected, $left) = @$case;
    my $lines = log_lines('handler=nasty first_attempts=');
    my $session;
    if ($do eq 'lock') {
        $session = $rig->psql_session;
        $session->query('begin; update t.account set amount = 0;');
    }
    my @ids = (post(), post(do => $do), post());
    if ($session) {
        $rig->wait_until(sub { log_lines('handler=nasty first_attempts=') > $lines }, 'the lock is not waited for');
        $rig->wait_until(sub { $rig->sql(qq{select count(*) from candhook.event where payload ->> 'id' in ('$ids[0]', '$ids[1]', '$ids[2]')}) == 3 }, 'events are recorded while it is held');
        $session->query('commit;');
        $session->close;
    }
    settled(@ids);
    like outcomes('nasty', $ids[1]), $expected, "$do: the one that does it";
    is outcomes('nasty', $_), 'ok|well', "$do: its neighbour" for @ids[ 0, 2 ];
    like outcomes('note', $_), qr/^ok\|\S/, "$do: another handler" for @ids;
    if (defined $left) {
        is log_lines('handler=nasty first_attempts=') - $lines, $left, $left ? "$do: it is left to the runners" : "$do: it stays";
        restart_worker() if $left;
    } else {
        restart_worker();
    }
}

# Errors of every class; those that end the whole statement have their place above.
my @classes = qw(01000 02000 08006 0A000 21000 22012 23505 25006 2F003 38000 40001 40P01 42501 53100 53200 54001 55000 55P03 58030 F0000 HV000 P0001 P0002 XX000 XX001);
my %by_class = map { $_ => post(do => 'class', class => $_) } @classes;
settled(values %by_class);
is outcomes('nasty', $by_class{$_}), "retry|of class $_ ($_)\nfailed|of class $_ ($_)", "an error $_" for @classes;

# ---- several are left to the runners ----
$rig->sql(q{create function t.by_hand(event candhook.event, bot_token text) returns text language plpgsql as $$
        begin raise exception 'by hand' using errcode = 'query_canceled'; end $$});
for my $name ('left 1', 'left 2') {
    $rig->handler($name, kind => 'sql', max_attempts => 1, type => $name, target => 't.by_hand');
    $rig->event_of($name);
}
restart_worker();

sub post_type ($type) {
    my $id = 'n' . ++$number;
    $fcgi->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path }, body => $rig->event(type => $type, payload => { id => $id }), keep => 1);
    $fcgi->answer->{status} == 200 or BAIL_OUT('an event was not taken');
    settled($id);
}
my $before = log_lines('handler="left [12]" first_attempts=');
post_type($_) for 'left 1', 'left 2', 'left 1', 'left 2';
is log_lines('handler="left [12]" first_attempts=') - $before, 2, 'each is left once: the second does not take the place of the first';
$rig->sql("select candhook.remove_handler('$_')") for 'left 1', 'left 2';

# ---- told to end while a batch is run one by one ----
# The first call undoes the whole batch. Then each runs alone, and the first of them waits until it is let go.
$rig->sql(<<'END');
create sequence t.calls;
grant usage on sequence t.calls to public;
create function t.patient(event candhook.event, bot_token text) returns text language plpgsql as $$
begin
    insert into t.effect values ('patient', event.id);
    if nextval('t.calls') = 1 then
        raise exception 'by hand' using errcode = 'query_canceled';
    end if;
    perform pg_advisory_xact_lock(42);
    return 'well';
end $$;
END
$rig->handler('patient', kind => 'sql', type => 'patient', target => 't.patient', enabled => 'false');
$rig->events_of('patient', [ map { { id => "p$_" } } 1 .. 4 ]);
my $gate = $rig->psql_session;
$gate->query('select pg_advisory_lock(42);');
my @runners = $rig->children($worker);
$rig->sql(q{select candhook.enable_handler('patient')});
$rig->wait_until(sub { $rig->sql(q{select count(*) from pg_stat_activity where wait_event = 'advisory' and query like '%run_sql%'}) == 1 }, 'the first runs alone');
kill TERM => $worker;
$rig->wait_until(sub { grep({ $rig->running($_) } @runners) == 1 }, 'all runners are told, and the others end');
$gate->query('select pg_advisory_unlock(42);');
$gate->close;
$rig->wait_gone($worker);
is $rig->sql(q{select string_agg(result || '|' || detail, ',') from candhook.outcome where handler = 'patient'}), 'ok|well', 'what ran has its outcome';
is $rig->sql(q{select count(*), sum(attempt) from candhook.delivery where handler = 'patient' and lease is null}), '3|0', 'the others are given back at once, and not counted';
$rig->forget($worker);
$worker = $rig->start_worker;
is_deeply $rig->settled('patient', 4), [ ('ok|well') x 4 ], 'and the next worker runs them';
$rig->sql(q{select candhook.remove_handler('patient')});

# ---- its own affairs ----
$rig->sql(q{select candhook.remove_handler('nasty')});
$rig->handler('own', @quick, target => 't.own');
$id = post(do => 'replay');
settled($id);
is outcomes('own', $id), "ok|well\nok|well", 'one that replays its own event runs once more';
$id = post(do => 'token');
settled($id);
is outcomes('own', $id), 'ok|well', 'one that stores a token';
is $rig->sql(q{select token from candhook.bot_token where origin_community_id = 'G1'}), 'a-token-of-its-own', 'has stored it';
$id = post(do => 'give up');
settled($id);
is outcomes('own', $id), 'ok|well', 'one that gives up what it does has done it';
my @ids = (post(), post(do => 'crash'), post());
settled(@ids);
like outcomes('own', $ids[1]), qr/^retry\|.*\nok\|well$/, 'one that ends its server process does so once more, leased; then it is well';
like outcomes('own', $_), qr/^(?:retry\|attempt lost.*\n)?ok\|well$/, 'its neighbours have theirs' for @ids[ 0, 2 ];
cmp_ok log_lines('handler=own first_attempts='), '>=', 1, 'it is left to the runners';
restart_worker();
$id = post(do => 'disable');
settled($id);
is outcomes('own', $id), 'ok|well', 'one that disables itself';
$id = post();
$rig->wait_until(sub { $rig->sql(q{select count(*) from candhook.delivery where handler = 'own'}) == 1 }, 'it waits then');
$rig->sql(q{select candhook.enable_handler('own')});
settled($id);
is outcomes('own', $id), 'ok|well', 'until it is enabled';
$id = post(do => 'remove');
settled($id);
is $rig->sql(q{select count(*) from candhook.handler where name = 'own'}), 0, 'one that removes itself is gone';
like outcomes('own', $id), qr/^failed\|handler removed$/, 'and so is what it had to do';
is $rig->sql(qq{delete from t.effect f using candhook.event e where f.handler = 'own' and e.id = f.event_id and e.payload ->> 'id' = '$id' returning 1}), 1, 'of which the effect stays';

# ---- the ledger ----
is $rig->sql(q{select count(*) from candhook.delivery}), 0, 'nothing is left';
is $rig->sql(q{select count(*) from (select handler, event_id from t.effect except all select handler, event_id from candhook.outcome where result = 'ok') x}), 0,
  'no effect without an outcome that is ok';
is $rig->sql(q{select count(*) from (select handler, event_id from candhook.outcome where result = 'ok' and event_id in (select event_id from t.effect) except all select handler, event_id from t.effect) x}),
  0, 'and no such outcome without its effect';
done_testing;
