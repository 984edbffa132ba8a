# SPDX-License-Identifier: ISC
#
# What monitors ask of candhook-web.fcgi: health, readiness, and metrics with a bearer token. A stranger learns no figure.
use v5.36;
use Test::More;
use Browser;
use Rig;

my $rig = Rig->new;
my $dir = $rig->{dir};
$rig->have('nginx') or plan skip_all => 'nginx is not installed';
$rig->cluster;
$rig->write_file('metrics.token', "a-token-for-metrics\n");
my %settings = (web_database => $rig->conninfo(user => 'my_web'), metrics_token => "$dir/metrics.token");
$rig->conf(%settings);
$rig->schema;
$rig->sql('create role my_web login; grant candhook_web to my_web');
my $web = $rig->web;
my $upstream = $rig->read_file($rig->fill_shipped('nginx/upstream_web.conf', 'upstream_web.conf')) =~ s/unix:[^;]+/unix:$rig->{web_socket}/r;
$rig->nginx(mount => 'web.conf', http => "map \$request \$candhook_logged { default 1; }\n$upstream");
my $browser = Browser->new($rig);
sub ask ($path, @headers) { return $browser->fetch("/candhook-app/$path", headers => \@headers) }
sub said ($path, @headers) { my $page = ask($path, @headers); return "$page->{status} $page->{body}" }

# ---- health ----
is said('health'), "200 ok\n", 'it is alive';
is said('health?other=1'), "200 ok\n", 'whatever else is asked';
is said('health?ready'), "503 not ready\n", 'without a spool it is not ready';
like $rig->read_file('log/candhook.log'), qr/health=stalled reason="cannot look into the spool/, 'the log says why';
$rig->candhook_ok('work', '--once');
$rig->wait_until(sub { said('health?ready') eq "200 ok\n" }, 'ready, a moment later');
pass 'with one it is';
is said("health?$_"), "200 ok\n", "$_ is the same" for 'ready=', 'ready=1', 'x=1&ready';
my $page = ask('health?ready');
is $page->{headers}{'content-type'} . '|' . $page->{headers}{'cache-control'}, 'text/plain; charset=utf-8|no-store', 'a text that no cache keeps';
$rig->sql(q{create schema app; grant usage on schema app to public;
    create function app.fine(event candhook.event, bot_token text) returns text language sql as $$ select 'done' $$;
    select candhook.add_handler('fine', 'MOIM', '*', 'sql', 'app.fine', ordered_by => 'community')});
$rig->responder(args => ['--no-worker']);
require FastCGI;
my $fcgi = FastCGI->new($rig->{socket});
$fcgi->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path }, body => $rig->event, keep => 1);
is $fcgi->answer->{status}, 200, 'an event comes';
$rig->conf(%settings, runners => 0);
$rig->candhook_ok('work', '--once');
$rig->sql(q{update candhook.delivery set due_at = now() - interval '10 minutes'});
$rig->wait_until(sub { said('health?ready') eq "503 not ready\n" }, 'stalled, a moment later');
pass 'what waits for too long makes it unready';
my $asked = () = $rig->read_file('log/candhook.log') =~ /health=stalled/g;
said('health?ready') for 1 .. 20;
cmp_ok scalar(() = $rig->read_file('log/candhook.log') =~ /health=stalled/g), '<=', $asked + 5, 'it is judged once a second, however often it is asked';

# ---- metrics ----
is ask('metrics', @$_)->{status}, 401, 'metrics need the token' for [], ['Authorization: Basic YTph'], ['Authorization: Bearer '], ['Authorization: Bearer a-token-for-metric'], ['Authorization: Bearer a-token-for-metricss'];
is ask('metrics')->{headers}{'www-authenticate'}, 'Bearer', 'which the answer says';
$page = ask('metrics', 'Authorization: Bearer a-token-for-metrics');
is $page->{status}, 200, 'here they are';
like $page->{body}, qr/^candhook_deliveries\{handler="fine",state="due"\} 1$/m, 'with what waits';
like $page->{body}, qr/^candhook_working 0\n.*^candhook_answers_total\{status="200"\} 1\n.*# EOF\n\z/sm, 'whole';
is ask('metrics', 'authorization: bearer a-token-for-metrics')->{status}, 200, 'the scheme may be written small';
is $browser->fetch('/candhook-app/metrics', method => 'POST')->{status}, 405, 'they are only to be read';

# ---- a process that is killed ----
my $silent = FastCGI->new($rig->{web_socket});
my $killed;
$rig->wait_until(sub { ($killed) = $rig->children($web) }, 'a request has a process');
kill KILL => $killed;
$rig->wait_until(sub { $rig->read_file('log/candhook.log') =~ /web=crashed signal=9 effect="a request was not answered"/ }, 'the log says that it was killed');
is said('health'), "200 ok\n", 'the next request is answered';

# ---- without a database; without the token ----
$rig->pg_stop;
$rig->wait_until(sub { said('health?ready') eq "503 not ready\n" && $rig->read_file('log/candhook.log') =~ /health="database unreachable"/ }, 'no database');
is said('health'), "200 ok\n", 'alive it is without a database';
like ask('metrics', 'Authorization: Bearer a-token-for-metrics')->{body}, qr/^candhook_database_up 0$/m, 'and metrics tell so';
$rig->stop($web);
$rig->conf(web_database => $settings{web_database});
$web = $rig->web;
is ask('metrics', 'Authorization: Bearer a-token-for-metrics')->{status}, 404, 'without the setting there are no metrics';
is ask('metrics', 'Authorization: Bearer ')->{status}, 404, 'for nobody';
$rig->stop($web);
chmod 0644, "$dir/metrics.token";
$rig->conf(%settings);
my ($status) = $rig->run({}, $rig->program('candhook-web.fcgi'), '--listen', "$dir/other.sock");
is $status, 78, 'a token that others may read is refused';
like $rig->read_file('log/candhook.log'), qr/metrics\.token has mode 0644.*chmod 600/, 'with the remedy';
unlike $rig->read_file('log/candhook.log'), qr/a-token-for-metrics/, 'and is in no log';
done_testing;
