# SPDX-License-Identifier: ISC
#
# candhook status: what it counts, before and after; healthy, stalled, and without a database; the same as JSON.
use v5.36;
use JSON::PP ();
use Test::More;
use Rig;

my $rig = Rig->new;
my $dir = $rig->{dir};
my ($status, $out, $err);
sub status (@arguments) { ($status, $out, $err) = $rig->candhook('status', @arguments); return $status }
sub json (@arguments) { status('--json', @arguments); return JSON::PP->new->decode($out) }

$rig->cluster;
$rig->conf;
is status(), 69, 'without a schema: 69';
like $out, qr/^database\s+.*candhook init/m, 'and why';
$rig->schema;

# ---- nothing has happened yet ----
is status(), 1, 'without a spool it is not healthy';
like $out, qr/cannot look into the spool \Q$dir\E\/spool/, 'and says so';
ok !-e "$dir/spool", 'and makes none';

# ---- answers ----
$rig->responder;
$rig->nginx;
$rig->sql('create schema app; grant usage on schema app to public');
$rig->sql(q{create function app.fine(event candhook.event, bot_token text) returns text language sql as $$ select 'done' $$});
$rig->sql(q{create function app.bad(event candhook.event, bot_token text) returns text language plpgsql as $$ begin raise exception 'no'; end $$});
$rig->sql(q{insert into candhook.handler (name, module, type, kind, target, max_attempts) values ('fine', 'MOIM', 'a', 'sql', 'app.fine', 1), ('bad', 'MOIM', 'a', 'sql', 'app.bad', 1)});
$rig->sql(q{insert into candhook.handler (name, module, type, kind, target, needs_token) values ('held', 'MOIM', 'b', 'sql', 'app.fine', true)});
$rig->sql(q{insert into candhook.handler (name, module, type, kind, target, enabled) values ('paused', 'MOIM', 'b', 'sql', 'app.fine', false)});
is $rig->post($rig->path, $rig->event(type => 'a'))->{status}, 200, 'an event' for 1 .. 3;
is $rig->post($rig->path, $rig->event(type => 'b'))->{status}, 200, 'one that waits';
is $rig->post($rig->path, $rig->event(type => 'c'))->{status}, 200, 'one without a handler';
is $rig->post($rig->path, 'x')->{status}, 400, 'what is no event';
is $rig->post('/candhook/guess', 'x')->{status}, 404, 'a guess' for 1 .. 2;
is $rig->post($rig->path, '', method => 'GET')->{status}, 405, 'no POST';
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.outcome') == 7 }, 'all is handled');
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.delivery where held') == 1 }, 'and held');
my $now;
$rig->wait_until(sub { $now = json(); $now->{answers}{200} == 5 && $now->{answers}{405} == 1 && $now->{spool}{events} == 0 }, 'the answers are written down');
is $status, 0, 'healthy';
is $now->{status}, 'healthy', 'it says';
is_deeply $now->{reasons}, [], 'for no reason';
is_deeply [ map { $now->{answers}{$_} } qw(200 400 404 405 413 503) ], [ 5, 1, 2, 1, 0, 0 ], 'answers';
is $now->{responders}, 1, 'one responder';
like $now->{answers}{since}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'since when';
ok $now->{worker}{running}, 'the worker runs';
is $now->{worker}{pid}, $rig->worker_pid, 'that one';
like $now->{worker}{since}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'since when';
ok exists $now->{deliveries}{oldest_due_s} && !defined $now->{deliveries}{oldest_due_s}, 'nothing is due';
is_deeply [ sort keys %{ $now->{deliveries} } ], ['oldest_due_s'], 'nothing is counted';
ok !exists $now->{events} && !exists $now->{outcomes}, 'and nothing of what was received and handled';
is_deeply $now->{tokens}, { valid => 0, ended => 0, expiring => 0 }, 'no tokens';
is_deeply [ map { join ' ', sort keys %$_ } @{ $now->{handlers} } ], [ ('enabled last_failed name') x 4 ], 'of a handler what an index tells';
is_deeply [ map { defined $_->{last_failed} ? 1 : 0 } @{ $now->{handlers} } ], [ 1, 0, 0, 0 ], 'which one failed';
is status(), 0, 'for people';
like $out, qr/^deliveries  none waits that could run$/m, 'the same';
like $out, qr/^bad\s+\d{4}\S+ *$/m, 'the handler that failed';
like $out, qr/^paused\s+-\s+paused$/m, 'and the paused one';
unlike $out, qr/last day/, 'without counts';
$now = json('--counts');
is $status, 0, 'with counts';
ok exists $now->{deliveries}{oldest_due_s}, 'that is there, too';
is $now->{events}{received_1h}, 5, 'events';
is $now->{events}{malformed_24h}, 1, 'malformed bodies';
is_deeply [ map { $now->{outcomes}{$_} } qw(ok_1h failed_1h unhandled_1h ok_24h) ], [ 3, 3, 1, 3 ], 'outcomes';
is_deeply [ map { $now->{deliveries}{$_} } qw(due running put_off held paused) ], [ 0, 0, 0, 1, 1 ], 'deliveries';
my %handler = map { $_->{name} => $_ } @{ $now->{handlers} };
is_deeply [ sort keys %handler ], [qw(bad fine held paused)], 'handlers';
ok $handler{fine}{last_ok} && !$handler{fine}{last_failed}, 'the last success of one';
ok !$handler{bad}{last_ok} && $handler{bad}{last_failed}, 'and the last failure of another';
is $handler{held}{unfinished}, 1, 'one has something to do';
is status('-c'), 0, 'for people';
like $out, qr/^worker\s+runs, process \d+ since/m, 'the worker';
like $out, qr/^spool\s+0 events/m, 'the spool';
like $out, qr/^answers\s+200: 5, 400: 1, 404: 2, 405: 1, 413: 0, 503: 0; since /m, 'the answers';
like $out, qr/^\s+5\s+5\s+events$/m, 'the events';
like $out, qr/^fine\s+-\s+\d{4}\S+\s+3\s+0\s+0$/m, 'a handler';
like $out, qr/^\s+0 due, 0 running, 0 put off, 1 held for a bot token, 1 paused$/m, 'deliveries';
like $out, qr/^paused .*paused$/m, 'a paused one';
like $out, qr/^healthy\n\z/m, 'healthy';

# ---- tokens ----
$rig->sql(q{select candhook.set_bot_token('T' || n, 'token', null, case when n < 3 then now() + n * interval '6 days' end) from generate_series(1, 5) n});
$rig->sql(q{select candhook.revoke_bot_token('T5')});
is_deeply json()->{tokens}, { valid => 4, ended => 1, expiring => 1 }, 'tokens';
is status(), 0, 'which is no stall';
like $out, qr/^bot tokens  4 valid, 1 refused or ended, 1 to expire within 7 days: candhook token list$/m, 'for people';
$rig->sql('delete from candhook.bot_token');
is status(), 0, 'without any';
like $out, qr/^bot tokens  0 valid, 0 refused or ended, 0 to expire within 7 days$/m, 'for people';

# ---- counts go on when responders come and go ----
my ($responder) = map { $_->{pid} } grep { $_->{name} eq 'responder' } @{ $rig->{processes} };
$rig->candhook_ok('stop');
$rig->stop($responder);
is json()->{responders}, 0, 'the responder is gone';
is $now->{answers}{200}, 5, 'its counts are there';
$rig->responder;
is $rig->post($rig->path, $rig->event(type => 'c'))->{status}, 200, 'another one';
$rig->wait_until(sub { json()->{answers}{200} == 6 }, 'counts on');
is scalar(() = glob "$dir/spool/answers/*"), 1, 'in the same file';
like $rig->read_file('spool/answers/0'), qr/\Asince \S+\n(?: +\d+ \d{3}\n)+\z/, 'which people can read';

# ---- stopped: what waits ----
$now = json();
is $now->{spool}{events}, 1, 'one event is not recorded';
cmp_ok $now->{spool}{bytes}, '>', 150, 'of some bytes';
ok !$now->{worker}{running} && $now->{worker}{stopped}, 'since the worker is stopped';
$rig->wait_until(sub { status() == 1 }, 'that is a stall, after a moment');
like $out, qr/^stalled\n    no worker runs, since a person ran candhook stop: run candhook work$/m, 'and it says why';
like $out, qr/^worker\s+does not run: a person ran candhook stop$/m, 'twice';

# ---- a delivery that nobody runs ----
$rig->sql(q{update candhook.delivery set due_at = now() - interval '10 minutes' where handler = 'paused'});
ok !(grep { /delivery/ } @{ json()->{reasons} }), 'what is paused may wait';
$rig->sql(q{update candhook.handler set enabled = true where name = 'paused'});
ok scalar(grep { /a delivery could have run for (?:599|6\d\d) s|10 min/ } @{ json()->{reasons} }), 'what could run may not' or diag $out;
$rig->sql(q{update candhook.handler set enabled = false where name = 'paused'});

# ---- no database ----
$rig->pg_stop;
is status(), 69, 'without a database: 69';
like $out, qr/^spool\s+at most \d+ events/m, 'the spool is shown all the same';
like $out, qr/^database unreachable\n/m, 'and what is wrong';
$now = json();
ok !$now->{database}{reachable} && $now->{database}{error}, 'as JSON, too';
is $now->{answers}{200}, 6, 'with what is known';
$rig->pg_start;
$rig->candhook_ok('work', '--once');
is json()->{spool}{events}, 0, 'all is recorded';
is status(), 0, 'healthy again';

# ---- recorded, and still in the segment that is being written ----
is $rig->post($rig->path, $rig->event(type => 'c'))->{status}, 200, 'an event';
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.event') == 7 }, 'it is recorded');
my @segments = glob "$dir/spool/*.seg";
is json()->{spool}{events}, 0, 'what is recorded does not count, though its segment is there';
cmp_ok scalar(@segments), '>=', 1, 'as it is';

# ---- rights ----
for my $role (qw(worker reader admin)) {
    $rig->sql("create role my_$role login; grant candhook_$role to my_$role");
    $rig->conf(database => $rig->conninfo(user => "my_$role"));
    is status(), 0, "candhook_$role is enough" or diag $out;
}
$rig->sql('create role nobody_special login');
$rig->conf(database => $rig->conninfo(user => 'nobody_special'));
is status(), 69, 'without rights: 69';
$rig->conf;

# ---- what it costs does not grow with what was received and handled ----
# All buffers that are touched, those of the functions' own statements, too; the first call fills the catalogs' caches.
sub pages ($function) {
    my ($hit, $read) = $rig->sql("select count(*) from candhook_internal.$function() \\g /dev/null\nexplain (analyze, buffers, timing off, summary off, costs off) select * from candhook_internal.$function()") =~ /shared hit=(\d+)(?: read=(\d+))?/;
    return $hit + ($read // 0);
}
my $before = pages('status');
my $recent = q{select gen_random_uuid() as id, now() - n * interval '1 s' as at from generate_series(1, 30000) n};
$rig->sql("insert into candhook.event (id, received_at, module, type, payload) select id, at, 'MOIM', 'a', '{}' from ($recent) x");
$rig->sql("insert into candhook.outcome (event_id, received_at, handler, attempt, result, finished_at)
           select id, received_at, h, 1, case when random() < 0.1 then 'failed' else 'ok' end, received_at from candhook.event, unnest('{fine,bad}'::text[]) h
            where not exists (select from candhook.outcome o where o.received_at = event.received_at and o.event_id = event.id)");
for my $analyzed (0, 1) {
    $rig->sql('analyze candhook.outcome; analyze candhook.event') if $analyzed;
    cmp_ok pages('status'), '<', $before + 60, "no more pages with 60000 outcomes of the last hours, analyzed: $analyzed (before: $before)";
}
cmp_ok pages('counts'), '>', $before + 500, 'what counts does read them';
$rig->sql(q{insert into candhook.bot_token (origin_community_id, token) select 'G' || n, repeat('x', 1000) from generate_series(1, 2000) n});
# Rows that an analyze of another table still sees cannot be told from old ones: then once more.
eval { $rig->wait_until(sub { $rig->sql('vacuum candhook.bot_token'); pages('status') < $before + 90 }, 'few pages') };
cmp_ok pages('status'), '<', $before + 90, 'nor with 2000 tokens';
$rig->sql('truncate candhook.bot_token');
$rig->sql("insert into candhook.delivery (event_id, received_at, handler, due_at) select id, received_at, 'fine', now() - interval '20 s' + random() * interval '10 s' from candhook.event order by received_at desc limit 20000");
cmp_ok pages('status'), '<', $before + 60, 'nor with 20000 deliveries that wait';
is $rig->sql(q{select value from candhook_internal.status() where key = 'oldest_due_s'}) >= 19, 1, 'of which the oldest is known';
$rig->sql('alter function candhook_internal.counts() rename to counts_away');
ok status() != 69, 'the judgement does not ask for counts' or diag $out;
is status('--counts'), 69, 'but who wants them does';
is +($rig->candhook('status', 'extra'))[0], 64, 'an argument too many';
done_testing;
