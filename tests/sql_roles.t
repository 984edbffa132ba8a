# SPDX-License-Identifier: ISC
#
# Each role can do its job and not the others'; and all works where the roles could not be made.
use v5.36;
use Test::More;
use SqlRig;

my $rig = SqlRig->new;
my %in;
for my $role (qw(worker handler admin reader web)) {
    $rig->sql("create role my_$role login; grant candhook_$role to my_$role");
    $in{$role} = [ user => "my_$role" ];
}
$rig->sql('create role nobody_special login');
$in{nobody} = [ user => 'nobody_special' ];

sub may ($role, $sql, $expected = undef) {
    my ($status, $out, $err) = $rig->run_sql($sql, $in{$role}->@*);
    chomp $out;
    ok $status == 0 && (!defined $expected || $out eq $expected), "$role may: $sql" or diag "$out$err";
}

sub may_not ($role, $sql) {
    like $rig->sql_error($sql, $in{$role}->@*), qr/permission denied|must be owner|must be (?:able to|a member)/, "$role may not: $sql";
}

# ---- admin: tokens and handlers, and reading ----
may admin => q{insert into candhook.handler (name, module, type, kind, target, needs_token) values ('note', 'MOIM', 'product.created', 'sql', 't.note', true)};
may admin => q{insert into candhook.bot_token values ('G1', 'one') on conflict (origin_community_id) do update set token = excluded.token};
may admin => q{select candhook.set_bot_token('G1', 'token-of-G1')};
may admin => q{select candhook.set_bot_token('G2', 'two', array['a'], now() + '1 day')};
may admin => q{insert into candhook_internal.bot_token_entry values ('G2', 'two')};
may admin => q{select candhook.alias_community('C2', 'G2')};
may admin => q{select candhook.revoke_bot_token('G2')}, 't';
may admin => q{select candhook.remove_bot_token('G2')}, 't';
may admin => q{select count(*) from candhook_internal.token_list()}, 1;
is $rig->sql(q{select stored_by, how, ended from candhook.bot_token_history where community = 'G2' order by id}), "my_admin|psql|replaced\nmy_admin|command|revoked", 'who stored a token is known';
may admin => q{update candhook.handler set timeout = '5 s'};
may admin => q{select count(*) from candhook.recent};
may admin => q{select candhook.body(e) from candhook.event e};
may_not admin => $_ for q{delete from candhook.event}, q{update candhook.delivery set attempt = 0}, q{insert into candhook.outcome select * from candhook.outcome},
  q{select * from candhook_internal.claim('x', 1)}, q{select candhook_internal.forget('{}')}, q{truncate candhook.handler}, q{drop table candhook.handler}, q{update candhook.bot_token_history set how = 'install'}, q{delete from candhook.bot_token_history},
  q{insert into candhook.community_alias values ('C', 'G')}, q{alter table candhook.bot_token disable trigger all};

# ---- web: stores tokens, and nothing else ----
may web => qq{copy candhook_internal.bot_token_entry (origin_community_id, token, how) from stdin;\nG1\ttoken-of-G1\tinstall\n\\.\n};
may web => q{select candhook_internal.held_count('G1')}, 0;
may web => q{select * from candhook_internal.wanted()}, 'MOIM|product.created';
may_not web => $_ for q{select * from candhook.bot_token}, q{select * from candhook.event}, q{select * from candhook.bot_token_masked}, q{select candhook_internal.bot_token('G1')},
  q{select * from candhook_internal.bot_token_entry}, q{delete from candhook.bot_token}, q{select candhook.revoke_bot_token('G1')}, q{select * from candhook_internal.claim('w', 1)};

# ---- web: the console, only as a member of the roles that read and act ----
sub console ($role, $path, $asked = '{}') { return $rig->sql("select status from candhook_internal.web('$path', '$asked', 'anna', true)", $in{$role}->@*) }
is console(web => $_), 403, "web, as no reader: $_" for qw(overview events handlers failures malformed unhandled tokens audit act);
is console(reader => $_), 200, "reader: $_" for qw(overview events handlers failures malformed unhandled tokens audit);
is console(admin => $_), 200, "admin: $_" for qw(overview events handlers failures malformed unhandled tokens audit);
my $pause = '{"do":"disable","handler":"note"}';
is console(reader => 'act', $pause), 403, 'a reader acts not';
is console(admin => 'act', $pause), 200, 'an admin does';
is console(admin => 'act', $pause =~ s/disable/enable/r), 200, 'and undoes it';
may web => q{select candhook_internal.web_note('anna', 'store token', 'G1', null)};
may_not $_ => q{select candhook_internal.web_act('{}', 'anna')} for qw(web reader worker handler nobody);
may_not $_ => q{insert into candhook.audit (who, what) values ('x', 'y')} for qw(web reader admin);
may_not $_ => q{delete from candhook.audit} for qw(web reader admin);
may_not $_ => q{select * from candhook_internal.web('events', '{}', 'x', true)} for qw(worker handler nobody);

# ---- worker: from the body to the outcome, and nothing else ----
my $record = q{select count(*) from candhook_internal.record(array['00000000-0000-7000-8000-000000000001']::uuid[], array[1], %s)};
my $event = q{array['019ab1c2-d3e4-7000-8000-000000000001'::uuid], '{MOIM}', '{product.created}', '{G1}', '{U}', '{C}', '{P}', '{"{}"}', array[null], '{}', '{}', '{}'};
my $malformed = q{'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', array['019ab1c2-d3e4-7000-8000-000000000002'::uuid], array['x'::bytea], '{no JSON}'};
may worker => 'select candhook.version()', 1;
may worker => sprintf($record, $event), 1;
may worker => sprintf($record, $malformed), 1;
may worker => q{select candhook_internal.spool_position('00000000-0000-7000-8000-000000000001')}, 1;
may worker => q{select candhook_internal.forget(array['00000000-0000-7000-8000-000000000001']::uuid[])};
may worker => 'select candhook_internal.due_in()', 0;
may worker => q{select handler from candhook_internal.claim('w', 10)}, 'note';
my $lease = $rig->sql('select lease from candhook.delivery');
may worker => "select candhook_internal.renew($lease)", 1;
may worker => "select result, detail from candhook_internal.run_sql($lease)", 'ok|noted';
may worker => sprintf(q{select kind, handler from candhook_internal.record('{}', '{}', %s, true, '{}')}, $event =~ s/000000000001/000000000003/r), 'ok|note';
may worker => q{select candhook_internal.release('w')}, 0;
may worker => 'select count(*) from candhook_internal.maintain()';
may worker => "select count(*) from candhook_internal.finish($lease, '{}', '{}', '{}', '{}', '{}')", 0;
may worker => 'listen candhook; set role candhook_handler; select current_user', 'candhook_handler';
is $rig->sql('select distinct said from t.effect'), 'token-of-G1', 'the handler had its token';
may_not worker => $_ for q{select * from candhook.bot_token}, q{select * from candhook.event}, q{select * from candhook.handler}, q{select * from candhook.delivery}, q{delete from candhook.outcome},
  q{insert into candhook.bot_token values ('G1', 'x')}, q{select candhook.set_bot_token('G1', 'x')}, q{select candhook.revoke_bot_token('G1')}, q{select candhook.remove_bot_token('G1')},
  q{select candhook.alias_community('C', 'G1')}, q{insert into candhook_internal.bot_token_entry values ('G1', 'x')}, q{select * from candhook_internal.token_history()}, q{insert into candhook.handler values ('x', '*', '*', 'c', 'x.so')},
  q{drop table candhook.event}, q{drop function candhook_internal.claim(text, integer, text[], text[])}, q{drop schema candhook cascade}, q{create table candhook.x (a integer)}, q{select candhook_internal.new_lease()},
  q{select candhook_internal.make_partition('event', '2030-01-01')}, q{select candhook_internal.hold('note', '{}', '{}')}, q{select * from candhook_internal.record_rows('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')}, q{set role candhook_admin};

# ---- status and doctor: everybody but handlers and strangers ----
for my $function ('candhook_internal.status()', 'candhook_internal.counts()', 'candhook_internal.diagnose()', q{candhook_internal.probe(now(), 'x')}, q{candhook_internal.lacking_scopes('{a}')}) {
    may $_ => "select count(*) >= 0 from $function", 't' for qw(worker reader admin);
    may_not $_ => "select * from $function" for qw(handler nobody);
}

# ---- handler: nothing of ours ----
may handler => q{select candhook.received_at('019ab1c2-d3e4-7000-8000-000000000001') is null}, 'f';
may handler => q{select candhook.body(row('019ab1c2-d3e4-7000-8000-000000000001', now(), 'M', 't', null, null, null, null, '{}', null)::candhook.event)->>'module'}, 'M';
may_not handler => $_ for q{select * from candhook.bot_token}, q{select * from candhook.event}, q{select * from candhook.bot_token_masked}, q{select * from candhook_internal.claim('w', 1)}, q{select * from candhook_internal.leased(1, null)}, q{select * from candhook_internal.finish_first('note', '{}', '{}', '{}', '{}', '{}')}, q{select candhook_internal.settle_missing('{}', '{}')},
  q{select * from candhook_internal.run_sql(1)}, q{delete from candhook.delivery}, q{select candhook.set_bot_token('G1', 'x')}, q{set role candhook_worker};

# ---- reader: all but tokens ----
may reader => "select count(*) from candhook.$_" for qw(event malformed outcome handler delivery recent held failed due unhandled_types handler_health bot_token_masked bot_token_history community_alias audit);
may reader => q{select count(*) from candhook_internal.token_list()}, 1;
may reader => q{select distinct candhook.body(e)->>'module' from candhook.event e}, 'MOIM';
may_not reader => $_ for q{select * from candhook.bot_token}, q{select token from candhook.bot_token}, q{delete from candhook.event}, q{insert into candhook.handler values ('x', '*', '*', 'c', 'x.so')},
  q{select * from candhook_internal.claim('w', 1)}, q{select candhook.set_bot_token('G1', 'x')}, q{copy candhook.bot_token to stdout},
  q{select candhook.revoke_bot_token('G1')}, q{select candhook.remove_bot_token('G1')}, q{select candhook.alias_community('C', 'G1')};

# ---- who may do nothing but store a token, as a program in the net: it can, and reads none ----
$rig->sql('create role storing login; grant usage on schema candhook_internal to storing; grant insert on candhook_internal.bot_token_entry to storing');
$in{storing} = [ user => 'storing' ];
may storing => q{insert into candhook_internal.bot_token_entry values ('G3', 'three', '{a}', now() + '1 day', 'install')};
is $rig->sql(q{select token, how, scopes from candhook.bot_token where origin_community_id = 'G3'}), 'three|install|{a}', 'it is stored';
may_not storing => $_ for q{select * from candhook.bot_token}, q{select * from candhook.bot_token_history}, q{select candhook_internal.store_bot_token('G1', 'x', null, null, 'psql')};

# ---- everybody else: nothing ----
may_not nobody => $_ for q{select * from candhook.recent}, q{select candhook.version()}, q{select * from candhook.bot_token_masked};

# ---- what the installer's owner granted besides stays ----
$rig->sql('grant usage on schema candhook to nobody_special; grant select on candhook.recent to nobody_special');
$rig->schema_file;
may nobody => 'select count(*) from candhook.recent';

# ---- an owner who may make no roles, in a cluster that has none ----
my $bare = SqlRig->bare;
$bare->sql('create role owner login; create database owned owner owner', dbname => 'postgres');
my @owner = (user => 'owner', dbname => 'owned');
my ($status, $out, $err) = $bare->run_sql(do { local (@ARGV, $/) = Rig::build_path('install.sql'); <> }, @owner);
is $status, 0, 'the schema is installed';
like $err, qr/\AWARNING:  the user owner may make no roles, so there is no candhook_worker, .*: the owner of the schema does everything\n\z/, 'with a word';
is $bare->sql(q{select count(*) from pg_roles where rolname ~ '^candhook_'}, @owner), 0, 'without the roles';
$bare->sql(q{create function welcome(event candhook.event, bot_token text) returns text language sql as $$ select current_user || ' ' || bot_token $$;
             insert into candhook.handler (name, module, type, kind, target, needs_token) values ('welcome', '*', '*', 'sql', 'welcome', true);
             select candhook.set_bot_token('G1', 'one')}, @owner);
$bare->sql(sprintf($record, $event), @owner);
$lease = $bare->sql(q{select lease from candhook_internal.claim('w', 10)}, @owner);
is $bare->sql("select result, detail from candhook_internal.run_sql($lease)", @owner), 'ok|owner [token]', 'and does all its work as the owner';
$bare->sql('create role candhook_worker; create role candhook_handler; create role candhook_admin; create role candhook_reader; create role candhook_web; grant candhook_handler to candhook_worker; '
      . 'create role later login; grant candhook_worker to later', dbname => 'postgres');
($status, $out, $err) = $bare->run_sql(do { local (@ARGV, $/) = Rig::build_path('install.sql'); <> }, @owner);
is "$status|$err", '0|', 'installed again once somebody has made the roles';
$bare->sql(q{grant usage on schema public to candhook_handler}, dbname => 'owned');
$bare->sql(sprintf($record, $event =~ s/000000000001/000000000002/r), user => 'later', dbname => 'owned');
$lease = $bare->sql(q{select lease from candhook_internal.claim('w', 10)}, user => 'later', dbname => 'owned');
is $bare->sql("select result, detail from candhook_internal.run_sql($lease)", user => 'later', dbname => 'owned'), 'ok|candhook_handler [token]', 'they have their rights';

done_testing;
