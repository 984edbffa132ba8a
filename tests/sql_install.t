# SPDX-License-Identifier: ISC
#
# Installing the schema: again and again, with all that is stored kept; refused where it cannot work; described to the last column.
use v5.36;
use Test::More;
use SqlRig;

my $rig = SqlRig->new;
my $file = Rig::build_path('install.sql');

is $rig->sql('select candhook.version()'), 1, 'the version';

# ---- again ----
$rig->handler('note');
$rig->sql(q{select candhook.set_bot_token('G1', 'token-one')});
my $id = $rig->sql('select t.put()');
$rig->sql(q{select t.put('nonsense')});
my $count = q{select (select count(*) from candhook.event), (select count(*) from candhook.delivery), (select count(*) from candhook.malformed),
              (select count(*) from candhook.handler), (select token from candhook.bot_token)};
my $before = $rig->sql($count);
is $before, '1|1|1|1|token-one', 'things are stored';
my $shape = q{select md5(string_agg(o, '|' order by o)) from (
    select table_name || column_name || data_type o from information_schema.columns where table_schema in ('candhook', 'candhook_internal')
    union all select p.oid::regprocedure::text || coalesce(proacl::text, '') from pg_proc p where pronamespace in ('candhook'::regnamespace, 'candhook_internal'::regnamespace)
    union all select conname || pg_get_constraintdef(oid) from pg_constraint where connamespace in ('candhook'::regnamespace, 'candhook_internal'::regnamespace)
    union all select tgname from pg_trigger) x};
my $shape_before = $rig->sql($shape);
# Too long for an argument: the server reads it, and psql sends back what it got as one query.
my $whole = $rig->write_file('whole.sql', do { local (@ARGV, $/) = $file; <> });
my ($status, $out, $err) = $rig->run_sql("select pg_read_file('$whole') \\gexec");
is "$status|$out|$err", '0||', 'sent whole in one message, it installs again and says nothing';
is $rig->sql($count), $before, 'everything is kept';
is $rig->sql($shape), $shape_before, 'nothing is there twice, no right has changed';
$rig->sql('listen candhook');
my $session = $rig->psql_session;
$session->query('listen candhook;');
$rig->schema_file;
like $session->query('select 1;') . $session->query('select 1;'), qr/notification "candhook"/, 'workers are told';
$rig->work;
is $rig->outcomes($id), 'note/1 ok', 'and it works on';

# ---- concurrent installations ----
$rig->sql('create database two', dbname => 'postgres');
my @sessions = map { $rig->psql_session(dbname => 'two') } 1 .. 2;
$_->async("\\i " . $rig->write_file("install.sql", do { local (@ARGV, $/) = $file; <> })) for @sessions;
unlike join('', map { $_->result } @sessions), qr/ERROR/, 'two at once do not disturb each other';

# ---- what an older version left ----
$rig->sql(q{create or replace function candhook.version() returns integer language sql as $$ select 0 $$;
            create function candhook.give_up(event_id text) returns bigint language sql as $$ select 1::bigint $$;
            create function candhook.of_a_person() returns integer language sql as $$ select 1 $$;
            create function candhook_internal.old() returns integer language sql as $$ select 1 $$;
            drop function candhook_internal.due_in(text[], text[]);
            create function candhook_internal.due_in(text[], text[]) returns text language sql as $$ select 'later' $$}, dbname => 'two');
$rig->sql(do { local (@ARGV, $/) = $file; <> }, dbname => 'two');
is $rig->sql(q{select string_agg(p.oid::regprocedure::text || ' ' || p.prorettype::regtype, ', ' order by p.proname) from pg_proc p
               where p.proname in ('give_up', 'of_a_person', 'old', 'due_in') and p.pronamespace in ('candhook'::regnamespace, 'candhook_internal'::regnamespace)}, dbname => 'two'),
  'candhook_internal.due_in(text[],text[]) double precision, candhook.give_up(uuid,text,timestamp with time zone) bigint, candhook.of_a_person() integer',
  'functions with other parameters, with another result, or without use are gone; one of a person stays';

# ---- a function of the programs that returns something else, in the same version ----
$rig->sql(q{drop function candhook_internal.due_in(text[], text[]);
            create function candhook_internal.due_in(text[], text[], out due text) returns setof text language sql as $$ select 'later' $$}, dbname => 'two');
$rig->sql(do { local (@ARGV, $/) = $file; <> }, dbname => 'two');
is $rig->sql(q{select prorettype::regtype, proretset from pg_proc where proname = 'due_in'}, dbname => 'two'), 'double precision|f', 'is made anew';

# ---- one that has tokens and no history: what is stored is kept, and what can be known of it is told ----
$rig->sql(q{drop table candhook.bot_token_history; drop table candhook.community_alias cascade; drop trigger bot_token_kept on candhook.bot_token;
            drop trigger bot_token_truncated on candhook.bot_token; drop view candhook.bot_token_masked, candhook_internal.bot_token_entry;
            alter table candhook.bot_token drop scopes, drop expires_at, drop how, drop ended;
            drop function candhook_internal.bot_token_check() cascade;
            insert into candhook.bot_token (origin_community_id, token, valid) values ('G1', 'one', true), ('G2', 'two', false)}, dbname => 'two');
for my $time ('once', 'twice') {
    $rig->sql(do { local (@ARGV, $/) = $file; <> }, dbname => 'two');
    is $rig->sql('select origin_community_id, token, valid, ended, how from candhook.bot_token order by 1', dbname => 'two'), "G1|one|t||\nG2|two|f|refused|", "tokens are kept, $time";
    is $rig->sql('select community, stored_by, how, ended from candhook.bot_token_history order by 1', dbname => 'two'), "G1|||\nG2|||refused", 'and begin their history';
}
my $table = q{select string_agg(o, E'\n' order by o) from (
    select column_name || ' ' || data_type || ' ' || is_nullable o from information_schema.columns where (table_schema, table_name) = ('candhook', 'bot_token')
    union all select conname || ' ' || pg_get_constraintdef(oid) from pg_constraint where conrelid = 'candhook.bot_token'::regclass
    union all select tgname from pg_trigger where tgrelid = 'candhook.bot_token'::regclass
    union all select pg_get_indexdef(indexrelid) from pg_index where indrelid = 'candhook.bot_token'::regclass) x};
is $rig->sql($table, dbname => 'two'), $rig->sql($table), 'the table is that of a new installation';
$rig->sql(q{select candhook.set_bot_token('G2', 'three')}, dbname => 'two');
is $rig->sql(q{select how, ended from candhook.bot_token_history where community = 'G2' order by id}, dbname => 'two'), "|refused\npsql|", 'and it goes on';

# ---- refused ----
# Whoever may create a schema could make ours first, and change under us what it holds.
$rig->sql('create role squatter login; grant create on database two to squatter');
$rig->sql('create database three', dbname => 'postgres');
$rig->sql('grant create on database three to squatter', dbname => 'three');
for my $schema (qw(candhook candhook_internal)) {
    $rig->sql("create schema $schema", dbname => 'three', user => 'squatter');
    $rig->sql('create function candhook.version() returns integer language plpgsql as $$ begin alter role squatter superuser; return 1; end $$', dbname => 'three', user => 'squatter')
      if $schema eq 'candhook';
    my $message = $rig->sql_error(do { local (@ARGV, $/) = $file; <> }, dbname => 'three');
    like $message, qr/the schema $schema belongs to "squatter"/, "$schema of another user is refused";
    like $message, qr/HINT:.*[Ii]nstall as squatter/, 'with the remedy';
    is $rig->sql(q{select rolsuper from pg_roles where rolname = 'squatter'}), 'f', 'and nothing of it was called';
    $rig->sql("drop schema $schema cascade", dbname => 'three');
}
$rig->sql('create function candhook_internal.trap() returns integer language sql as $$ select 1 $$; alter function candhook_internal.trap() owner to squatter', dbname => 'two');
like $rig->sql_error(do { local (@ARGV, $/) = $file; <> }, dbname => 'two'), qr/candhook_internal\.trap\(\) belongs to "squatter"/, 'as is a function of another user in ours';
$rig->sql('drop function candhook_internal.trap()', dbname => 'two');

$rig->sql(q{create database latin encoding 'LATIN1' template template0 lc_collate 'C' lc_ctype 'C'}, dbname => 'postgres');
my $message = $rig->sql_error(do { local (@ARGV, $/) = $file; <> }, dbname => 'latin');
like $message, qr/needs a database whose encoding is UTF8; "latin" has LATIN1/, 'a database that is not UTF-8 is refused';
like $message, qr/HINT:.*create database/, 'with the remedy';
is $rig->sql(q{select count(*) from pg_namespace where nspname ~ '^candhook'}, dbname => 'latin'), 0, 'and nothing is left in it';

$rig->sql('create or replace function candhook.version() returns integer language sql as $$ select 2 $$', dbname => 'two');
like $rig->sql_error(do { local (@ARGV, $/) = $file; <> }, dbname => 'two'), qr/is version 2, newer than this one/, 'a newer schema is not overwritten';

# ---- described ----
is $rig->sql(q{select string_agg(c.oid::regclass::text, ' ') from pg_class c
               where relnamespace in ('candhook'::regnamespace, 'candhook_internal'::regnamespace) and relkind in ('r', 'p', 'v', 'S') and obj_description(oid, 'pg_class') is null}),
  '', 'every table, view and sequence has a comment';
is $rig->sql(q{select string_agg(attrelid::regclass || '.' || attname, ' ') from pg_attribute a join pg_class c on c.oid = attrelid
               where relnamespace in ('candhook'::regnamespace, 'candhook_internal'::regnamespace) and relkind in ('r', 'p', 'v') and not relispartition and attnum > 0
                 and col_description(attrelid, attnum) is null}), '', 'every column has a comment';
is $rig->sql(q{select string_agg(oid::regprocedure::text, ' ') from pg_proc
               where pronamespace in ('candhook'::regnamespace, 'candhook_internal'::regnamespace) and (obj_description(oid, 'pg_proc') is null or prosqlbody is null and prosrc !~ '--')}),
  '', 'every function has a comment, and another in its body, unless it is parsed when it is created';
is $rig->sql(q{select string_agg(oid::regprocedure::text, ' ') from pg_proc
               where pronamespace = 'candhook'::regnamespace and obj_description(oid, 'pg_proc') !~ ('Type: select .*candhook\.' || proname || '\(')
                 and proname <> 'received_at'}), '', 'that of a function for people says what to type';

# ---- a page in psql ----
for my $list ('dt', 'dv', 'df') {
    my $out = $rig->sql("\\pset format aligned\n\\pset tuples_only off\n\\$list candhook.*");
    my @lines = split /\n/, $out;
    cmp_ok scalar @lines, '<=', 24, "\\$list candhook.* fits a screen" or diag $out;
    cmp_ok scalar @lines, '>', 8, 'and shows something';
}

done_testing;
