# SPDX-License-Identifier: ISC
#
# candhook_internal.run_sql: handlers in the transaction that records their outcome, each event on its own, under the handler role.
use v5.36;
use Test::More;
use SqlRig;

my $rig = SqlRig->new;

sub put ($payload = '{}', $type = 'product.created') {
    return $rig->sql("select t.put(t.event('$type', '$payload'))");
}

sub effects { return $rig->sql('select count(*) from t.effect') }

# One session for one function: stores the handler, records one event for each payload, claims and runs them all at once.
sub run ($function, @payloads) {
    $rig->clear;
    $rig->handler($function);
    put($_) for @payloads;
    my $lease = $rig->claim;
    return $rig->sql("select result, detail from candhook_internal.run_sql($lease)");
}

# ---- results ----
$rig->handler('note');
my $id = put();
my $lease = $rig->claim;
is $rig->sql("select event_id, result, detail from candhook_internal.run_sql($lease)"), "$id|ok|noted", 'a handler runs, what it returns is the detail';
is $rig->sql('select event_id, said from t.effect'), "$id|-", 'its effect is there';
is $rig->sql(q{select handler, attempt, result, detail, finished_at >= started_at, started_at > received_at - interval '1 second' from candhook.outcome}), 'note|1|ok|noted|t|t', 'and its outcome';
is $rig->sql('select count(*) from candhook.delivery'), 0, 'and no delivery';
is $rig->sql("select count(*) from candhook_internal.run_sql($lease)"), 0, 'it runs once';
$rig->sql('create function t.silent(event candhook.event, bot_token text) returns text language sql as $$ select null::text $$');
is run('silent', '{}'), 'ok|', 'null is no detail';

$rig->clear;
$rig->handler('fail', max_attempts => 2);
$id = put();
is $rig->sql('select result, detail from candhook_internal.run_sql(' . $rig->claim . ')'), 'retry|it is broken, said nobody (P0001)', 'an error is a reason to try again';
is effects(), 0, 'nothing of it stays';
$rig->skip_time;
is $rig->sql('select result, detail from candhook_internal.run_sql(' . $rig->claim . ')'), 'failed|it is broken, said nobody (P0001)', 'the last time it has failed';
is $rig->outcomes($id), "fail/1 retry\nfail/2 failed", 'both are recorded';
is $rig->sql('select count(*) from candhook.delivery'), 0, 'and it is settled';

# ---- one that fails takes no other along ----
$rig->sql(q{create function t.some(event candhook.event, bot_token text) returns text language plpgsql as $$
    begin
        insert into t.effect values (event.id, event.payload->>'do');
        case event.payload->>'do'
            when 'raise' then raise exception 'raised';
            when 'assert' then assert false, 'asserted';
            when 'divide' then return 1 / 0;
            when 'sql' then execute 'nonsense';
            else return event.payload->>'do';
        end case;
    end $$});
is run('some', map { qq({"do":"$_"}) } qw(one raise two assert divide three sql four)),
  join("\n", 'ok|one', 'retry|raised (P0001)', 'ok|two', 'retry|asserted (P0004)', 'retry|division by zero (22012)', 'ok|three',
    'retry|syntax error at or near "nonsense" (42601)', 'ok|four'), 'each event on its own';
is $rig->sql('select string_agg(said, $$ $$ order by said) from t.effect'), 'four one three two', 'the effects of the good ones stay';

# Whichever fail: halving finds each. One event is gone.
for my $failing ('1', '20', '1 2 3', '3 4 9 11 20', join(' ', 1 .. 20)) {
    my %fails = map { $_ => 1 } split / /, $failing;
    $rig->clear;
    $rig->handler('some');
    put(sprintf '{"n":%d,"do":"%s"}', $_, $fails{$_} ? 'raise' : 'well') for 1 .. 20;
    $lease = $rig->claim;
    $rig->sql(q{delete from candhook.event where payload ->> 'n' = '10'});
    my @expected = map { $_ == 10 ? () : $fails{$_} ? 'retry|raised (P0001)' : 'ok|well' } 1 .. 20;
    is $rig->sql("select result, detail from candhook_internal.run_sql($lease)"), join("\n", @expected), "$failing of 20 fail: each has its own outcome";
    is effects(), scalar(grep { /ok/ } @expected), 'and effect';
    is $rig->sql('select count(*) from candhook.delivery where lease is not null'), 0, 'and nothing is left of the one that is gone';
}
$rig->sql(q{create function t.closes(event candhook.event, bot_token text) returns text language plpgsql as $$ begin execute $x$close all$x$; return 'closed'; end $$});
is run('closes', '{}', '{}'), "ok|closed\nok|closed", 'a handler that closes all cursors does not close the one that it is called by';

# ---- one of a lease ----
$rig->clear;
$rig->handler('note');
my ($one, $two) = map { put() } 1, 2;
$lease = $rig->claim;
is $rig->sql("select event_id from candhook_internal.run_sql($lease, '{$two}')"), $two, 'only the event that is asked for';
is $rig->sql('select event_id from candhook.delivery'), $one, 'the other stays leased';
is $rig->sql("select event_id from candhook_internal.run_sql($lease)"), $one, 'and runs later';

# ---- deferred constraints ----
$rig->sql(q{create table t.parent (id text primary key);
    create table t.child (id text references t.parent deferrable initially deferred, strict text references t.parent deferrable initially immediate);
    grant all on t.parent, t.child to public;
    create function t.family(event candhook.event, bot_token text) returns text language plpgsql as $$
    declare
        name text := event.payload->>'name';
    begin
        if event.payload ? 'strict' then
            begin
                insert into t.child values (null, name);
                return 'not checked';
            exception when foreign_key_violation then
                return 'checked at once';
            end;
        end if;
        insert into t.child values (name);
        if not event.payload ? 'orphan' then
            insert into t.parent values (name);
        end if;
        return name;
    end $$});
my $said = run('family', '{"name":"a"}', '{"name":"b","orphan":1}', '{"name":"c"}', '{"name":"d","strict":1}', '{"name":"e"}');
like $said, qr/^ok\|a\nretry\|insert or update on table "child" violates .*\(23503\)\nok\|c\nok\|checked at once\nok\|e$/,
  'a constraint may be broken until its event ends, and no longer; the next event begins as a transaction does';
is $rig->sql('select string_agg(id, $$ $$ order by id) from t.child'), 'a c e', 'what violates it is gone';

# ---- under whose rights ----
$rig->sql(q{create function t.who(event candhook.event, bot_token text) returns text language sql as $$ select current_user::text $$;
    create function t.peek(event candhook.event, bot_token text) returns text language plpgsql as $$ begin return (select token from candhook.bot_token limit 1); end $$;
    create function t.trick(event candhook.event, bot_token text) returns text language plpgsql as $$
    begin
        case event.payload->>'do'
            when 'path' then set search_path = t;
            when 'local path' then set local search_path = t;
            when 'role' then set role candhook_handler;
            when 'reset role' then reset role;
            when 'another role' then set role candhook_reader;
            when 'time' then set statement_timeout = 1;
            else null;
        end case;
        return current_user || ' ' || current_setting('search_path') || ' ' || current_setting('statement_timeout');
    end $$});
is run('who', '{}', '{}'), "ok|candhook_handler\nok|candhook_handler", 'handlers run as candhook_handler';
like run('peek', '{}'), qr/retry\|permission denied for table bot_token/, 'which may not read tokens';
$rig->sql('revoke execute on function t.who from public');
is run('who', '{}', '{}'), join("\n", ('retry|permission denied for function t.who(candhook.event,text) (42501)') x 2), 'what that may not call is not called';
$rig->sql('grant execute on function t.who to candhook_handler');
is run('who', '{}'), 'ok|candhook_handler', 'until it may';
my $session = $rig->psql_session;
for my $do ('path', 'local path', 'role', 'reset role', 'another role', 'time') {
    $rig->clear;
    $rig->handler('trick');
    put($_) for qq({"do":"$do"}), '{}', qq({"do":"$do"});
    $lease = $rig->claim;
    $session->query("set search_path = public; set statement_timeout = 30000;");
    my (undef, $second) = split /\n/, $session->query("select detail from candhook_internal.run_sql($lease);");
    is $second, 'candhook_handler public 30s', "$do: the next event does not notice";
    is $session->query('select current_user, current_setting($$search_path$$), current_setting($$statement_timeout$$);'), 'postgres|public|30s', "$do: nor does the session";
}
$session->query('set search_path = t, public;');
$rig->sql(q{create function t.found() returns text language sql as $$ select 'in the path' $$;
            create function t.path(event candhook.event, bot_token text) returns text language plpgsql as $$ begin return found(); end $$});
$rig->clear;
$rig->handler('path');
put();
is $session->query('select detail from candhook_internal.run_sql(' . $rig->claim . ');'), 'in the path', q{the session's search_path holds};

# ---- tokens ----
$rig->clear;
$rig->sql(q{select candhook.set_bot_token('G1', 'secret-token')});
$rig->handler('note', needs_token => 1);
put();
$rig->work;
is $rig->sql('select said from t.effect'), 'secret-token', 'a handler that needs it gets the token';
$rig->sql('delete from candhook.handler');
$rig->handler('fail', needs_token => 1);
put();
$rig->work;
is $rig->sql(q{select detail from candhook.outcome where handler = 'fail'}), 'it is broken, said [token] (P0001)', 'an error does not give it away';
$rig->sql(q{create function t.rotate(event candhook.event, bot_token text) returns text language sql as $$ select 'used ' || bot_token $$});
$rig->clear;
$rig->sql(q{select candhook.set_bot_token('G1', 'secret-token')});
$rig->handler('rotate', needs_token => 1);
put();
$lease = $rig->claim;
$session->query("begin; set transaction isolation level read committed; select detail from candhook_internal.run_sql($lease);");
$session->query('rollback;');
$rig->sql(q{delete from candhook.bot_token});
is $rig->sql("select count(*) from candhook_internal.run_sql($lease)"), 0, 'a token that went after the claim: the handler does not run';
is $rig->sql('select held, attempt from candhook.delivery'), 't|0', 'it is held, and no attempt';
$rig->sql(q{select candhook.set_bot_token('G1', 'secret-token')});
is $rig->sql('select detail from candhook_internal.run_sql(' . $rig->claim . ')'), 'used [token]', 'until there is one again';

# ---- functions and handlers that go ----
$rig->sql('create function t.gone(event candhook.event, bot_token text) returns text language sql as $$ select null::text $$');
$rig->clear;
$rig->handler('gone');
put();
$rig->sql('drop function t.gone(candhook.event, text)');
is $rig->sql('select result, detail from candhook_internal.run_sql(' . $rig->claim . ')'), 'retry|there is no function t.gone(candhook.event,text) any more (42883)', 'a function that was dropped';
$rig->clear;
$rig->handler('note');
put();
$lease = $rig->claim;
$session->query("begin; select result from candhook_internal.run_sql($lease);");
my $admin = $rig->psql_session;
$admin->async('delete from candhook.handler;');
$rig->wait_until(sub { $rig->sql('select count(*) from pg_locks where not granted') }, 'the removal waits for the run');
$session->query('commit;');
$admin->result;
is $rig->sql('select result from candhook.outcome'), 'ok', 'a handler that is removed while it runs ends in peace';

# ---- a run that takes longer than its lease, and one that is cancelled ----
$rig->clear;
$rig->handler('note');
$id = put();
$lease = $rig->claim('slow');
$rig->skip_time;
$session->query("begin; select result from candhook_internal.run_sql($lease);");
is $rig->claim('quick'), '', 'nobody gets what still runs';
is $rig->sql('select candhook_internal.due_in()'), 1, 'nor spins';
is $rig->sql("select candhook_internal.release('slow')"), 0, 'nor is it given back';
$session->query('commit;');
is $rig->outcomes($id), 'note/1 ok', 'it ends as it should';

# What is behind one that is locked has its turn, whichever of both had lost its lease.
for my $oldest (qw(lost new)) {
    $rig->clear;
    $rig->handler('note');
    my %one = (lost => put());
    $rig->claim('gone');
    $one{new} = put();
    my ($locked, $behind) = $oldest eq 'lost' ? @one{qw(lost new)} : @one{qw(new lost)};
    $rig->sql("update candhook.delivery set due_at = now() - case event_id when '$locked' then 2 else 1 end * interval '1 s'");
    $session->query("begin; select from candhook.delivery where event_id = '$locked' for update;");
    is $rig->sql('select candhook_internal.due_in()'), 0, "oldest is a $oldest one that is locked: the other is due";
    is $rig->work, 1, 'a claim finds it';
    $session->query('commit;');
    is $rig->outcomes($behind), $oldest eq 'lost' ? 'note/1 ok' : "note/1 retry\nnote/2 ok", 'it runs';
    is $rig->outcomes($locked), '', 'the locked one is left alone';
}

$rig->sql(q{create function t.sleep(event candhook.event, bot_token text) returns text language plpgsql as $$
    begin
        insert into t.effect values (event.id, 'slept');
        if event.payload ? 'slow' then perform pg_sleep(60); end if;
        return 'awake';
    end $$});
$rig->clear;
$rig->handler('sleep');
my @ids = map { put($_) } '{}', '{"slow":1}', '{}';
$lease = $rig->claim;
like $rig->sql_error("set statement_timeout = '200ms'; select * from candhook_internal.run_sql($lease)"), qr/canceling statement due to statement timeout/, 'a timeout hits the whole call';
is effects(), 0, 'which leaves nothing behind';
for my $one (@ids) {
    my $error = $rig->sql_error("set statement_timeout = '200ms'; select result from candhook_internal.run_sql($lease, '{$one}')");
    $rig->sql("select * from candhook_internal.finish($lease, array['$one']::uuid[], array['retry'], array['timeout'], array[now()], array[now()])") if $error;
}
is $rig->sql(q{select string_agg(result, ' ' order by event_id) from candhook.outcome}), 'ok retry ok', 'one by one, only the slow one has to be tried again';

# ---- a batch that takes long is cut short ----
$rig->sql(q{create function t.slow(event candhook.event, bot_token text) returns text language plpgsql as $$
    begin
        perform pg_sleep((event.payload ->> 'seconds')::float8);
        return 'slow';
    end $$});
$rig->clear;
$rig->handler('slow');
my ($first, $rest) = map { put('{"seconds":0.6}') } 1, 2;
is $rig->sql('select event_id from candhook_internal.run_sql(' . $rig->claim . ')'), $first, 'after half a second no other is begun';
is $rig->sql('select event_id, attempt, lease is null, candhook_internal.due_in() from candhook.delivery'), "$rest|0|t|0", 'the rest is given back at once, uncounted';

# A time limit counts from the start of a statement, so this one hits nobody, but is known to the batch.
$rig->clear;
$rig->handler('slow');
put('{"seconds":0.06}') for 1 .. 3;
$lease = $rig->claim;
$rig->sql("do \$\$ begin perform set_config('statement_timeout', '100ms', true); perform from candhook_internal.run_sql($lease); end \$\$");
is $rig->sql('select (select count(*) from candhook.outcome), (select count(*) from candhook.delivery where lease is null)'), '1|2',
  'nor after half of the time that one may take';

# ---- killed between any two steps ----
$rig->clear;
$rig->handler('note', max_attempts => 100, first_delay => '0 s');
my @steps = (
    'begin;',
    q{select t.put(t.event(), '%s') is null;},
    'commit;',
    'begin;',
    q{select max(lease) as lease from candhook_internal.claim('killed', 10) \gset},
    'commit;',
    'begin;',
    q{select count(*) from candhook_internal.run_sql(:lease);},
    'commit;'
);
@ids = map { $rig->sql('select t.id()') } 0 .. @steps;
for my $n (0 .. @steps) {
    my $victim = $rig->psql_session;
    my $backend = $victim->backend;
    $victim->query('\set lease 0');
    $victim->query(s/%s/$ids[$n]/r) for @steps[ 0 .. $n - 1 ];
    $rig->sql("select pg_terminate_backend($backend)");
    $rig->wait_until(sub { !$rig->sql("select count(*) from pg_stat_activity where pid = $backend") }, 'the backend has ended');
    $victim->close;
    # What the program does afterwards: record what is still in its spool, give back what the dead one had, run it.
    $rig->sql("select t.put(t.event(), '$ids[$n]')");
    $rig->sql(q{select candhook_internal.release('killed')});
    $rig->skip_time;
    $rig->work;
}
is $rig->sql(q{select count(*), count(distinct event_id) from t.effect}), @ids . '|' . @ids, 'every effect happened exactly once';
is $rig->sql(q{select count(*), count(distinct event_id) from candhook.outcome where result = 'ok'}), @ids . '|' . @ids, 'and is recorded once';
is $rig->sql('select count(*) from candhook.delivery'), 0, 'and nothing is left';
is $rig->sql(q{select distinct result from candhook.outcome where result <> 'ok'}), 'retry', 'attempts that were lost are told';

$_->close for $session, $admin;
done_testing;
