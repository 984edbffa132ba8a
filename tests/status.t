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
sub json () { status('--json'); return JSON::PP->new->decode($out) }

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
is $now->{events}{received_1h}, 5, 'events';
is $now->{events}{malformed_24h}, 1, 'malformed bodies';
is_deeply [ map { $now->{outcomes}{$_} } qw(ok_1h failed_1h unhandled_1h ok_24h) ], [ 3, 3, 1, 3 ], 'outcomes';
is_deeply [ map { $now->{deliveries}{$_} } qw(due running put_off held paused) ], [ 0, 0, 0, 1, 1 ], 'deliveries';
my %handler = map { $_->{name} => $_ } @{ $now->{handlers} };
is_deeply [ sort keys %handler ], [qw(bad fine held paused)], 'handlers';
ok $handler{fine}{last_ok} && !$handler{fine}{last_failed}, 'the last success of one';
ok !$handler{bad}{last_ok} && $handler{bad}{last_failed}, 'and the last failure of another';
is $handler{held}{unfinished}, 1, 'one has something to do';
is status(), 0, 'for people';
like $out, qr/^worker\s+runs, process \d+ since/m, 'the worker';
like $out, qr/^spool\s+0 events/m, 'the spool';
like $out, qr/^answers\s+200: 5, 400: 1, 404: 2, 405: 1, 413: 0, 503: 0; since /m, 'the answers';
like $out, qr/^\s+5\s+5\s+events$/m, 'the events';
like $out, qr/^fine\s+\d{4}\S+\s+-\s+3\s+0\s+0$/m, 'a handler';
like $out, qr/^paused .*paused$/m, 'a paused one';
like $out, qr/^healthy\n\z/m, 'healthy';

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
is $rig->read_file('spool/answers/0') =~ tr/\n//, 7, 'which people can read';

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
is +($rig->candhook('status', 'extra'))[0], 64, 'an argument too many';
done_testing;
