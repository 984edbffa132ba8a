# SPDX-License-Identifier: ISC
#
# What the console asks the database: every answer, filter and action; what is wrong is told by a status; each role does its part;
# and searching goes on where it stopped.
use v5.36;
use Test::More;
use JSON::PP ();
use SqlRig;

my $rig = SqlRig->new;
my $json = JSON::PP->new->utf8->allow_nonref->canonical;
$rig->sql('create role console login; grant candhook_web, candhook_reader, candhook_admin to console');
$rig->sql('create role stranger login; grant candhook_web to stranger');

sub quoted ($text) { return defined $text ? "'" . $text =~ s/'/''/gr . "'" : 'null' }

# Returns status and answer.
sub ask ($path, $asked = {}, %option) {
    my $text = ref $asked ? $json->encode($asked) : $asked;
    my $got = $rig->sql('select status || $$ $$ || answer from candhook_internal.web(' . join(', ', quoted($path), quoted($text), quoted('anna'), $option{may_act} // 'true') . ')', user => $option{user} // 'console');
    my ($status, $answer) = $got =~ /^(\d+) (.*)$/s or die "no answer: $got\n";
    return ($status, $json->decode($answer));
}
sub answer ($path, $asked = {}, %option) { return (ask($path, $asked, %option))[1] }
sub status ($path, $asked = {}, %option) { return (ask($path, $asked, %option))[0] }
sub ids ($asked) { return [ map { $_->{id} } answer(events => $asked)->{events}->@* ] }

# ---- nothing yet ----
for my $path (qw(overview events handlers failures malformed unhandled tokens audit)) {
    my ($status, $answer) = ask($path);
    is $status, 200, "$path of an empty database";
    ok $answer->{at}, "$path tells its time";
}
is_deeply [ ask('nothing') ], [ 404, { error => 'there is nothing of this name' } ], 'no such page';
is status('overview', '[1]'), 400, 'no object';
is status('overview', '{'), 400, 'no JSON';

# ---- events and their outcomes ----
$rig->handler('greet', type => 'product.created', target => 't.note');
$rig->handler('gated', type => 'product.*', kind => 'c', target => 'x.so', needs_token => 1);

# Records a body, and makes the first attempts.
sub put ($milliseconds, $body, $reason = undef) {
    my $id = $rig->sql("select t.id($milliseconds)");
    $rig->sql("select t.record(array['$id'::uuid], array[" . quoted($body) . '], array[' . quoted($reason) . q{]::text[], not_at_once => '{}')});
    return $id;
}
my @events = map { put($_, $rig->sql("select t.event('product.created', '{\"id\": \"P$_\"}')")) } 1 .. 3;
$rig->claim; # holds what has no token
push @events, put(4, q{{"module":"CORE","type":"member.joined","context":{"originCommunityId":"G1","communityId":"C2","userId":"U1","profileId":"P1"},"payload":{"n":12345678901234567890.123456789}}});
my $malformed = put(5, 'no <b>event', 'line 1: it is no JSON');
is_deeply ids({}), [ reverse @events ], 'newest first';
is_deeply ids({ type => 'product.*' }), [ reverse @events[ 0 .. 2 ] ], 'by the beginning of a type';
is_deeply ids({ type => 'product.created', object => 'P2' }), [ $events[1] ], 'by object';
for my $filter ({ module => 'CORE' }, { community => 'C2' }, { user => 'U1' }, { user => 'P1' }, { type => 'member.joined' }, { result => 'unhandled' }, { id => $events[3] }) {
    is_deeply ids($filter), [ $events[3] ], join ' is ', %$filter;
}
is_deeply ids({ community => 'G1' }), [ reverse @events ], 'the origin community is one, too';
is_deeply ids({ handler => 'greet', result => 'ok' }), [ reverse @events[ 0 .. 2 ] ], 'by handler and result';
is_deeply ids({ result => 'held' }), [ reverse @events[ 0 .. 2 ] ], 'what is held';
is_deeply ids({ handler => 'gated', result => 'unfinished' }), [ reverse @events[ 0 .. 2 ] ], 'which is unfinished';
is_deeply ids({ result => $_ }), [], "none is $_" for 'due', 'running', 'put off', 'paused';
is_deeply ids({ handler => 'greet', result => 'unfinished' }), [], 'none of it by the other handler';
is_deeply ids({ since => '2999-01-01' }), [], 'none since then';
is_deeply ids({ until => '1999-01-01T00:00:00Z' }), [], 'nor until then';
is_deeply ids({ since => '2020-01-01', until => '2999-01-01' }), [ reverse @events ], 'all between';
my $at = $rig->sql("select received_at from candhook.event where id = '$events[2]'");
is_deeply ids({ until => $at }), [ reverse @events[ 0, 1 ] ], 'until is exclusive';
is_deeply ids({ since => $at }), [ reverse @events[ 2, 3 ] ], 'since is inclusive';
is_deeply ids({ before => $events[2] }), [ reverse @events[ 0, 1 ] ], 'older ones';
is_deeply answer(events => { object => 'P1' })->{events}[0]{results}, [ { handler => 'gated', result => 'held', attempt => 0 }, { handler => 'greet', result => 'ok', attempt => 1 } ], 'how each handler stands';
for my $wrong ([ since => 'yesterday or so' ], [ until => '2026-99-99' ], [ before => 'x' ], [ id => "' or true --" ], [ result => 'nice' ], [ module => 'x' x 1001 ], [ module => ['a'] ], [ since => { a => 1 } ]) {
    my ($status, $answer) = ask(events => {@$wrong});
    is $status, 400, "$wrong->[0] that is none";
    like $answer->{error}, qr/^$wrong->[0] (?:is|must)/, 'which is said';
}
for my $filter (qw(module type community user object handler)) {
    is_deeply ids({ $filter => q{' or true; drop table candhook.event; --} }), [], "$filter is data, not SQL";
}

# ---- a search that goes on ----
$rig->sql('insert into candhook.event (id, received_at, module, type, payload) '
      . q{select i, candhook.received_at(i), 'MOIM', case when n % 3000 = 0 then 'rare.one' else 'usual.one' end, '{}' from (select t.id(-100000 - n) as i, n from generate_series(1, 6000) n) x});
my $page = $json->decode($rig->sql(q{select candhook_internal.web_events('{"type":"rare.one"}', '0')}));
is scalar $page->{events}->@*, 0, 'without patience it looks at one slice';
ok $page->{looked_back_to} && $page->{next}, 'and tells how far it came and where to go on';
my ($found, $pages) = (0, 0);
while ($page->{next} && $pages++ < 10) {
    $page = $json->decode($rig->sql(qq{select candhook_internal.web_events('{"type":"rare.one","before":"$page->{next}"}', '0')}));
    $found += $page->{events}->@*;
}
is "$found $pages", '2 3', 'going on finds all, and ends';
is scalar ids({ type => 'rare.one' })->@*, 2, 'with patience it finds all at once';
my %seen;
$page = {};
for (1 .. 200) {
    $page = answer(events => { $page->{next} ? (before => $page->{next}) : () });
    $seen{ $_->{id} }++ for $page->{events}->@*;
    last unless $page->{next};
}
is scalar keys %seen, 6004, 'page by page all are seen';
is scalar(grep { $_ != 1 } values %seen), 0, 'once each';
$rig->sql(q{delete from candhook.event where type like '%.one'});

# ---- one event ----
my $event = answer(event => { id => $events[0] });
is_deeply [ map { [ $_->{what}, $_->{handler}, $_->{result} ] } $event->{life}->@* ], [ [ 'received', undef, undef ], [ 'attempt', 'greet', 'ok' ], [ 'waiting', 'gated', 'held' ] ], 'its life';
is_deeply $event->{handlers}, [ { name => 'gated', enabled => JSON::PP::true, matches => JSON::PP::true }, { name => 'greet', enabled => JSON::PP::true, matches => JSON::PP::true } ], 'whom it can be given';
is $event->{object}, 'P1', 'its object';
is answer(event => { id => $malformed })->{malformed}, JSON::PP::true, 'a malformed one is told';
is status(event => { id => '00000000-0000-7000-8000-000000000000' }), 404, 'no such event';
is status('event'), 404, 'no id';

# ---- bodies, which are noted ----
is $rig->sql('select count(*) from candhook.audit'), 0, 'nobody has looked at a body';
like answer(body => { id => $events[3] })->{text}, qr/^\{\n.*"n": 12345678901234567890\.123456789/s, 'a body, with all digits';
is_deeply answer(body => { id => $malformed }), { id => $malformed, text => 'no <b>event', reason => 'line 1: it is no JSON' }, 'a malformed one';
is $rig->sql('select who, what, detail, concerned from candhook.audit order by id'), "anna|look at body|$events[3]|1\nanna|look at body|$malformed|1", 'both looks are noted';
is status(body => { id => '00000000-0000-7000-8000-000000000000' }), 404, 'no such body';
is $rig->sql(q{select candhook_internal.readable('\xff41')}), '\377A', 'bytes that are no text are escaped';

# ---- the overview ----
my $overview = answer('overview');
is_deeply $overview->{deliveries}, { held => 3 }, 'what is held';
is $overview->{malformed}, 1, 'what is malformed';
my %sum;
for my $step ($overview->{steps}->@*) { $sum{$_} += $step->{$_} for qw(events ok retry failed unhandled) }
is_deeply \%sum, { events => 4, ok => 3, retry => 0, failed => 0, unhandled => 1 }, 'the rates';
my @at = map { $_->{at} =~ /T(\d\d):(\d\d):00/ ? $1 * 60 + $2 : die $_->{at} } $overview->{steps}->@*;
cmp_ok scalar @at, '>=', 60, 'of an hour';
is join(' ', map { ($at[$_] - $at[ $_ - 1 ]) % 1440 } 1 .. $#at), join(' ', (1) x $#at), 'with all its minutes';
my $newer = answer(overview => { since => $overview->{steps}[-3]{at} });
is $newer->{steps}[0]{at}, $overview->{steps}[-3]{at}, 'or only the newest';
is_deeply $newer->{steps}[0], $overview->{steps}[-3], 'which are the same';
is status(overview => { since => 'x' }), 400, 'since is a time';
is $overview->{latency}{count}, 3, 'the time to outcomes';
ok !$overview->{partial}, 'nothing is left out';
is_deeply [ answer(overview => { hours => '24' })->@{qw(hours step_s)} ], [ 24, 600 ], 'of a day';
ok $json->decode($rig->sql(q{select candhook_internal.web_rates(24, null, '0')}))->{partial}, 'without patience it is partial, and says so';
is answer('overview')->{replica_lag_s}, undef, 'no replica';

# ---- tokens ----
is_deeply answer('tokens')->{missing}, [ { community => 'G1', waiting => 3 } ], 'a community without token';
$rig->sql(q{select candhook.set_bot_token('G9', 'canary-of-a-token', array['a:b'])});
my ($token) = answer('tokens')->{tokens}->@*;
is_deeply [ $token->@{qw(community state how scopes waiting)} ], [ 'G9', 'valid', 'psql', ['a:b'], 0 ], 'one with a token';
unlike $json->encode(answer('tokens')), qr/canary/, 'which is not shown';

# ---- failures and actions ----
$rig->sql(q{update candhook.handler set needs_token = false, max_attempts = 1 where name = 'gated'});
$rig->sql(q{select candhook.set_bot_token('G1', 'a-token-of-G1')});
my $lease = $rig->claim;
$rig->sql(qq{select * from candhook_internal.finish($lease, array['$events[0]', '$events[1]', '$events[2]']::uuid[], '{failed,failed,failed}', array['HTTP 500 of order 17', 'HTTP 500 of order 18', 'no <i>way'], array[now(), now(), now()], array[now(), now(), now()], array[null, null, null]::bigint[])});
my %group = map { $_->{error} => $_ } answer('failures')->{groups}->@*;
is_deeply { map { $_ => $group{$_}{failures} } keys %group }, { 'HTTP # of order #' => 2, 'no <i>way' => 1 }, 'failures are grouped';
is_deeply [ $group{'no <i>way'}->@{qw(handler event known)} ], [ 'gated', 'MOIM:product.created', JSON::PP::true ], 'with what they tell';
is scalar answer(failures => { handler => 'greet' })->{groups}->@*, 0, 'of a handler';
is scalar answer(failures => { since => '2999-01-01' })->{groups}->@*, 0, 'since a time';
is scalar answer(failures => { since => '2020-01-01', handler => 'gated' })->{groups}->@*, 2, 'of both';
is_deeply [ map { [ $_->@{qw(handler failed)} ] } answer('overview')->{failing}->@* ], [ [ 'gated', 3 ] ], 'the overview names who fails';
my %act = (do => 'retry', handler => 'gated', error => 'HTTP # of order #');
is_deeply answer(act => { %act, count => JSON::PP::true }), { concerned => 2 }, 'a retry is counted';
is $rig->sql('select count(*) from candhook.delivery'), 0, 'and not done';
is_deeply answer(act => \%act), { done => 2 }, 'a group is retried';
is_deeply answer(act => { do => 'retry', handler => 'gated' }), { done => 1 }, 'the rest of the handler';
is_deeply answer(act => { do => 'give_up', handler => 'gated', id => $events[0], count => JSON::PP::true }), { concerned => 1 }, 'to give up one';
is_deeply answer(act => { do => 'give_up', handler => 'gated', id => $events[0] }), { done => 1 }, 'given up';
is_deeply answer(act => { do => 'give_up', handler => 'gated', count => JSON::PP::true }), { concerned => 2 }, 'to give up all';
is_deeply answer(act => { do => 'disable', handler => 'gated', count => JSON::PP::true }), { concerned => 2 }, 'to pause';
is_deeply answer(act => { do => 'disable', handler => 'gated' }), { done => 2 }, 'paused';
is_deeply answer('overview')->{deliveries}, { paused => 2 }, 'which shows';
is_deeply answer(act => { do => 'enable', handler => 'gated' }), { done => 2 }, 'going on';
is_deeply answer(act => { do => 'give_up', handler => 'gated' }), { done => 2 }, 'all given up';
is_deeply answer(act => { do => 'replay', id => $events[3], count => JSON::PP::true }), { concerned => 0 }, 'nobody matches';
is_deeply answer(act => { do => 'replay', id => $events[3], handlers => ['greet'], count => JSON::PP::true }), { concerned => 1 }, 'one is chosen';
is_deeply answer(act => { do => 'replay', id => $events[3], handlers => ['greet'] }), { done => 1 }, 'replayed';
is $rig->sql(q{select string_agg(what || ' ' || concerned, ', ' order by id) from candhook.audit where what <> 'look at body'}),
  'retry 2, retry 1, give_up 1, disable 2, enable 2, give_up 2, replay 1', 'each action is noted, no count is';
is $rig->sql(q{select detail from candhook.audit where what = 'retry' order by id limit 1}), 'handler gated; error HTTP # of order #', 'with what it was about';
is $rig->sql('select distinct db_user from candhook.audit'), 'console', 'with the user of the database, whom nobody can choose';
is scalar answer('audit')->{audit}->@*, 9, 'the audit';
is scalar answer(audit => { before => '3' })->{audit}->@*, 2, 'older ones of it';
is scalar answer(audit => { before => '9' x 19 })->{audit}->@*, 9, 'before a number that no row has';
is status(audit => { before => 'x' }), 400, 'before is a number there';
for my $wrong ([ 400, do => 'disable', handler => 'greet', count => 1 ], [ 400, do => 'disable', handler => 'greet', count => 'true' ], [ 400, do => 'give_up', handler => 'greet', ID => $events[0] ],
    [ 400, do => 'replay', id => $events[0], handlers => 'old' ], [ 400, do => 'replay', id => $events[0], handlers => [ 'greet', 1 ] ], [ 400, do => 'drop' ], [ 400 ], [ 404, do => 'retry', handler => 'nobody' ], [ 404, do => 'give_up' ], [ 400, do => 'replay' ], [ 404, do => 'replay', id => '00000000-0000-7000-8000-000000000000' ], [ 404, do => 'replay', id => $events[0], handlers => ['nobody'] ]) {
    my ($status, @asked) = @$wrong;
    is status(act => {@asked}), $status, "refused: @asked";
}

# ---- the other pages ----
my ($handler) = grep { $_->{name} eq 'greet' } answer('handlers')->{handlers}->@*;
is_deeply [ $handler->@{qw(type kind target ok_24h failed_24h unfinished enabled)} ], [ 'product.created', 'sql', 't.note(candhook.event,text)', 3, 0, 1, JSON::PP::true ], 'a handler and its health';
is $handler->{last_ok} ? 'some' : 'none', 'some', 'its last success';
ok $json->decode($rig->sql(q{select candhook_internal.web_handlers('0')}))->{partial}, 'without patience its counts are partial, which is said';
my ($type) = answer('unhandled')->{types}->@*;
is_deeply [ $type->@{qw(module type events statement)} ], [ 'CORE', 'member.joined', 1, q{select candhook.add_handler('member.joined', 'CORE', 'member.joined', 'sql', 'YOUR_FUNCTION');} ], 'a type without handler, and what to type';
is_deeply [ map { [ $_->@{qw(id reason bytes)} ] } answer('malformed')->{malformed}->@* ], [ [ $malformed, 'line 1: it is no JSON', 11 ] ], 'malformed bodies';
is_deeply answer(malformed => { before => $malformed })->{malformed}, [], 'older ones';

# ---- who may what ----
is status(act => { do => 'disable', handler => 'greet' }, may_act => 'false'), 403, 'a reader acts not';
is answer('overview', {}, may_act => 'false')->{can_act}, JSON::PP::false, 'and is told';
is answer('overview')->{can_act}, JSON::PP::true, 'who may act, too';
my ($status, $refused) = ask('events', {}, user => 'stranger');
is $status, 403, 'a user of the database without the roles sees nothing';
is $refused->{hint}, 'The owner of the schema types: grant candhook_reader, candhook_admin to stranger;', 'and is told what lacks';
is status('body', { id => $events[0] }, user => 'stranger'), 403, 'no body either';
$rig->sql('revoke candhook_admin from console');
is status('events'), 200, 'without candhook_admin it reads';
is answer('overview')->{can_act}, JSON::PP::false, 'knows that it cannot act';
is status(act => { do => 'disable', handler => 'greet' }), 403, 'and changes nothing';
$rig->sql('grant candhook_admin to console');
like $rig->sql_error(q{set role candhook_reader; select candhook_internal.web_act('{}', 'x')}, user => 'console'), qr/permission denied/, 'the reading role cannot act';
like $rig->sql_error(q{set role candhook_reader; insert into candhook.audit (who, what) values ('x', 'y')}, user => 'console'), qr/permission denied/, 'nor write into the audit';

# ---- what takes too long, or cannot be written ----
$rig->sql(q{create or replace function candhook_internal.web_unhandled() returns jsonb language sql as 'select to_jsonb(x::text) from pg_sleep(20) x'});
my ($code, $out) = $rig->run_sql(q{set statement_timeout = '200 ms'; select status || answer from candhook_internal.web('unhandled', '{}', 'anna', true)});
like $out, qr/^503.*gave up/m, 'what takes too long says so';
($code, $out) = $rig->run_sql(qq{begin read only; select status || answer from candhook_internal.web('body', '{"id":"$events[0]"}', 'anna', true)});
like $out, qr/^403.*replica/m, 'a body is not shown where the look cannot be noted';
done_testing;
