# SPDX-License-Identifier: ISC
#
# Who gets which delivery when: candhook_internal.claim, renew, release, due_in, finish, and deliveries held for a bot token.
use v5.36;
use Test::More;
use SqlRig;

my $rig = SqlRig->new;
my @c = (kind => 'c', target => 'x.so');

sub delivery ($columns, $where = 'true') {
    return $rig->sql("select $columns from candhook.delivery where $where order by handler, received_at, event_id");
}

sub finish ($lease, $id, $result, $detail = 'said') {
    return $rig->sql("select result from candhook_internal.finish($lease, array['$id']::uuid[], array['$result'], array['$detail'], array[now()], array[now()])");
}

# ---- one claim, what it gives ----
is $rig->sql('select count(*) from candhook_internal.claim($$w$$, 10)'), 0, 'nothing to claim';
is $rig->sql('select candhook_internal.due_in() is null'), 't', 'nothing to wait for';
$rig->handler('hook', @c, target => 'x.so:hook', timeout => '1.5 s');
my $id = $rig->sql(q{select t.put('{"module":"MOIM","type":"product.created","context":{"originCommunityId":"G1","userId":"U","communityId":"C","profileId":"P"},"payload":{"id":"CP:1"},"x":1}')});
is $rig->sql('select candhook_internal.due_in()'), 0, 'something is due';
is $rig->sql(q{select handler, kind, target, timeout_ms, event_id, attempt, bot_token is null, module, type, origin_community_id, user_id, community_id, profile_id, payload, body
               from candhook_internal.claim('w', 10)}),
  "hook|c|x.so:hook|1500|$id|1|t|MOIM|product.created|G1|U|C|P|{\"id\": \"CP:1\"}|"
  . '{"x": 1, "type": "product.created", "module": "MOIM", "context": {"userId": "U", "profileId": "P", "communityId": "C", "originCommunityId": "G1"}, "payload": {"id": "CP:1"}}',
  'a claim gives all that a c handler needs';
my $lease = delivery('lease');
like delivery(q{attempt, worker, held, due_at - now() between interval '5 s' and interval '15 s'}), qr/^1\|w\|f\|t$/, 'leased for 15 seconds, the attempt counted';
is $rig->claim, '', 'nobody else gets it';
cmp_ok $rig->sql('select candhook_internal.due_in()'), '>', 5, 'until the lease ends';
is $rig->sql("select handler || result || attempt || (took is null) from candhook.recent"), 'hookrunning1true', 'recent shows that it runs';
is finish($lease, $id, 'ok', 'fine'), 'ok', 'finished';
is delivery('1'), '', 'the delivery is gone';
is $rig->sql("select attempt, result, detail from candhook.outcome where event_id = '$id'"), '1|ok|fine', 'the outcome is there';
is finish($lease, $id, 'ok'), '', 'and cannot be finished twice';

$rig->sql('set timezone = $$America/St_Johns$$; select t.put(t.event(), $$019ab1c2-d3e4-7000-8000-000000000000$$)');
is $rig->sql(q{set timezone = 'America/St_Johns'; select received_at from candhook_internal.claim('w', 10)}), '2025-11-23T17:28:46.820Z', 'received_at is RFC 3339 in UTC';

$rig->clear;
$rig->handler('note');
$id = $rig->sql('select t.put()');
is $rig->sql(q{select handler, kind, target, timeout_ms, event_id, attempt, bot_token, received_at, module, type, origin_community_id, user_id, community_id, profile_id, payload, body from candhook_internal.claim('w', 10)}),
  "note|sql|t.note(candhook.event,text)|30000|$id|1||||||||||", 'for kind sql only what is needed to call run_sql';

# ---- how much ----
$rig->clear;
$rig->handler('large', kind => 'exec', target => 'x');
my @large = split /\n/, $rig->sql(q{select t.put(t.event('product.created', jsonb_build_object('n', n, 'text', repeat('x', case n when 4 then 9000000 else 3000000 end))::text), t.id(n))
    from generate_series(1, 5) n});
for my $part ([ @large[ 0, 1 ] ], [ $large[2] ], [ $large[3] ], [ $large[4] ]) {
    is $rig->sql(q{select string_agg(event_id::text, ' ' order by event_id), bool_or(payload is not null) from candhook_internal.claim('w', 64)}), "@$part|f",
      'a claim holds 8 MiB or one delivery, and each body once';
    my ($waiting, $counted) = split /\|/, $rig->sql('select count(*), sum(attempt) from candhook.delivery where lease is null');
    is $rig->sql('select candhook_internal.due_in()'), 0, 'the rest is due at once' if $waiting;
    is $counted, 0, 'and not counted' if $waiting;
}

# ---- which handler, how many ----
$rig->clear;
$rig->handler('a', @c);
$rig->handler('b', @c);
$rig->handler('off', @c, enabled => 0);
$rig->sql('select t.put() from generate_series(1, 5)');
$rig->sql(q{update candhook.delivery set due_at = now() - interval '1 hour' where handler = 'off'; update candhook.delivery set due_at = now() - interval '1 minute'
            where event_id = (select max(event_id::text)::uuid from candhook.delivery) and handler = 'b'});
is $rig->sql(q{select distinct handler, count(*) over () from candhook_internal.claim('w', 3)}), 'b|3', 'the enabled handler with the oldest due delivery, a batch of it';
is $rig->sql(q{select distinct handler, count(*) over () from candhook_internal.claim('w', 100)}), 'a|5', 'then the next';
is $rig->sql(q{select distinct handler, count(*) over () from candhook_internal.claim('w', 100)}), 'b|2', 'then the rest';
is $rig->claim, '', 'what is disabled waits';
$rig->sql(q{update candhook.handler set enabled = true where name = 'off'});
is $rig->sql(q{select distinct handler, count(*) over () from candhook_internal.claim('w', 100)}), 'off|5', 'until it is enabled';

# ---- two workers at once ----
$rig->clear;
$rig->handler('a', @c);
$rig->sql('select t.put() from generate_series(1, 20)');
my ($one, $two) = map { $rig->psql_session } 1, 2;
$one->query('begin;');
my @first = split /\n/, $one->query(q{select event_id from candhook_internal.claim('one', 12);});
my @second = split /\n/, $two->query(q{select event_id from candhook_internal.claim('two', 12);});
is @first . ' ' . @second, '12 8', 'the second gets what the first has not locked, without waiting';
my %seen;
is scalar(grep { !$seen{$_}++ } @first, @second), 20, 'each event once';
is $two->query('select candhook_internal.due_in();'), 1, 'what is due but locked is no reason to spin';
$one->query('commit;');

# ---- leases that run out, late finishers ----
$rig->clear;
$rig->handler('a', @c, max_attempts => 3);
$id = $rig->sql('select t.put()');
my $old = $rig->claim('one');
$rig->sql("select candhook_internal.renew($old)");
is $rig->sql("select candhook_internal.renew($old)"), 1, 'renew tells how many it holds';
$rig->skip_time;
my $new = $rig->claim('two');
isnt $new, $old, 'a lease that ran out is taken by another';
is $rig->outcomes($id), 'a/1 retry', 'the lost attempt has its outcome';
like $rig->sql("select detail from candhook.outcome"), qr/^attempt lost/, 'with the reason';
is $rig->sql("select candhook_internal.renew($old)"), 0, 'the old lease holds nothing';
is finish($old, $id, 'ok'), '', 'and can finish nothing';
is $rig->sql("select count(*) from candhook_internal.run_sql($old)"), 0, 'nor run anything';
is delivery('attempt, worker'), '2|two', 'the new one is untouched';
is $rig->sql("select candhook_internal.release('one')"), 0, 'the first worker has nothing to give back';
is $rig->sql("select candhook_internal.release('two')"), 1, 'the second has';
is $rig->sql('select candhook_internal.due_in()'), 0, 'at once';
$rig->claim('three');
is $rig->outcomes($id), "a/1 retry\na/2 retry", 'that attempt is lost, too';
$rig->skip_time;
is $rig->claim, '', 'after the last attempt nobody gets it';
is $rig->outcomes($id), "a/1 retry\na/2 retry\na/3 failed", 'it has failed';
is delivery('1'), '', 'and is settled';

# What was lost with a whole batch of an sql handler is taken alone, lest one that kills its server takes the others along.
for my $ordered_by ('none', 'payload id') {
    $rig->clear;
    $rig->handler('note', ordered_by => $ordered_by);
    my @lost = split /\n/, $rig->sql('select t.put() from generate_series(1, 3)');
    $rig->claim('killed');
    $rig->sql(q{select candhook_internal.release('killed')});
    my $fresh = $rig->sql('select t.put()');
    is $rig->sql(q{select count(*) from candhook_internal.claim('w', 10)}), 1, "ordered by $ordered_by: a lost one is taken alone" for @lost;
    is $rig->sql(q{select event_id, attempt from candhook_internal.claim('w', 10)}), "$fresh|1", 'others are not held up by them, nor taken along';
}
$rig->clear;
$rig->handler('a', @c);
$rig->sql('select t.put() from generate_series(1, 3)');
$rig->claim('killed');
$rig->sql(q{select candhook_internal.release('killed')});
is $rig->sql(q{select count(*) from candhook_internal.claim('w', 10)}), 3, 'of other kinds, which do not share a process, all are taken again';

# A lease that lost some of what it held finishes the rest.
$rig->clear;
$rig->handler('a', @c);
my ($kept, $lost) = split /\n/, $rig->sql('select t.put() from generate_series(1, 2)');
$old = $rig->claim('one');
$rig->sql("update candhook.delivery set due_at = now() where event_id = '$lost'");
$rig->claim('two');
is $rig->sql("select event_id from candhook_internal.finish($old, array['$kept', '$lost']::uuid[], array['ok', 'ok'], array['', ''], array[now(), now()], array[now(), now()])"),
  $kept, 'a lease finishes only what it still holds';
is delivery('event_id, worker'), "$lost|two", 'the rest is untouched';

# A crash of the server may undo claims that were not on the disk yet, and what they took of a sequence with them. The next
# claim must not get the number of one that a worker still holds.
$rig->clear;
$rig->handler('a', @c);
$id = $rig->sql('select t.put()');
my ($crash) = $rig->psql_session;
$old = $crash->query(q{begin; select lease from candhook_internal.claim('one', 10);}) =~ s/\s//gr;
$crash->query('rollback;');
$rig->sql(q{select setval(c.oid, } . ($old < 1e9 ? $old : 1) . q{, false) from pg_class c where c.relkind = 'S' and c.relnamespace = 'candhook_internal'::regnamespace});
$new = $rig->claim('two');
isnt $new, $old, 'the number of a lease that a crash undid does not come again';
is finish($old, $id, 'ok'), '', 'so its outcome is refused for the one after it';
is delivery('attempt, worker'), '1|two', 'which is untouched';

# ---- release leaves alone what a server process still runs ----
$rig->clear;
$rig->handler('a', @c);
$rig->sql('select t.put()');
$lease = $rig->claim('dead');
$one->query("begin; select from candhook.delivery where lease = $lease for update;");
is $rig->sql("select candhook_internal.release('dead')"), 0, 'a locked delivery is not given back, and nobody waits';
$one->query('commit;');
is $rig->sql("select candhook_internal.release('dead')"), 1, 'later it is';

# ---- retry, back-off ----
$rig->clear;
$rig->handler('a', @c, max_attempts => 4, first_delay => '100 s', backoff_factor => 3, max_delay => '400 s');
$id = $rig->sql('select t.put()');
for my $try (1 .. 3) {
    is finish($rig->claim, $id, 'retry'), 'retry', "attempt $try may be retried";
    my ($low, $high) = (50 * 3**($try - 1), 150 * 3**($try - 1));
    ($low, $high) = map { $_ > 400 ? 400 : $_ } $low, $high;
    my $delay = delivery('extract(epoch from due_at - clock_timestamp()) + 1');
    ok $delay >= $low && $delay <= $high + 1, "after $low to $high seconds" or diag $delay;
    is delivery('attempt, lease is null, worker is null'), "$try|t|t", 'and it is free';
    $rig->skip_time;
}
is $rig->sql("select result from candhook.recent where result <> 'retry'"), 'waiting', 'recent shows that it waits';
is finish($rig->claim, $id, 'retry', 'the end'), 'failed', 'the last one is recorded as failed';
is delivery('1'), '', 'and settles it';
is $rig->outcomes($id), join("\n", map({ "a/$_ retry" } 1 .. 3), 'a/4 failed'), 'every attempt has its row';
$id = $rig->sql('select t.put()');
is finish($rig->claim, $id, 'failed'), 'failed', 'a handler may give up at once';
is $rig->sql(q{select bool_and(d between interval '50 s' and interval '150 s'), max(d) - min(d) > interval '50 s'
               from (select candhook_internal.backoff(1, h) as d from generate_series(1, 500), candhook.handler h where h.name = 'a') x}), 't|t', 'delays are spread';
is $rig->sql(q{select candhook_internal.backoff(1000, h) from candhook.handler h where h.name = 'a'}), '00:06:40', 'and bounded, whatever the numbers';
like $rig->sql_error("select * from candhook_internal.finish(1, array['$id']::uuid[], array['fine'], array[null], array[now()], array[now()])"), qr/a result is ok, retry or failed/, 'another word is refused';

# ---- details: bounded, and without the token ----
$rig->clear;
$rig->sql(q{select candhook.set_bot_token('G1', 'secret-token')});
$rig->handler('a', @c, needs_token => 1);
$id = $rig->sql('select t.put()');
is $rig->sql(q{select bot_token from candhook_internal.claim('w', 10)}), 'secret-token', 'a handler that needs it gets the token';
finish(delivery('lease'), $id, 'ok', 'GET x?t=secret-token: 200 secret-token' . 'x' x 5000);
is $rig->sql('select left(detail, 29), length(detail) from candhook.outcome'), 'GET x?t=[token]: 200 [token]x|4000', 'the token is masked, the rest cut off';
$rig->sql('update candhook.handler set needs_token = false; select t.put()');
is $rig->sql(q{select bot_token is null from candhook_internal.claim('w', 10)}), 't', 'one that does not need it does not get it';

# ---- held ----
$rig->clear;
$rig->handler('needs', @c, needs_token => 1);
$rig->handler('free', @c);
$rig->sql(q{select candhook.set_bot_token('G2', 'two')});
$id = $rig->sql('select t.put()');
$rig->sql(q{update candhook.delivery set due_at = now() - interval '1 minute' where handler = 'needs'});
is $rig->sql(q{select handler from candhook_internal.claim('w', 10)}), 'free', 'what lacks its token does not keep others from going on';
is delivery('held, attempt, lease is null', q{handler = 'needs'}), 't|0|t', 'it is held, and no attempt';
like $rig->sql(q{select due_at - now() from candhook.delivery where held}), qr/^00:00:(29|30)/, 'looked at again after 30 seconds';
is $rig->outcomes($id), '', 'without an outcome row';
is $rig->sql(q{select result, detail from candhook.recent where handler = 'needs'}), 'held|there is no valid bot token of G1', 'recent says so';
is $rig->sql('select event_id, handler, origin_community_id from candhook.held'), "$id|needs|G1", 'and so does the view held';
$rig->skip_time for 1 .. 2;
$rig->sql(q{delete from candhook.delivery where handler = 'free'});
is $rig->claim, '', 'still none';
for my $age ([ '10 minutes', 600_000, qr/^00:0[45]:/, 'the older, the later' ], [ '10 days', 864_000_000, qr/^(00:59|01:00)/, 'at least every hour' ]) {
    $rig->sql('delete from candhook.delivery');
    $rig->sql("select t.put(id => t.id(-$age->[1]))");
    $rig->sql(q{delete from candhook.delivery where handler = 'free'});
    is $rig->claim, '', "one that is $age->[0] old lacks its token too";
    like $rig->sql('select due_at - now() from candhook.delivery where held'), $age->[2], $age->[3];
}
$rig->sql(q{select candhook.set_bot_token('G3', 'three')});
is $rig->claim, '', 'the token of another community releases nothing';
my $listener = $rig->psql_session;
$listener->query('listen candhook;');
$rig->sql(q{insert into candhook.bot_token values ('G1', 'one')});
like $listener->query('select 1;') . $listener->query('select 1;'), qr/notification "candhook"/, 'a stored token wakes the workers';
is $rig->sql(q{select handler, attempt, bot_token from candhook_internal.claim('w', 10)}), 'needs|1|one', 'and releases what it was held for, at once';

# Not valid any more, then another one.
$rig->clear;
$rig->handler('needs', @c, needs_token => 1);
$rig->sql(q{select candhook.set_bot_token('G1', 'one'); update candhook.bot_token set valid = false});
$rig->sql('select t.put()');
is $rig->claim, '', 'a token that is not valid is none';
$rig->sql(q{insert into candhook.bot_token values ('G1', 'one') on conflict (origin_community_id) do update set token = excluded.token});
is $rig->claim, '', 'the same one again is no better';
$rig->sql(q{insert into candhook.bot_token values ('G1', 'new') on conflict (origin_community_id) do update set token = excluded.token});
is $rig->sql(q{select bot_token from candhook_internal.claim('w', 10)}), 'new', 'another one is valid';

# Not needed any more.
$rig->clear;
$rig->handler('needs', @c, needs_token => 1);
$rig->sql('select t.put()');
is $rig->claim, '', 'held';
$rig->sql(q{update candhook.handler set needs_token = false});
isnt $rig->claim, '', 'a handler that needs no token any more goes on at once';

# ---- a token stored while the event is recorded and claimed ----
for my $order ('stored before the event', 'stored after the claim') {
    $rig->clear;
    $rig->handler('needs', @c, needs_token => 1);
    if ($order eq 'stored before the event') {
        $one->query(q{begin; insert into candhook.bot_token values ('G1', 'one');});
        $rig->sql('select t.put()');
        is $rig->claim, '', "a token $order, not committed: held";
    } else {
        $rig->sql('select t.put()');
        $two->query('begin;');
        is $two->query(q{select count(*) from candhook_internal.claim('two', 10);}), 0, "a token $order: held, not committed";
        $one->async(q{begin; insert into candhook.bot_token values ('G1', 'one'); commit;});
        $rig->wait_until(sub { $rig->sql('select count(*) from pg_locks where not granted') }, 'the commit of the token waits for the claim');
        $two->query('commit;');
        $one->result;
        $one->query('begin;');
    }
    $one->query('commit;');
    is $rig->sql(q{select bot_token from candhook_internal.claim('w', 10)}), 'one', 'released by the commit';
}

# The moment between the trigger, which has seen no delivery yet, and the end of the commit.
$rig->clear;
$rig->handler('needs', @c, needs_token => 1);
$one->query(q{begin; insert into candhook.bot_token values ('G1', 'one'); set constraints all immediate;});
$rig->sql('select t.put()');
is $rig->claim, '', 'an event that comes between the trigger and the end of the commit is not given without token';
like $rig->sql('select due_at - now() from candhook.delivery where held'), qr/^00:00:0[01]/, 'but looked at again in a second';
$one->query('commit;');
$rig->skip_time;
is $rig->sql(q{select bot_token from candhook_internal.claim('w', 10)}), 'one', 'and then given';

# ---- what is held or disabled in great number ----
$rig->clear;
$rig->handler('needs', @c, needs_token => 1);
$rig->handler('off', @c, enabled => 0);
$rig->handler('free', @c, type => 'product.voted');
$rig->sql(q{do $$ begin for n in 1 .. 40 loop
              perform t.record(array_agg(t.id()), array_agg(t.event())) from generate_series(1, 250);
            end loop; end $$});
$rig->sql(q{select candhook.set_bot_token('G9', 'nine')});
$rig->sql(q{select t.put(t.event('product.created', '{}', 'G9'))});
$rig->sql(q{select t.put(t.event('product.voted'))});
is $rig->sql(q{select handler from candhook_internal.claim('w', 50)}), 'free', '10,000 that lack their token do not starve another handler';
my $calls = 0;
my $got = '';
until ($got || $calls++ > 20) {
    $got = $rig->sql(q{select bot_token from candhook_internal.claim('w', 50)});
}
is $got, 'nine', "nor one of their own handler that has one ($calls calls)";
$rig->sql(q{select count(*) from candhook_internal.claim('w', 250)}) for 1 .. 3;
is $rig->sql(q{select count(*) from candhook.held}), 10000, 'all are held';
is $rig->sql(q{select count(*) from candhook.delivery where handler = 'off' and attempt = 0 and lease is null}), 10001, 'the disabled are untouched';
$rig->sql(q{delete from candhook.delivery where lease is not null});
$rig->sql(q{analyze candhook.delivery});
$two->query('select candhook_internal.due_in();') for 1 .. 8;
$two->query(q{select count(*) from candhook_internal.claim('w', 50);}) for 1 .. 8;
my $pages = $two->query(q{explain (analyze, buffers, timing off, summary off, costs off) select * from candhook_internal.claim('w', 50);});
my ($hit) = $pages =~ /shared hit=(\d+)/;
cmp_ok $hit, '<', 60, 'and a claim does not look at them' or diag $pages;
$rig->sql(q{select candhook.set_bot_token('G1', 'one')});
is $rig->sql(q{select count(*) from candhook_internal.claim('w', 50)}), 50, 'their token releases them';
is $rig->sql('select count(*) from candhook.held'), 0, 'all of them';

# ---- what does not fit ----
like $rig->sql_error(q{begin isolation level repeatable read; select * from candhook_internal.claim('w', 1)}), qr/needs the isolation level read committed/, 'another isolation level is refused';
$rig->clear;
$rig->handler('a', @c);
$rig->sql('select t.put()');
$rig->sql('truncate candhook.event');
is $rig->claim, '', 'an event that was dropped is not delivered';
is delivery('1'), '', 'nor is it tried again';

$_->close for $one, $two, $listener;
done_testing;
