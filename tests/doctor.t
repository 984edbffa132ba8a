# SPDX-License-Identifier: ISC
#
# candhook doctor: each of its verdicts, provoked. What cannot be had here for real (NFS, a full quota) is in
# tests/unit/doctor_files_test.c.
use v5.36;
use File::Temp ();
use Test::More;
use Rig;

my $rig = Rig->new;
my $dir = $rig->{dir};
my ($status, $out, $err);
my $said = '';

sub doctor (@arguments) {
    ($status, $out, $err) = $rig->candhook('doctor', @arguments);
    $said .= "$out$err";
    return $status;
}

# What is wrong now, and nothing else is: a pattern, after the change; and all is well again after undoing it.
sub wrong ($what, $pattern) {
    is doctor('--quiet'), 1, "$what: 1";
    like $out, qr/^WRONG  $pattern/m, 'and it says so' or diag $out;
}
sub well ($what = 'undone, all is well') {
    $rig->wait_until(sub { doctor('--quiet') == 0 }, $what);
    is $out, '', $what;
}
sub noted ($what, $pattern) {
    is doctor(), 0, "$what: 0" or diag $out;
    like $out, qr/^note   $pattern/m, 'and a note';
}

# ---- before anything is there ----
is doctor(), 1, 'no configuration: 1';
like $out, qr/^WRONG  configuration\s+no configuration: CANDHOOK_CONF names \S+, which is not there/, 'and it says so';
my $good = "long-enough-secret-of-this-rig-0123456789";
$rig->{secret} = $good;
$rig->cluster;
$rig->conf(base_url => 'https://your.site/candhook');
wrong 'nothing is installed', qr/schema\s+.*run candhook init/;
doctor();
like $out, qr/^note   spool\s+\S+ does not exist yet: candhook\.fcgi creates it/m, 'the spool may come later';
$rig->conf(base_url => 'https://your.site/candhook', spool => "$dir/nowhere/spool");
wrong 'a spool in a folder that is not there', qr/spool\s+cannot look into the spool \S+, which candhook\.fcgi makes/;
$rig->conf(base_url => 'https://your.site/candhook');
$rig->schema;
my $responder = $rig->responder;
$rig->nginx;
$rig->wait_until(sub { $rig->worker_pid }, 'a worker runs');

# ---- all is well ----
is doctor(), 0, 'all is well' or diag $out;
is $err, '', 'no error';
unlike $out, qr/^(?!ok  |note)/m, 'only ok and notes';
for my $subject ('configuration', 'URL secrets', 'space', 'spool', 'log', 'database', 'clock', 'rights', 'handlers', 'worker', 'backlog', 'bot tokens') {
    like $out, qr/^ok     \Q$subject\E /m, "$subject is ok";
}
like $out, qr/^note   rights\s+the user postgres is a superuser/m, 'a superuser is noted';
unlike $out, qr/\033/, 'no colour in a file';
is doctor('--quiet'), 0, 'quiet';
is $out, '', 'is silent';
is_deeply [ glob "$dir/spool/doctor*" ], [], 'nothing is left in the spool';

# ---- configuration and secrets ----
chmod 0644, "$dir/candhook.conf";
wrong 'a configuration that others read', qr/configuration\s+\S+ has mode 0644.*chmod/;
chmod 0600, "$dir/candhook.conf";
$rig->conf(worker_program => '/nowhere/candhook', base_url => 'http://your.site/candhook');
wrong 'no worker program', qr{worker_program\s+/nowhere/candhook cannot be run};
doctor();
like $out, qr/^note   base_url\s+.*not https/m, 'http is noted';
$rig->conf;
noted 'no base_url', qr/base_url\s+is not set/;
$rig->conf(base_url => 'https://your.site/candhook');
chmod 0640, "$dir/secrets";
wrong 'secrets that others read', qr/URL secrets\s+\S+ has mode 0640/;
chmod 0600, "$dir/secrets";
$rig->write_file('secrets', "$good rig\na-guessed-secret\n");
wrong 'a short secret', qr/URL secrets\s+\S+secrets:2: the secret that begins with a-gu has 16 characters/;
doctor();
like $out, qr/^note   URL secrets\s+1 of 2 have no label/m, 'one without a label';
$rig->write_file('secrets', "none\n");
wrong 'none', qr/URL secrets\s+.*says `none`/;
unlink "$dir/secrets";
wrong 'no secrets', qr/URL secrets\s+there is no file of URL secrets.*candhook url new/;
$rig->write_file('secrets', "$good rig\n");
well;

# ---- the spool ----
chmod 0755, "$dir/spool";
wrong 'a spool that others may enter', qr/spool\s+.*open to other users \(mode 0755\): chmod 700/;
chmod 0700, "$dir/spool";
SKIP: {
    skip 'only root can give a folder away', 6 if $> != 0;
    chown 0, 0, "$dir/spool";
    wrong 'a spool that is closed to us', qr/spool\s+cannot open the spool \S+: Permission denied/;
    chmod 0755, "$dir/spool";
    wrong 'a spool of somebody else', qr/spool\s+.*belongs to user root, but this program runs as user/;
    $rig->own("$dir/spool");
    chmod 0700, "$dir/spool";
    chown 0, 0, "$dir/secrets";
    wrong 'secrets of somebody else', qr/URL secrets\s+(?:cannot open \S+: Permission denied|\S+ belongs to root)/;
    $rig->own("$dir/secrets");
}
mkdir "$dir/spool/damaged" or die;
$rig->write_file('spool/damaged/x.1', 'x');
$rig->own("$dir/spool/damaged");
wrong 'what the disk lost', qr/damaged\s+\S+damaged holds 1 files/;
unlink "$dir/spool/damaged/x.1";
$rig->conf(base_url => 'https://your.site/candhook', min_free => '1024G');
doctor();
my ($free) = `df --output=avail -B1 '$dir'` =~ /(\d+)\s*$/;
SKIP: {
    skip 'this disk has a terabyte free', 1 if $free > 1 << 40;
    like $out, qr/^WRONG  space\s+.*less than min_free.*503/m, 'less space than min_free';
}
SKIP: {
    my $most = int($free * 0.7 / (1 << 20));
    skip 'min_free cannot come near what this disk has free', 2 if $most > 1 << 20;
    $rig->conf(base_url => 'https://your.site/candhook', min_free => "${most}M");
    noted 'not much more than min_free', qr/space\s+.*with less than min_free/;
}
$rig->conf(base_url => 'https://your.site/candhook');

# ---- tmpfs ----
SKIP: {
    my $memory = '/dev/shm';
    my ($type) = `stat -f -c %T $memory 2>/dev/null` =~ /(\S+)/;
    skip '/dev/shm is no tmpfs', 2 if ($type // '') ne 'tmpfs' || !-w $memory;
    my $spool = File::Temp::mkdtemp("$memory/ch.XXXXXX");
    chmod 0700, $spool;
    $rig->own($spool);
    $rig->conf(base_url => 'https://your.site/candhook', spool => $spool);
    doctor();
    like $out, qr/^note   spool\s+\Q$spool\E lies on tmpfs, in memory/m, 'a spool in memory';
    like $out, qr{^note   worker\s+neither a worker nor a responder.*\*/5 \* \* \* \* CANDHOOK_CONF=\Q$dir\E/candhook.conf \Q$dir\E/bin/candhook work --once$}m, 'and nobody works on it: the line for cron';
    rmdir $spool or diag "$spool: $!";
    $rig->conf(base_url => 'https://your.site/candhook');
}

# ---- the log ----
$rig->conf(base_url => 'https://your.site/candhook', log => "$dir/nowhere/candhook.log");
wrong 'a log without a folder', qr/log\s+\S+ cannot be written/;
$rig->conf(base_url => 'https://your.site/candhook');

# ---- handlers ----
$rig->sql('create schema app');
$rig->sql(q{create function app.fine(event candhook.event, bot_token text) returns text language sql as $$ select 'done' $$});
$rig->sql(q{insert into candhook.handler (name, module, type, kind, target) values ('fine', 'MOIM', 'a', 'sql', 'app.fine')});
wrong 'an sql handler that may not run', qr/handlers\s+fine: candhook_handler may not call app\.fine\(candhook\.event,text\): grant usage on schema app to candhook_handler; grant execute/;
$rig->sql('grant usage on schema app to candhook_handler');
well 'granted, all is well';
$rig->sql('alter function app.fine(candhook.event, text) rename to gone');
wrong 'an sql handler whose function is gone', qr/handlers\s+fine: there is no function app\.fine/;
$rig->sql(q{delete from candhook.handler});
$rig->sql(q{insert into candhook.handler (name, module, type, kind, target) values ('c', 'MOIM', 'a', 'c', 'c.so:f'), ('exec', 'MOIM', 'a', 'exec', 'program')});
wrong 'a c handler without a file', qr/handlers\s+c: cannot find \S+c\.so/;
like $out, qr/^WRONG  handlers\s+exec: cannot find \S+program/m, 'an exec handler without one';
$rig->write_file('handlers/c.so', 'x', 0666);
$rig->write_file('handlers/program', 'x', 0600);
wrong 'a c handler that others may write', qr/handlers\s+c: refused \S+c\.so/;
like $out, qr/^WRONG  handlers\s+exec: \S+program is not executable/m, 'an exec handler that is no program';
chmod 0644, "$dir/handlers/c.so";
chmod 0755, "$dir/handlers/program";
well;
$rig->sql(q{delete from candhook.handler});

# ---- what people may want to know ----
$rig->sql(q{create function app.bad(event candhook.event, bot_token text) returns text language plpgsql as $$ begin raise exception 'no'; end $$});
$rig->sql(q{insert into candhook.handler (name, module, type, kind, target, max_attempts) values ('bad', 'MOIM', 'bad', 'sql', 'app.bad', 1)});
$rig->sql(q{insert into candhook.handler (name, module, type, kind, target, needs_token) values ('needs', 'MOIM', 'held', 'sql', 'app.bad', true)});
$rig->sql(q{insert into candhook.handler (name, module, type, kind, target, enabled) values ('off', 'MOIM', 'held', 'sql', 'app.bad', false)});
is $rig->post($rig->path, $_)->{status} , $_ eq 'x' ? 400 : 200, 'an event' for $rig->event(type => 'bad'), $rig->event(type => 'held'), $rig->event(type => 'nobody'), 'x';
$rig->wait_until(sub { doctor() == 0 && $out =~ /^note   failed/m && $out =~ /^note   held/m && $out =~ /^note   malformed/m && $out =~ /^note   unhandled/m }, 'it is noted');
like $out, qr/^note   failed\s+handler bad failed 1 times/m, 'what failed';
like $out, qr/^note   held\s+1 deliveries wait for a bot token of G00O7NKV9M/m, 'what is held';
like $out, qr/^note   malformed\s+1 bodies/m, 'what was malformed';
like $out, qr/^note   unhandled\s+1 events MOIM:nobody/m, 'what nobody handles';
like $out, qr/^note   paused\s+1 deliveries wait for the handler off/m, 'what is paused';

# ---- tokens ----
$rig->sql(q{select candhook.set_bot_token('T' || n, 'token-of-a-test', case n when 4 then array['webhook:MOIM:other'] when 5 then array['webhook:MOIM:bad', 'webhook:MOIM:held'] end,
            case n when 3 then now() + interval '2 days' when 6 then now() end) from generate_series(1, 6) n});
$rig->sql(q{select candhook_internal.refuse_bot_token('T1', stored_at) from candhook.bot_token where origin_community_id = 'T1'; select candhook.revoke_bot_token('T2')});
noted 'a token that was refused', qr/bot tokens\s+those of T1 were refused by the API/;
like $out, qr/^note   bot tokens\s+those of T2 were revoked here/m, 'one that was revoked';
like $out, qr/^note   bot tokens\s+those of T6 have expired/m, 'one that has expired';
like $out, qr/^note   bot tokens\s+those of T3 expire within 7 days, the first one at \d{4}-/m, 'one that will';
like $out, qr/^note   bot tokens\s+those of T4 were not granted webhook:MOIM:bad webhook:MOIM:held, which/m, 'one without the scopes';
unlike $out, qr/those of[^\n]*T5|ok     bot tokens|token-of-a-test/, 'not one with them';
is $rig->sql(q{select count(*) from candhook.delivery where held}), 1, 'an event is held';
my ($child) = $rig->sql(q{select e.community_id from candhook.event e join candhook.delivery d on d.event_id = e.id where d.held});
$rig->sql("select candhook.set_bot_token('$child', 'token-of-a-test')");
noted 'a token of a child community', qr/bot tokens\s+events of G00O7NKV9M are held for a token, and one is stored for a community that they name: select candhook\.alias_community\('$child', 'G00O7NKV9M'\)/;
# More of them than are named: events of one community that name others, all of which have a token.
$rig->sql(q{insert into candhook.event (id, received_at, module, type, payload, origin_community_id, community_id)
              select gen_random_uuid(), now(), 'MOIM', 'held', '{}', 'G00O7NKV9M', 'C' || n from generate_series(1, 12) n;
            insert into candhook.delivery (event_id, received_at, handler, origin_community_id, held, due_at)
              select id, received_at, 'needs', origin_community_id, true, now() + interval '1 hour' from candhook.event where community_id ~ '^C\d+$';
            select candhook.set_bot_token('C' || n, 'token-of-a-test') from generate_series(1, 12) n});
noted 'many of these', qr/bot tokens\s+so are those of 3 more pairs of communities/;
$rig->sql(q{delete from candhook.delivery d using candhook.event e where d.event_id = e.id and e.community_id ~ '^C\d+$';
            delete from candhook.event where community_id ~ '^C\d+$'});
$rig->sql('delete from candhook.bot_token');
doctor();
like $out, qr/^ok     bot tokens\s+none is refused/m, 'none any more';

# ---- installation in the browser ----
my %app = (base_url => 'https://your.site/candhook', client_id => 'my-app', redirect_uri => 'https://app.example/app/callback',
    token_url => "http://127.0.0.1:$rig->{port}/token", extra_scopes => 'bot:MOIM:product:read');
sub app (%more) { return $rig->conf(%app, %more) }
app();
is doctor(), 0, 'communities can install the App' or diag $out;
like $out, qr{^ok     installation\s+communities install the App at https://app\.example/app/install$}m, 'and where';
app(extra_scopes => 'webhook:MOIM:x');
noted 'no scope of the App itself', qr/installation\s+extra_scopes in \S+ has no scope that begins with bot:/;
app(client_id => undef);
wrong 'no client id', qr/installation\s+client_id is not set/;
app(redirect_uri => undef);
wrong 'no redirect URI', qr/installation\s+redirect_uri is not set/;
app(redirect_uri => 'https://app.example/app');
wrong 'another redirect URI', qr/installation\s+redirect_uri is \S+: it must end with \/callback/;
app(redirect_uri => 'http://app.example/app/callback');
wrong 'one without https', qr/installation\s+redirect_uri is \S+: without https/;
app(token_url => 'http://127.0.0.1:1/token');
wrong 'a platform that is not there', qr/installation\s+.*look at token_url/;
app(token_url => "http://127.0.0.1:$rig->{port}/nowhere");
noted 'a token URL with another path', qr/installation\s+token_url in \S+ answers 404: is its path/;
$rig->sql('create role my_web login');
app(web_database => $rig->conninfo(user => 'my_web'));
wrong 'a web_database without the role', qr/installation\s+.*look at web_database in \S+; its user needs the role candhook_web/;
$rig->sql('grant candhook_web to my_web');
well;

# ---- the console ----
my %console = (web_database => $rig->conninfo(user => 'my_web'));
doctor();
like $out, qr/^ok     console\s+closed: candhook web-user add NAME opens it$/m, 'a console without users';
$rig->candhook_ok('web-user', 'add', 'anna', { stdin => "correct-horse\n" });
wrong 'a console that may not read', qr/console\s+its user of the database may not read: grant candhook_reader, candhook_admin to it/;
$rig->sql('grant candhook_reader to my_web');
noted 'a console that may not act', qr/console\s+1 user may log in, and none may act: the user of its database lacks the role candhook_admin/;
$rig->sql('grant candhook_admin to my_web');
doctor();
like $out, qr/^ok     console\s+1 user may log in: candhook web-user list$/m, 'one that is open';
app(%console, read_database => $rig->conninfo(user => 'nobody_at_all'));
wrong 'a database that cannot be read', qr/console\s+.*look at web_database and read_database/;
app(%console);
chmod 0644, "$dir/web.users";
wrong 'a file of users that others can read', qr/console\s+\S+web\.users has mode 0644/;
chmod 0600, "$dir/web.users";
$rig->candhook_ok('web-user', 'remove', 'anna');
well;
$rig->write_file('client.secret', "\n", 0600);
app(client_secret => "$dir/client.secret");
wrong 'an empty client secret', qr/installation\s+\S+client\.secret is empty/;
$rig->write_file('client.secret', "a-client-secret\n", 0600);
well;
unlike $said, qr/a-client-secret/, 'and it is not shown';
$rig->sql(q{select candhook.set_bot_token('T7', 'token-of-a-test'); select candhook.revoke_bot_token('T7')});
noted 'a token to be had again', qr{bot tokens\s+communities authorize the App at https://app\.example/app/install\?community_id=ID};
like $rig->candhook_ok('status'), qr{authorize the App again at https://app\.example/app/install\?community_id=ID}, 'as status says';
$rig->sql('delete from candhook.bot_token');
$rig->conf(base_url => 'https://your.site/candhook', log => 'stderr');
doctor();
like $out, qr/^ok     log\s+goes to stderr$/m, 'a log that is no file';
$rig->conf(base_url => 'https://your.site/candhook');

# ---- the database ----
sub version ($number) {
    $rig->sql("create or replace function candhook.version() returns integer language sql immutable as \$\$ select $number \$\$");
}
version(99);
wrong 'another schema', qr/schema\s+the schema candhook has version 99/;
version(1);
$rig->wait_until(sub { $rig->worker_pid }, 'a worker runs again');
$rig->sql('create role plain login; create role works login; grant candhook_worker to works');
$rig->conf(base_url => 'https://your.site/candhook', database => $rig->conninfo(user => 'plain'));
wrong 'no rights at all', qr/schema\s+.*permission denied for schema candhook/;
$rig->sql('grant usage on schema candhook, candhook_internal to plain; grant execute on function candhook.version() to plain');
wrong 'no more than to look at the schema', qr/rights\s+.*permission denied.*: grant candhook_worker to the user that `database` names/;
is scalar(() = $out =~ /^WRONG  rights\s+.*permission denied.*: run candhook init again$/mg), 2, 'of each thing that cannot be seen';
$rig->sql('grant candhook_reader to plain');
wrong 'too few rights', qr/rights\s+the user plain may not call candhook\S*\.\S+ and others, so no worker can work: grant candhook_worker to "plain"/;
$rig->conf(base_url => 'https://your.site/candhook', database => $rig->conninfo(user => 'works'));
is doctor(), 0, 'candhook_worker is enough' or diag $out;
unlike $out, qr/superuser/, 'and no superuser';
$rig->conf(base_url => 'https://your.site/candhook', database => $rig->conninfo(options => '-c default_transaction_read_only=on'));
wrong 'a standby', qr/database\s+it is read-only/;
$rig->conf(base_url => 'https://your.site/candhook', database => "host=$dir/nowhere dbname=candhook");
wrong 'no database', qr/database\s+.*Events wait in the spool meanwhile/;
$rig->conf(base_url => 'https://your.site/candhook');
my ($partition) = $rig->sql(q{select inhrelid::regclass from pg_inherits where inhparent = 'candhook.event'::regclass and pg_get_expr((select relpartbound from pg_class where oid = inhrelid), inhrelid) like '%FROM (''' || to_char(date_trunc('month', now() at time zone 'UTC') + interval '1 month', 'YYYY-MM-DD') || '%'});
ok $partition, 'there is a partition of the next month';
$rig->sql("drop table $partition");
wrong 'no partition of the next month', qr/partitions\s+table event: \d{4}-\d\d has none/;
$rig->sql('select candhook_internal.maintain()');
well;

# ---- the clocks: the server's is only a function of the schema to us ----
my $diagnose = $rig->sql(q{select pg_get_functiondef('candhook_internal.diagnose'::regproc)});
$rig->sql($diagnose =~ s/clock_timestamp\(\)\)/clock_timestamp() - interval '10 seconds')/r);
noted 'clocks some seconds apart', qr/clock\s+.* are (?:9|10) s apart/;
$rig->sql($diagnose =~ s/clock_timestamp\(\)\)/clock_timestamp() + interval '1 hour')/r);
wrong 'clocks far apart', qr/clock\s+.*NTP/;
$rig->sql($diagnose);
well;

# ---- the worker ----
$rig->candhook_ok('stop');
wrong 'a stopped worker', qr/worker\s+a person ran candhook stop/;
is $rig->post($rig->path, $rig->event(type => 'late'))->{status}, 200, 'an event that waits';
$rig->sql(q{insert into candhook.delivery (event_id, received_at, handler, attempt, due_at) select id, received_at, 'bad', 100, now() - interval '1 hour' from candhook.event limit 1});
wrong 'a delivery that could run', qr/backlog\s+a delivery could have run for 60 min/;
unlink "$dir/spool/stopped";
$rig->wait_until(sub { $rig->worker_pid }, 'a worker runs again');
well;
$rig->stop($responder);
$rig->candhook_ok('stop');
unlink "$dir/spool/stopped";
noted 'neither worker nor responder', qr/worker\s+neither/;
$responder = $rig->responder(env => {});
rename "$dir/bin/candhook", "$dir/bin/real" or die;
$rig->stop($rig->worker_pid) if $rig->worker_pid;
{
    my ($code, $text) = $rig->run({}, "$dir/bin/real", 'doctor', '--quiet');
    is $code, 1, 'a responder without a worker: 1';
    like $text, qr/^WRONG  worker\s+none runs, though a responder does \(process \d+\)/m, 'and it says so';
}
rename "$dir/bin/real", "$dir/bin/candhook" or die;

# ---- the probe ----
$rig->wait_until(sub { $rig->worker_pid }, 'a worker runs again', 90);
my $url = "http://127.0.0.1:$rig->{port}" . $rig->path;
is doctor('--url', $url), 0, 'a probe' or diag $out;
like $out, qr/^ok     wrong secret\s+is answered with 404$/m, 'a wrong secret';
like $out, qr/^ok     event\s+answered with 200 in \d+\.\d\d s$/m, 'an event';
like $out, qr/^ok     recording\s+took \d+\.\d\d s$/m, 'its recording';
like $out, qr/^ok     outcome\s+unhandled, after \d+\.\d\d s$/m, 'its outcome';
like $out, qr/^ok     large event\s/m, 'a large one';
$rig->conf(base_url => 'https://your.site/candhook', max_body => '64k');
is $rig->candhook_ok('doctor', '--url', $url) =~ /^note   large event\s+not tried/m, 1, 'none where it would be refused';
$rig->conf(base_url => 'https://your.site/candhook');
$rig->wait_until(sub { $rig->sql(q{select count(*) from candhook.event where module = 'candhook' and type = 'doctor.probe'}) == 3 }, 'all three are events');
doctor();
unlike $out, qr/doctor\.probe/, 'which are not noted as unhandled';
is +($rig->candhook('doctor', '--url', '-', { stdin => "$url\n" }))[0], 0, 'the URL from stdin';
is +($rig->candhook('doctor', '--probe', { env => { CANDHOOK_URL => $url } }))[0], 0, 'from the environment';
$rig->conf(base_url => "http://127.0.0.1:$rig->{port}/candhook/");
is doctor('--probe'), 0, 'and from base_url and the file' or diag $out;
is doctor('--probe', '--quiet'), 0, 'quiet';
is $out, '', 'is silent';
$rig->sql(q{insert into candhook.handler (name, module, type, kind, target, max_attempts) values ('all', '*', '*', 'sql', 'app.bad', 1)});
doctor('--url', $url);
like $out, qr/^note   outcome\s+all failed: a handler for all events/m, 'a handler that takes all, and fails';
$rig->sql(q{delete from candhook.handler where name = 'all'});
$rig->sql('alter function candhook_internal.probe rename to probe_away');
wrong_probe($url, qr/recording\s+cannot be followed: .*candhook_internal\.probe/);
$rig->sql('alter function candhook_internal.probe_away rename to probe');
wrong_probe("http://127.0.0.1:$rig->{port}/candhook/not-a-secret-of-this-one", qr/event\s+is answered with 404: the last segment of the URL is not a secret of this installation/);
wrong_probe("http://127.0.0.1:$rig->{port}/elsewhere/$good", qr/event\s+is answered with 404: the web server does not pass this path/);
wrong_probe('http://127.0.0.1:1/candhook/' . $good, qr{wrong secret\s+.*http://127\.0\.0\.1:1});
wrong_probe('ftp://somewhere/x', qr/URL\s/);
is +($rig->candhook('doctor', '--url', '-'))[0], 1, 'no URL after all';
{
    my $conf = $rig->read_file('nginx/fastcgi.conf');
    $rig->stop($rig->{nginx});
    # A front with a limit of its own.
    $rig->write_file('nginx/fastcgi.conf', $conf =~ s/client_max_body_size\s+\S+;/client_max_body_size 100k;/r);
    $rig->with_port('log/nginx.log', sub ($port) {
        $rig->write_file('nginx/nginx.conf', $rig->read_file('nginx/nginx.conf') =~ s/listen 127\.0\.0\.1:\d+/listen 127.0.0.1:$port/r);
        return $rig->{nginx} = $rig->spawn('nginx', $rig->nginx_command);
    });
    wrong_probe("http://127.0.0.1:$rig->{port}" . $rig->path, qr/large event\s+a body of more than 128 KiB is answered with 413: mod_fcgid.*FcgidMaxRequestLen/);
    unlike $out, qr/^WRONG  event/m, 'while a small one is taken';
    $url = "http://127.0.0.1:$rig->{port}" . $rig->path;
    # Two probes wait at the same time: one for a delivery that is held, and one for its recording.
    $rig->sql(q{insert into candhook.handler (name, module, type, kind, target, needs_token) values ('later', '*', '*', 'sql', 'app.bad', true)});
    my $held = $rig->spawn('held', $rig->program('candhook'), 'doctor', '--url', $url);
    $rig->wait_until(sub { $rig->sql(q{select count(*) from candhook.delivery where handler = 'later'}) == 1 }, 'the delivery of a probe is held');
    $rig->candhook_ok('stop');
    wrong_probe($url, qr/recording\s+the event was answered with 200, but is not in this database after 15 s/);
    $rig->wait_pid($held, 60);
    $rig->forget($held);
    like $rig->read_file('log/held.log'), qr/^note   outcome\s+1 deliveries are not finished after 15 s: .*held for a token/m, 'a delivery that is not finished is noted';
    $rig->stop($responder);
    wrong_probe($url, qr/event\s+is answered with 502: candhook\.fcgi does not run/);
}

sub wrong_probe ($where, $pattern) {
    is doctor('--url', $where), 1, 'a probe that fails: 1';
    like $out, qr/^WRONG  $pattern/m, 'and it says why' or diag $out;
}

unlike $said, qr/\Q$good\E/, 'no secret was shown';
is +($rig->candhook('doctor', 'extra'))[0], 64, 'an argument too many';
done_testing;
