# SPDX-License-Identifier: ISC
#
# The setting `database` is libpq's business: a service, a password file, several hosts of which one may be written.
use v5.36;
use Test::More;
use Rig;

my $rig = Rig->new;
my $dir = $rig->{dir};
$rig->cluster;
$rig->conf;
$rig->schema;

# Whether `candhook token set` reaches the database with this conninfo.
sub reaches ($what, $conninfo, %env) {
    $rig->conf(database => $conninfo);
    my ($status, $out, $err) = $rig->candhook('token', 'set', 'G1', { stdin => "token\n", env => \%env });
    is $status, 0, $what or diag $err;
}

reaches('a long conninfo with quotes, = and #', "host='$dir' dbname = 'candhook' user=postgres options='-c search_path=public' application_name='a;b #c \\' d=e'");
reaches('the second of two hosts', "host=$dir/nowhere,$dir dbname=candhook user=postgres target_session_attrs=read-write");
$rig->write_file('services', "[canD]\nhost=$dir\ndbname=candhook\nuser=postgres\n");
reaches('a service', 'service=canD', PGSERVICEFILE => "$dir/services");
reaches('a URI', "postgresql://postgres\@/candhook?host=$dir");

$rig->sql("create role guarded login superuser password 'pass word'");
$rig->write_file('pg/pg_hba.conf', "local all guarded scram-sha-256\nlocal all all trust\n");
$rig->sql('select pg_reload_conf()');
$rig->wait_until(sub { $rig->sql_error('select 1', user => 'guarded', password => 'x') =~ /authentication failed/ }, 'it asks for the password');
{
    $rig->write_file('pgpass', "*:*:*:guarded:pass word\n");
    reaches('a password file', "host=$dir dbname=candhook user=guarded passfile=$dir/pgpass");
    $rig->conf(database => "host=$dir dbname=candhook user=guarded password=wrong-password-1");
    my ($status, $out, $err) = $rig->candhook('init');
    is $status, 69, 'a wrong password';
    like $err, qr/password authentication failed/, 'is said';
    unlike $out . $err, qr/wrong-password/, 'and not shown';
}

# ---- a worker with the rights of its role and no more ----
$rig->sql('create role little login in role candhook_worker');
$rig->sql("create function greet(event candhook.event, bot_token text) returns text language sql as \$\$ select current_user || ' ' || bot_token \$\$");
$rig->sql("insert into candhook.handler (name, module, type, kind, target, needs_token) values ('greet', '*', '*', 'sql', 'greet', true)");
$rig->conf(database => "host=$dir dbname=candhook user=little");
my $responder = $rig->responder;
$rig->nginx;
is $rig->post($rig->path, $rig->event)->{status}, 200, 'an event is taken';
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.recent where result = 'held'") == 1 }, 'it is held');
$rig->sql("select candhook.set_bot_token('G00O7NKV9M', 'a-bot-token')");
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.outcome where result = 'ok'") == 1 }, 'it is handled');
is $rig->sql("select detail from candhook.outcome where result = 'ok'"), 'candhook_handler [token]', 'handled under the other role';
is +($rig->candhook('token', 'set', 'G1', { stdin => "x\n" }))[0], 70, 'the worker may store no token';
like $rig->sql_error('select * from candhook.bot_token', user => 'little'), qr/permission denied/, 'and read none';
# Its notices are its own business: a token or a sender's text in them reaches no log of ours.
$rig->sql(q{create or replace function greet(event candhook.event, bot_token text) returns text language plpgsql as $$ begin
            raise notice 'token % ', bot_token; raise warning E'%\n2026-01-01T00:00:00Z candhook[1] error: forged=yes', bot_token; return 'done'; end $$});
is $rig->post($rig->path, $rig->event)->{status}, 200, 'an event is taken';
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.outcome where detail = 'done'") == 1 }, 'a handler that raises notices is fine');
$rig->stop($responder);
$rig->candhook_ok('stop');
is join(' ', grep { !/postgres\.log$/ && $rig->read_file($_ =~ s{^\Q$dir\E/}{}r) =~ /a-bot-token|forged/ } glob "$dir/log/*"), '', 'and no log of ours has their text';

# ---- tokens and the server's log ----
$rig->conf(database => "host=$dir dbname=candhook user=postgres options='-c log_statement=all'");
is +($rig->candhook('token', 'set', 'G2', { stdin => "token-for-no-log\n" }))[0], 0, 'a token is stored';
is $rig->sql("select token from candhook.bot_token where origin_community_id = 'G2'"), 'token-for-no-log', 'it is there';
like $rig->read_file('log/postgres.log'), qr/copy candhook_internal\.bot_token_entry/, 'a server that logs every statement';
unlike $rig->read_file('log/postgres.log'), qr/token-for-no-log/, 'does not log it';
is +($rig->candhook('token', 'set', 'G2', { stdin => "two words\n" }))[0], 70, 'what cannot be a token is refused';
unlike $rig->read_file('log/postgres.log'), qr/two words/, 'and not logged either';
for my $conninfo ('postgresql://u:pa@ss-word@/x', 'postgresql://u:pa%zzss-word@h/x', 'password=pass wo-rd-1 x') {
    $rig->conf(database => $conninfo);
    my ($status, $out, $err) = $rig->candhook('init');
    is $status, 69, 'a conninfo that cannot be read';
    unlike $out . $err, qr/ss-word|wo-rd/, 'is not quoted';
}

# ---- what cannot be reached ----
$rig->conf(database => "host=$dir/nowhere dbname=candhook");
my ($status, undef, $words) = $rig->candhook('init');
is $status, 69, 'a database that is not there';
like $words, qr/^candhook init: .*nowhere/, 'is named';
$rig->sql("create database latin encoding 'LATIN1' locale 'C' template template0");
$rig->conf(database => "host=$dir dbname=latin user=postgres");
($status, undef, $words) = $rig->candhook('init');
isnt $status, 0, 'a database that is not in UTF-8';
like $words, qr/UTF8|UTF-8/, 'is refused';
$rig->sql('create database bare');
$rig->conf(database => "host=$dir dbname=bare user=postgres");
($status, undef, $words) = $rig->candhook('token', 'set', 'G1', { stdin => "x\n" });
is $status, 69, 'a database without the schema';
like $words, qr/run candhook init/, 'and what to do about it';
is $rig->candhook_ok('init', '--print'), join('', do { open my $file, "<:raw", Rig::build_path("install.sql") or die; <$file> }), 'candhook init --print is install.sql';

# ---- what the server says to the installation ----
$rig->sql(q{create function remark() returns event_trigger language plpgsql as $$ begin raise warning 'of the administrator'; end $$;
            create event trigger remark on ddl_command_end when tag in ('CREATE FUNCTION') execute function remark()});
$rig->conf(database => "host=$dir dbname=candhook user=postgres");
($status, undef, $words) = $rig->candhook('init');
is $status, 0, 'a schema is installed anew';
like $words, qr/^candhook init: of the administrator$/m, 'and shows what the server says';
$rig->sql('drop event trigger remark');

done_testing;
