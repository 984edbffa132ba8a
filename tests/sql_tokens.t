# SPDX-License-Identifier: ISC
#
# The life of a bot token in the database: stored in every way, replaced, refused, revoked, removed, expired, and kept under
# another community; what is held meanwhile, and the history, which has no token.
use v5.36;
use Test::More;
use SqlRig;

my $rig = SqlRig->new;

# The row of a community, but for the token and times.
sub token ($community = 'G1') {
    return $rig->sql("select valid, ended, how, array_to_string(scopes, ' ') from candhook.bot_token where origin_community_id = '$community'");
}

# How the tokens of a community were stored, with which scopes, and how they ended: 'psql a b replaced, command'.
sub history ($community = 'G1') {
    return $rig->sql("select string_agg(concat_ws(' ', how, array_to_string(scopes, ' '), ended), ', ' order by id) from candhook.bot_token_history where community = '$community'");
}
sub afresh { $rig->clear; $rig->sql('truncate candhook.bot_token_history, candhook.community_alias') }
sub refuse ($community = 'G1') {
    return $rig->sql("select candhook_internal.refuse_bot_token('$community', stored_at) from candhook.bot_token where origin_community_id = '$community'");
}

# ---- stored in every way ----
$rig->sql(q{select candhook.set_bot_token('G1', 'one')});
is token(), 't||psql|', 'by the function: nothing is known of it';
is history(), 'psql', 'it has a history';
$rig->sql(q{select candhook.set_bot_token('G1', 'two', array['b', 'a', 'b'], '2100-01-01 00:00 UTC')});
is token(), 't||psql|a b', 'with scopes, each once and sorted';
is $rig->sql(q{select expires_at = '2100-01-01 00:00 UTC' from candhook.bot_token}), 't', 'and an expiry';
is history(), 'psql replaced, psql a b', 'the one before is replaced';
$rig->sql(q{copy candhook_internal.bot_token_entry from stdin (delimiter '|');
G1|three|{b,a}|2100-01-01 00:00+00|install
\\.
});
is token(), 't||install|a b', 'by copy, with the scopes that the one before had';
$rig->sql(q{insert into candhook_internal.bot_token_entry (origin_community_id, token) values ('G1', 'four')});
is token(), 't||command|', 'without any: those of the one before are not taken over';
$rig->sql(q{select candhook.set_bot_token('G1', 'five', array['c'])});
$rig->sql(q{insert into candhook.bot_token values ('G1', 'six') on conflict (origin_community_id) do update set token = excluded.token});
is token(), 't||psql|', 'nor by a plain insert';
$rig->sql(q{update candhook.bot_token set token = 'seven', scopes = '{d}'});
is token(), 't||psql|d', 'an update may say which it has';
$rig->sql(q{update candhook.bot_token set scopes = '{e}'});
is history(), 'psql replaced, psql a b replaced, install a b replaced, command replaced, psql c replaced, psql replaced, psql e', 'the history knows them all, the last as it is known now';
is $rig->sql(q{select count(*) from candhook.bot_token_history where (ended_at is null) <> (ended is null) or stored_by <> session_user}), 0, 'when each ended, and who stored it';
is $rig->sql(q{select count(*) from (select h::text as row from candhook.bot_token_history h) x where row ~ 'one|two|three|four|five|six|seven'}), 0, 'and no token';
is $rig->sql(q{select token, valid, how, scopes from candhook.bot_token_masked}), "\xe2\x80\xa6|t|psql|{e}", 'the view shows it, without the token';

# ---- what cannot be stored shows no token ----
for my $statement (q{select candhook.set_bot_token('G1', 'canary-1', array['a b'])}, q{select candhook.set_bot_token('G1', 'canary-1', array[null])},
    q{select candhook.set_bot_token('G1', 'canary-1', array['"'])}, q{update candhook.bot_token set token = 'canary-1', how = 'mail'},
    q{insert into candhook_internal.bot_token_entry values ('G1', 'canary-1', null, null, 'mail')}, q{select candhook.set_bot_token(E'G\\n', 'canary-1')},
    q{update candhook.bot_token set token = 'canary-1', valid = false, ended = 'lost'}) {
    my $message = $rig->sql_error($statement);
    like $message, qr/a scope is|how is psql|no community id/, "refused: $statement";
    unlike $message =~ s/^(?:LINE \d+|STATEMENT):.*//gmr, qr/canary/, 'and not shown';
}

# ---- refused: what needs it is held, and the next one releases it ----
afresh();
$rig->handler('note', needs_token => 1);
$rig->sql(q{select candhook.set_bot_token('G1', 'one', array['a'])});
is refuse(), 't', 'refused by the API';
is refuse(), 'f', 'once';
is token(), 'f|refused|psql|a', 'it says so';
my $id = $rig->sql('select t.put()');
$rig->work;
sub held { return $rig->sql('select held from candhook.delivery') }
is held(), 't', 'what needs it is held';
$rig->sql(q{select candhook.set_bot_token('G1', 'two')});
is held(), 'f', 'another one releases it';
is history(), 'psql a refused, psql', 'the history has both';
$rig->work;
is $rig->outcomes($id), 'note/1 ok', 'and it ran';

# ---- revoked, made valid again, removed ----
is $rig->sql(q{select candhook.revoke_bot_token('G1')}), 't', 'revoked';
is $rig->sql(q{select candhook.revoke_bot_token('G1')}), 'f', 'once';
is token(), 'f|revoked|psql|', 'it says so';
$rig->sql('select t.put()');
$rig->work;
is held(), 't', 'what needs it is held';
$rig->sql(q{update candhook.bot_token set valid = true});
is token(), 't||psql|', 'a person makes it valid again';
is held(), 'f', 'which releases it';
$rig->work;
$rig->sql(q{update candhook.bot_token set valid = false});
is history(), 'psql a refused, psql revoked, psql revoked', 'a plain update is in the history, too';
is $rig->sql(q{select candhook.remove_bot_token('G1')}), 't', 'removed';
is $rig->sql(q{select candhook.remove_bot_token('G1')}), 'f', 'once';
is history(), 'psql a refused, psql revoked, psql revoked', 'how it had ended stays';
$rig->sql(q{select candhook.set_bot_token('G1', 'three'); select candhook.remove_bot_token('G1')});
is history(), 'psql a refused, psql revoked, psql revoked, psql removed', 'a valid one is removed';
$rig->sql(q{insert into candhook.bot_token values ('G1', 'four'); delete from candhook.bot_token});
$rig->sql(q{insert into candhook.bot_token values ('G1', 'five'), ('G2', 'six'); truncate candhook.bot_token});
is history() . '/' . history('G2'), 'psql a refused, psql revoked, psql revoked, psql removed, psql removed, psql removed/psql removed', 'also by delete and by truncate';
$rig->sql(q{insert into candhook.bot_token values ('G1', 'seven'); begin; update candhook.bot_token set token = 'eight'; rollback});
is $rig->sql(q{select count(*) from candhook.bot_token_history where community = 'G1' and ended is null}), 1, 'a rollback leaves no trace';
$rig->sql(q{set session_replication_role = replica; delete from candhook.bot_token});
$rig->sql(q{select candhook.set_bot_token('G1', 'nine')});
is $rig->sql(q{select count(*) from candhook.bot_token_history where community = 'G1' and ended is null}), 1, 'where triggers did not fire, the next token ends the row that was left open';

# ---- expired ----
afresh();
$rig->handler('note', needs_token => 1);
$rig->sql(q{select candhook.set_bot_token('G1', 'one', expires_at => now() - interval '1 s')});
is token(), 'f|expired|psql|', 'what has expired is not valid';
$rig->sql(q{select candhook.set_bot_token('G1', 'two', expires_at => now() + interval '1 hour'); select candhook.set_bot_token('G2', 'other')});
is $rig->sql(q{select * from candhook_internal.maintain()}), '', 'what has not is let alone';
is token(), 't||psql|', 'it is valid';
# Time passes.
$rig->sql(q{set session_replication_role = replica; update candhook.bot_token set expires_at = now() - interval '1 s' where origin_community_id = 'G1'});
is token(), 't||psql|', 'until somebody looks';
is $rig->sql(q{select * from candhook_internal.maintain()}), 'the bot token of G1 has expired: what needs it is held until another one is stored', 'the worker does, and says so';
is token() . '/' . token('G2'), 'f|expired|psql|/t||psql|', 'that one, and no other';
is history(), 'psql expired, psql expired', 'the history, too';
$rig->sql('select t.put()');
$rig->work;
is held(), 't', 'what needs it is held';
my $session = $rig->psql_session;
$session->query(q{begin; update candhook.bot_token set valid = true, expires_at = null where origin_community_id = 'G1'; set constraints all immediate;});
$rig->sql(q{set session_replication_role = replica; update candhook.bot_token set expires_at = now() - interval '1 s' where origin_community_id = 'G2'});
$session->query('lock table candhook.bot_token in share row exclusive mode;');
is $rig->sql(q{select * from candhook_internal.maintain()}), '', 'a lock does not stop maintenance';
$session->query('commit;');
$session->close;
like $rig->sql(q{select * from candhook_internal.maintain()}), qr/of G2 has expired/, 'which comes again';

# ---- an alias ----
afresh();
$rig->handler('note', needs_token => 1);
$id = $rig->sql('select t.put()');
$rig->work;
$rig->sql(q{select candhook.set_bot_token('C1', 'one', array['a'])});
is held(), 't', 'the token of a child does not help';
$rig->sql(q{select candhook.alias_community('C1', 'G1')});
is token('C1') . '/' . token(), '/t||psql|a', 'by an alias it moves';
is held(), 'f', 'what was held is released';
$rig->work;
is $rig->outcomes($id), 'note/1 ok', 'and runs';
is history('C1') . '/' . history(), 'psql a removed/psql a', 'in the history of both';
for my $statement (q{select candhook.set_bot_token('C1', 'two')}, q{insert into candhook_internal.bot_token_entry values ('C1', 'three')},
    q{insert into candhook.bot_token values ('C1', 'four') on conflict (origin_community_id) do update set token = excluded.token}) {
    my $before = $rig->sql('select token from candhook.bot_token');
    $rig->sql($statement);
    is $rig->sql("select origin_community_id, token <> '$before' from candhook.bot_token"), 'G1|t', "kept under the origin: $statement";
}
is $rig->sql(q{select token from candhook_internal.bot_token('C1')}), 'four', 'asked for by either name';
is $rig->sql(q{select candhook_internal.refuse_bot_token('C1', (select stored_at from candhook.bot_token))}), 't', 'and refused';
is $rig->sql(q{select candhook.set_bot_token('G1', 'five'); select candhook.revoke_bot_token('C1')}), "\nt", 'and revoked';
is $rig->sql(q{select candhook.remove_bot_token('C1')}), 't', 'and removed';
for my $wrong (q{'G1', 'G2'}, q{'C2', 'C1'}, q{'C2', 'C2'}, q{null, 'G1'}, q{'', 'G1'}, q{'C2', ''}) {
    like $rig->sql_error("select candhook.alias_community($wrong)"), qr/kept under|ids of two communities/, "no alias: $wrong";
}
$rig->sql(q{select candhook.alias_community('C1', null); select candhook.set_bot_token('C1', 'six')});
is token('C1') . '/' . token(), 't||psql|/', 'the alias is gone';

# Which one stays, when both have a token: a valid one, and of two the one that was stored last.
for my $case ([ 'C1', 'G1' ], [ 'G1', 'C1' ], [ 'C1', 'G1', 'G1' ], [ 'G1', 'C1', 'C1' ]) {
    my ($first, $second, $refused) = @$case;
    afresh();
    $rig->sql("select candhook.set_bot_token('$_', 'of-$_')") for $first, $second;
    refuse($refused) if $refused;
    my $expected = $refused ? ($refused eq 'C1' ? 'of-G1' : 'of-C1') : "of-$second";
    $rig->sql(q{select candhook.alias_community('C1', 'G1')});
    is $rig->sql('select origin_community_id, token, valid from candhook.bot_token'), "G1|$expected|t", "first $first, then $second" . ($refused ? ", $refused refused" : '');
}

# Nobody who stores a token meanwhile misses the alias.
afresh();
my ($one, $two) = map { $rig->psql_session } 1 .. 2;
$one->query(q{begin; select candhook.alias_community('C1', 'G1');});
$two->async(q{select candhook.set_bot_token('C1', 'late');});
$rig->wait_until(sub { $rig->sql(q{select count(*) from pg_stat_activity where wait_event_type = 'Lock'}) == 1 }, 'one who stores a token waits');
$one->query('commit;');
$two->result;
is token(), 't||psql|', 'and it is kept under the origin';
$_->close for $one, $two;

# ---- two at once ----
afresh();
($one, $two) = map { $rig->psql_session } 1 .. 2;
$one->query(q{begin; select candhook.set_bot_token('G1', 'one');});
$two->async(q{select candhook.set_bot_token('G1', 'two');});
$rig->wait_until(sub { $rig->sql(q{select count(*) from pg_stat_activity where wait_event_type = 'Lock'}) == 1 }, 'the second waits');
$one->query('commit;');
unlike $two->result, qr/ERROR/, 'and is stored';
is history(), 'psql replaced, psql', 'one after the other';
$_->close for $one, $two;

# ---- what status and doctor are told ----
afresh();
sub told ($item) { return $rig->sql("select name, detail from candhook_internal.diagnose() where item = '$item'") }
sub counts { return $rig->sql(q{select string_agg(key || ' ' || value, ', ' order by key) from candhook_internal.status() where area = 'tokens'}) }
is counts(), 'ended 0, expiring 0, valid 0', 'nothing';
$rig->sql(q{select candhook.set_bot_token('G' || to_char(n, 'FM00'), 'token', array['a', 'b']) from generate_series(1, 20) n});
is counts(), 'ended 0, expiring 0, valid 20', 'valid ones';
is told("token_$_"), '', "none is $_" for qw(refused revoked expired expiring sibling siblings);
$rig->sql(q{select candhook_internal.refuse_bot_token(origin_community_id, stored_at) from candhook.bot_token where origin_community_id <= 'G12'});
$rig->sql(q{select candhook.revoke_bot_token('G13')});
$rig->sql(q{select candhook.set_bot_token('G14', 'token', expires_at => now())});
$rig->sql(q{select candhook.set_bot_token('G' || n, 'token', null, timestamptz '2100-01-01 00:00 UTC') from generate_series(15, 16) n});
$rig->sql(q{select candhook.set_bot_token('G' || n, 'token', null, now() + (42 - 2 * n) * interval '1 day') from generate_series(17, 18) n});
is counts(), 'ended 14, expiring 1, valid 6', 'counted';
is told('token_refused'), 'G01, G02, G03, G04, G05, G06, G07, G08, G09, G10 and 2 more|', 'ten by name';
is told('token_revoked') . told('token_expired'), 'G13|G14|', 'and the others';
like told('token_expiring'), qr/\AG18\|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/, 'what expires within seven days';
sub lacking ($needed) { return $rig->sql("select communities, missing from candhook_internal.lacking_scopes('$needed')") }
is lacking('{a,b}'), '', 'the scopes suffice';
is lacking('{}'), '', 'when none is needed, too';
is lacking('{c,b,d}'), 'G19, G20|c d', 'who lacks some, of those whose scopes are known';
$rig->sql(q{select candhook.set_bot_token('G20', 'token', '{}')});
is lacking('{b}'), 'G20|b', 'to have none is known';

$rig->clear;
$rig->handler('note', needs_token => 1);
sub event_of ($origin, $child) {
    $rig->sql(qq{select t.put('{"module":"MOIM","type":"product.created","context":{"originCommunityId":"$origin","communityId":"$child"},"payload":{}}')});
}
event_of('G1', 'C1') for 1 .. 2;
event_of('G2', 'C2');
event_of('G3', 'G3');
$rig->work;
is told('token_sibling'), '', 'no community has a token';
$rig->handler('other', kind => 'exec', target => 'other', type => 'product.other');
$rig->sql(q{select t.put('{"module":"MOIM","type":"product.other","context":{"originCommunityId":"G4","communityId":"C4"},"payload":{}}')});
$rig->sql(q{select candhook.set_bot_token('C4', 'token')});
is told('token_sibling'), '', 'nor is one needed where nothing is held';
$rig->sql(q{select candhook.remove_handler('other')});
$rig->sql(q{select candhook.set_bot_token('C1', 'token')});
is told('token_sibling'), q{G1|select candhook.alias_community('C1', 'G1')}, 'one is stored for a child: how to make it an alias';
$rig->sql((split /\|/, told('token_sibling'))[1]);
is told('token_sibling'), '', 'which helps';
$rig->work;
is $rig->sql(q{select count(*) from candhook.outcome where result = 'ok'}), 2, 'the events of that origin ran';
for my $number (10 .. 21) {
    $rig->sql("select candhook.set_bot_token('C$number', 'token')");
    event_of("G$number", "C$number");
}
$rig->work;
is scalar(split /\n/, told('token_sibling')), 10, 'ten';
is told('token_siblings'), '2|', 'and how many more';
done_testing;
