# SPDX-License-Identifier: ISC
#
# candhook status --openmetrics: promtool and a strict parser take it; it counts what was answered, recorded and handled, over restarts; a file
# is replaced in one step; it tells what it can when the database or the spool is away.
use v5.36;
use Test::More;
use Rig;

my $rig = Rig->new;
my $dir = $rig->{dir};
$rig->have('promtool') or plan skip_all => 'promtool (Debian: prometheus) is not installed';
my ($status, $text, $err);

# All metrics: name and labels => number.
sub metrics (@arguments) {
    ($status, $text, $err) = $rig->candhook('status', '--openmetrics', @arguments);
    return { map { /^([a-z_]+(?:\{.*\})?) (\S+)$/ ? ($1 => $2) : () } split /\n/, $text };
}

sub lint ($what) {
    my $file = $rig->write_file('metrics.prom', $text);
    # It knows an older format, in which a counter's help has another name.
    my $said = qx{promtool check metrics <'$file' 2>&1} =~ s/^candhook_\w+_total no help text\n//mgr;
    is $said, '', "promtool takes $what";
    my $families = qx{/usr/bin/python3 -c '
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
print(len(list(parse(sys.stdin.read()))))' <'$file' 2>&1};
    like $families, qr/\A\d+\n\z/, 'so does a parser of OpenMetrics';
}

$rig->cluster;
$rig->conf;
my $now = metrics();
is $status, 0, 'without a schema and a spool there are metrics';
is $now->{candhook_database_up} . $now->{candhook_working}, '00', 'which tell it';
lint('these');
$rig->schema;
$rig->sql(<<'END');
create schema app;
grant usage on schema app to public;
create function app.fine(event candhook.event, bot_token text) returns text language sql as $$ select 'done' $$;
create function app.bad(event candhook.event, bot_token text) returns text language plpgsql as $$ begin raise exception 'no'; end $$;
select candhook.add_handler('fine', 'MOIM', 'a', 'sql', 'app.fine');
select candhook.add_handler('it''s "bad" \ it is', 'MOIM', 'a', 'sql', 'app.bad', max_attempts => 2, first_delay => '0');
select candhook.add_handler('in order', 'MOIM', 'a', 'sql', 'app.fine', ordered_by => 'community');
select candhook.add_handler('held', 'MOIM', 'b', 'sql', 'app.fine', needs_token => true);
select candhook.add_handler('paused', 'MOIM', 'b', 'sql', 'app.fine', enabled => false);
select candhook.set_bot_token('G9', 'a-token-of-a-test');
END
$rig->responder;
$rig->nginx;
sub post ($type) { return $rig->post($rig->path, $rig->event(type => $type))->{status} }
is post('a'), 200, 'an event' for 1 .. 3;
is post($_), 200, 'another one' for qw(b none);
$rig->post($rig->path, 'x');
$rig->post($rig->path, '{"module":1}');
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.outcome') == 13 }, 'all is handled');
my $bad = q({handler="it's \"bad\" \\\\ it is",result=);
my %wanted = (
    'candhook_answers_total{status="400"}' => 1,
    'candhook_answers_total{status="503"}' => 0,
    candhook_events_recorded_total => 5,
    candhook_events_unhandled_total => 1,
    candhook_bodies_malformed_total => 2,
    'candhook_attempts_total{handler="fine",result="ok"}' => 3,
    'candhook_attempts_total{handler="in order",result="ok"}' => 3,
    "candhook_attempts_total$bad\"retry\"}" => 3,
    "candhook_attempts_total$bad\"failed\"}" => 3,
    'candhook_receipt_to_outcome_seconds_count{handler="fine"}' => 3,
    'candhook_receipt_to_outcome_seconds_bucket{handler="fine",le="+Inf"}' => 3,
    'candhook_receipt_to_outcome_seconds_bucket{handler="in order",le="60"}' => 3,
    'candhook_deliveries{handler="held",state="held"}' => 1,
    'candhook_deliveries{handler="paused",state="paused"}' => 1,
    'candhook_handler_enabled{handler="paused"}' => 0,
    'candhook_handler_enabled{handler="fine"}' => 1,
    'candhook_bot_tokens{state="valid"}' => 1,
    'candhook_bot_tokens{state="ended"}' => 0,
    candhook_bot_tokens_expiring => 0,
    candhook_deliveries_oldest_due_age_seconds => 0,
    candhook_spool_events => 0,
    candhook_spool_damaged_files => 0,
    candhook_responders => 1,
    candhook_worker_up => 1,
    candhook_database_up => 1,
    candhook_working => 1
);
my $all_there = sub { $now = metrics(); return !grep { ($now->{$_} // '') ne $wanted{$_} } keys %wanted };
eval { $rig->wait_until($all_there, 'everything is counted'); 1 };
is $now->{$_} // 'missing', $wanted{$_}, $_ for sort keys %wanted;
is $status, 0, 'exit status 0';
like $text, qr/^candhook_build_info\{version="\d+\.\d+\.\d+\S*"\} 1$/m, 'the version';
like $text, qr/\n# EOF\n\z/, 'it is whole';
unlike $text, qr/a-token-of-a-test/, 'no token is shown';
my @buckets = map { /^candhook_receipt_to_outcome_seconds_bucket\{handler="fine".* (\d+)$/ ? $1 : () } split /\n/, $text;
is join(' ', sort { $a <=> $b } @buckets), "@buckets", 'each bucket counts those below it';
lint('all of it');

# ---- counters go on ----
$rig->candhook_ok('stop');
$rig->candhook_ok('work', '--once');
is post('a'), 200, 'one more event';
$rig->candhook_ok('work', '--once');
$now = metrics();
is $now->{'candhook_attempts_total{handler="fine",result="ok"}'}, 4, 'another process counts on';
is $now->{candhook_worker_up}, 0, 'no worker runs';
cmp_ok scalar(() = glob "$dir/spool/outcomes/*"), '<=', 6, 'processes that come and go leave no more files';

# ---- a file ----
is_deeply metrics('--output', "$dir/candhook.prom"), {}, 'to a file, it prints nothing';
is $status, 0, 'and succeeds';
like $rig->read_file('candhook.prom'), qr/\A# TYPE candhook_build_info gauge\n.*# EOF\n\z/s, 'the file is whole';
is sprintf('%o', (stat "$dir/candhook.prom")[2] & 07777 & ~umask), sprintf('%o', 0644 & ~umask), 'others may read it';
is join(' ', glob "$dir/candhook.prom*"), "$dir/candhook.prom", 'nothing lies beside it';
metrics('--output', "$dir/nowhere/candhook.prom");
is $status, 74, 'a folder that is not there';
like $err, qr{cannot write \Q$dir\E/nowhere/candhook\.prom: No such file}, 'is named';
metrics('--output', "$dir/log");
is $status, 74, 'a folder in the place of the file';
is join(' ', glob "$dir/log.*"), '', 'and nothing is left beside it';
is((metrics('--json'), $status)[1], 64, 'not together with --json');
is(($rig->candhook('status', '--output', 'x'))[0], 64, '--output needs --openmetrics');

# ---- no database ----
$rig->pg_stop;
$now = metrics();
is $status . $now->{candhook_database_up} . $now->{candhook_working}, '000', 'without a database it tells so, and succeeds';
is $now->{candhook_events_recorded_total}, 6, 'and shows what this host has counted';
ok !exists $now->{candhook_deliveries_oldest_due_age_seconds}, 'and nothing else';
lint('the rest');
done_testing;
