# SPDX-License-Identifier: ISC
#
# What people do in psql: handlers, with every mistake refused and explained; tokens; the views.
use v5.36;
use utf8;
use Test::More;
use SqlRig;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);
my $rig = SqlRig->new;

# ---- handlers: their target ----
for my $target ('t.note', 't.note(candhook.event,text)', 't.note(candhook.event, text)', 'T.Note', '"t"."note"') {
    $rig->clear;
    $rig->handler('note', target => $target);
    is $rig->sql('select target from candhook.handler'), 't.note(candhook.event,text)', "$target is kept in full";
}
$rig->clear;
$rig->sql(q{set search_path = t; insert into candhook.handler (name, module, type, kind, target) values ('x', '*', '*', 'sql', 'note')});
is $rig->sql('select target from candhook.handler'), 't.note(candhook.event,text)', 'a bare name is looked up in the search_path of who stores it';
$rig->sql(q{create schema "We(ird"; create function "We(ird"."fn ""x""(candhook.event,text)"(event candhook.event, bot_token text) returns text language sql as $$ select 'odd' $$;
            grant usage on schema "We(ird" to public});
$rig->clear;
$rig->handler('note', target => '"We(ird"."fn ""x""(candhook.event,text)"(candhook.event,text)');
$rig->sql('select t.put()');
$rig->work;
is $rig->sql('select result, detail from candhook.outcome'), 'ok|odd', 'odd names work';

$rig->sql(q{create function t.nothing(event candhook.event, bot_token text) returns void language sql as $$ $$;
            create function t.many(event candhook.event, bot_token text) returns setof text language sql as $$ select 'x' $$;
            create function t.other(event jsonb, bot_token text) returns text language sql as $$ select 'x' $$;
            create procedure t.procedure(event candhook.event, bot_token text) language sql as $$ $$});
my $insert = q{insert into candhook.handler (name, module, type, kind, target) values ('x', '*', '*', 'sql', '%s')};
for my $case ([ 't.nowhere', 'there is no function' ], [ 'note', 'there is no function' ], [ 't.other', 'there is no function' ], [ 't.other(jsonb,text)', 'there is no function' ],
    [ 'nonsense (', 'there is no function' ], [ 'a.b.c.d', 'there is no function' ], [ 't.nothing', 'does not return text' ], [ 't.many', 'does not return text' ], [ 't.procedure', 'does not return text' ]) {
    my $error = $rig->sql_error(sprintf $insert, $case->[0]);
    like $error, qr/ERROR:  handler "x": .*$case->[1].*\nHINT:/, "$case->[0]: $case->[1], with a hint";
}
like $rig->sql_error(sprintf($insert, 'x') =~ s/'sql'/'c'/r), qr/handler_target_shape/, 'x is no shared object';

# ---- handlers: the constraints, by name ----
$rig->clear;
my %refused = (
    handler_name_shape => [ q{name = ''}, q{name = E'a\nb'}, q{name = repeat('x', 256)} ],
    handler_module_pattern => [ q{module = ''}, q{module = 'MO*'}, q{module = '*.*'}, q{module = repeat('x', 256)} ],
    handler_type_pattern => [ map({ "type = '$_'" } '', 'product*', '*.created', '.*', '**', 'a.*.b', '*.*', 'a.**', 'a*.*') ],
    handler_kind_word => [ q{kind = 'python'} ],
    handler_jitter_range => [ 'jitter = -0.1', 'jitter = 1.1' ],
    handler_concurrency_range => [ 'concurrency = 0', 'concurrency = 1001' ],
    handler_ordered_by_word => [ q{ordered_by = 'user'} ],
    handler_target_shape => [ map({ "kind = 'c', target = '$_'" } 'x', 'a/x.so', '../x.so', '.x.so', 'x.so:', 'x.so:1f', 'x.so:f g', '.so', 'x.so/y.so'),
        map({ "kind = 'exec', target = '$_'" } '', '/bin/sh', '../x', 'a/../x', 'a//x', './x', 'a/', 'x y', 'x;y', '.x', 'a/.x'),
        map({ "kind = 'http', target = '$_'" } '', 'example.org', 'ftp://example.org/', 'http://', 'http:///x', 'https://user:word@example.org/', 'http://a b/', 'http://a/ b', 'http://a/x#y', 'http://a@b') ],
    handler_timeout_range => [ q{timeout = '0'}, q{timeout = '2 days'}, q{timeout = '-1 s'} ],
    handler_max_attempts_range => [ 'max_attempts = 0', 'max_attempts = 1001' ],
    handler_first_delay_range => [ q{first_delay = '-1 s'}, q{first_delay = '1 year'} ],
    handler_backoff_factor_range => [ 'backoff_factor = 0.5', 'backoff_factor = 1000', q{backoff_factor = 'NaN'} ],
    handler_max_delay_range => [ q{max_delay = '-1 s'} ]
);
$rig->handler('note');
for my $constraint (sort keys %refused) {
    like $rig->sql_error("update candhook.handler set $_"), qr/violates check constraint "$constraint"/, "$constraint: $_" for $refused{$constraint}->@*;
}
$rig->sql("update candhook.handler set $_") for q{type = '*'}, q{type = 'a.*'}, q{type = 'a.b.*'}, q{module = '*'}, q{kind = 'c', target = 'x-1.2.so'}, q{target = 'x.so:f_1'},
  q{timeout = '10 ms'}, q{first_delay = '0', max_delay = '0'};
pass 'what is allowed is allowed';

# ---- handlers: changes ----
$rig->clear;
$rig->handler('note');
my $stamp = $rig->sql('select changed_at from candhook.handler');
$rig->sql(q{update candhook.handler set timeout = '5 s'});
is $rig->sql("select changed_at > '$stamp', created_at = '$stamp' from candhook.handler"), 't|t', 'changed_at is kept';
my $listener = $rig->psql_session;
$listener->query('listen candhook;');
for my $change (q{update candhook.handler set enabled = false}, q{delete from candhook.handler}, sprintf($insert, 't.note')) {
    $rig->sql($change);
    like $listener->query('select 1;') . $listener->query('select 1;'), qr/notification "candhook"/, "workers are told: $change";
}
$rig->clear;
$rig->handler('note');
$rig->sql('select t.put() from generate_series(1, 3)');
my ($waits, $runs, $tried) = split /\n/, $rig->sql('select event_id from candhook.delivery order by 1');
$rig->sql("update candhook.delivery set lease = 1, worker = 'w', attempt = 1 where event_id = '$runs'; update candhook.delivery set attempt = 2 where event_id = '$tried'");
$rig->sql("insert into candhook.outcome select event_id, received_at, 'note', 2, 'retry', null, now(), now() from candhook.delivery where event_id = '$tried'");
$rig->sql(q{update candhook.handler set name = 'renamed'});
is $rig->sql('select handler, count(*) from candhook.delivery group by 1'), 'renamed|3', 'deliveries follow a renaming';
$rig->sql('delete from candhook.handler');
is $rig->sql(q{select handler, attempt, result, detail from candhook.outcome order by attempt, handler}),
  "renamed|1|failed|handler removed\nrenamed|1|failed|handler removed\nnote|2|retry|\nrenamed|3|failed|handler removed", 'a removal settles what waits, what runs, and what was tried';
is $rig->sql('select count(*) from candhook.delivery'), 0, 'nothing waits any more';
like $rig->sql(q{select count(*) from candhook_internal.finish(1, array['} . $runs . q{']::uuid[], array['ok'], array[null], array[now()], array[now()])}), qr/^0$/, 'what runs finishes in vain';

# The new name may have outcomes of the same event: from a handler that was removed.
$rig->clear;
$rig->handler('note', max_attempts => 3);
my $twice = $rig->sql('select t.put()');
$rig->work;
$rig->handler('note', name => 'second', enabled => 'false', max_attempts => 3);
$rig->sql("select candhook.replay('$twice', array['second'])");
$rig->sql(q{delete from candhook.handler where name = 'note'; update candhook.handler set name = 'note', enabled = true});
is $rig->sql('select failures from candhook.delivery'), 0, 'a name that was used before: none of its attempts counts';
$rig->work;
is $rig->outcomes($twice), "note/1 ok\nnote/2 ok", 'and numbers go on';

$rig->sql('create schema hidden; create function hidden.note(event candhook.event, bot_token text) returns text language sql as $$ select null::text $$');
my (undef, undef, $warning) = $rig->run_sql(sprintf $insert, 'hidden.note');
like $warning, qr/WARNING:.*candhook_handler may not call hidden.note.*\nHINT:.*grant usage on schema hidden to candhook_handler/, 'a function that the handler role may not call is said, with the remedy';

# ---- tokens ----
$rig->clear;
$rig->sql(q{insert into candhook.bot_token values ('G1', 'first-token-of-G1') on conflict (origin_community_id) do update set token = excluded.token});
$stamp = $rig->sql('select stored_at from candhook.bot_token');
$rig->sql(q{insert into candhook.bot_token values ('G1', 'second-token-of-G1') on conflict (origin_community_id) do update set token = excluded.token});
is $rig->sql("select token, valid, stored_at > '$stamp' from candhook.bot_token"), 'second-token-of-G1|t|t', 'plain insert on conflict';
$rig->sql(q{update candhook.bot_token set valid = false; update candhook.bot_token set token = 'third'});
is $rig->sql('select valid from candhook.bot_token'), 't', 'another token is valid';
$rig->sql(q{update candhook.bot_token set valid = false});
is $rig->sql('select valid from candhook.bot_token'), 'f', 'one can be marked as refused';
$rig->sql(q{select candhook.set_bot_token('G1', 'third')});
is $rig->sql('select valid from candhook.bot_token'), 't', 'set_bot_token makes it valid, also the same one';
$rig->sql(q{update candhook.bot_token set token = 'fourth', valid = false});
is $rig->sql('select token, valid from candhook.bot_token'), 'fourth|f', 'both at once do what they say';
$rig->sql(q{select candhook.set_bot_token('G2', 'a-token-of-more-than-16-bytes')});
is $rig->sql('select origin_community_id, token from candhook.bot_token_masked'), "G1|\xe2\x80\xa6\nG2|a-to\xe2\x80\xa6", 'the view masks them';
like $rig->sql_error("select candhook.set_bot_token($_)"), qr/that is no (?:bot token|community id): /, "refused: $_" for q{'G1', ''}, q{'G1', E'x\n'}, q{'G1', 'a b'}, q{'', 'x'}, q{'G1', null}, q{null, 'x'};
for my $statement ("select candhook.set_bot_token('G1', 'secret one')", "insert into candhook.bot_token values ('G1', 'secret one')",
    "update candhook.bot_token set token = 'secret one'") {
    # psql shows the statement that it was given; what the server says of it is the first lines.
    unlike $rig->sql_error($statement) =~ s/^--- in: .*//msr =~ s/^LINE .*//mr, qr/secret one/, 'the message does not show the token';
}

# ---- recent ----
$rig->clear;
$rig->handler('note');
$rig->handler('held', target => 't.note', needs_token => 1);
$rig->handler('off', target => 't.note', enabled => 0);
$rig->handler('fails', target => 't.fail', first_delay => '1 hour');
$rig->sql(q{select t.put(t.event('nobody.cares'), t.id(-1000)); select t.put()});
$rig->work;
my @recent = split /\n/, $rig->sql('select event, origin_community_id, handler, result, attempt, detail from candhook.recent') =~ s/in \d\d:\d\d:\d\d/in X/r;
is pop @recent, 'MOIM:nobody.cares|G1||unhandled|0|', 'recent shows the newest first';
is join(' ', map { (split /\|/)[3] } @recent[ 0 .. 2 ]), 'waiting held waiting', 'and of an event first what is not finished';
is join("\n", sort @recent), <<'END' =~ s/\n\z//r, 'outcomes and what is not finished';
MOIM:product.created|G1|fails|retry|1|it is broken, said nobody (P0001)
MOIM:product.created|G1|fails|waiting|1|to be tried again in X
MOIM:product.created|G1|held|held|0|there is no valid bot token of G1
MOIM:product.created|G1|note|ok|1|noted
MOIM:product.created|G1|off|waiting|0|the handler is disabled
END

# With many events it must not read all of them.
$rig->clear;
$rig->sql(q{insert into candhook.event (id, received_at, module, type, payload)
            select id, candhook.received_at(id), 'MOIM', 'x', '{}' from (select t.id(-n) as id from generate_series(1, 30000) n) x;
            insert into candhook.outcome (event_id, received_at, handler, attempt, result, finished_at) select id, received_at, '', 0, 'unhandled', received_at from candhook.event;
            analyze candhook.event; analyze candhook.outcome; analyze candhook.delivery});
my $plan = $rig->sql('explain (analyze, buffers, timing off, summary off, costs off) select * from candhook.recent limit 20');
my ($pages) = $plan =~ /shared hit=(\d+)/;
cmp_ok $pages, '<', 300, 'the newest 20 cost the same, however many there are' or diag $plan;
is $rig->sql('select count(*), bool_and(received_at >= (select max(received_at) from candhook.event) - interval $$1 second$$) from (select * from candhook.recent limit 20) x'), '20|t', 'and are the newest';

$listener->close;
done_testing;
