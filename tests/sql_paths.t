# SPDX-License-Identifier: ISC
#
# Nobody can slip a function, an operator or a type of their own under the schema's functions. Whoever may create in a schema of
# a user's search_path (schema public, up to PostgreSQL 14, is everybody's) can define functions of the names that PostgreSQL's
# own ones have. Here schema public holds such a trojan for everything that the schema's functions call; then everything is
# called, and no trojan may have been.
use v5.36;
use Test::More;
use SqlRig;

my $rig = SqlRig->new;
my $ours = q{pronamespace in ('candhook'::regnamespace, 'candhook_internal'::regnamespace)};

# ---- by reading: pinned, or parsed when it was created ----
# These two need the caller's path, by which the target of an sql handler is looked up.
my @unpinned = ('candhook.add_handler', 'candhook_internal.handler_check');
is $rig->sql(qq{select string_agg(oid::regproc::text, ' ' order by oid::regproc::text) from pg_proc
                where $ours and prosqlbody is null and not coalesce(proconfig, '{}') @> array['search_path=pg_catalog, pg_temp']}),
  "@unpinned", 'every function but two pins search_path, or its names were resolved when it was created';
for my $function (@unpinned) {
    my $source = $rig->sql("select prosrc from pg_proc where oid = '$function'::regproc");
    $source =~ s/--.*//g;
    $source =~ s/'[^']*'//g;
    $source =~ s/\boperator\(pg_catalog\.[<>=]+\)//g;
    my @bare = grep { !/^(?:values|handler) ?\($/ } $source =~ /(?<![\w.])(\w+ ?\()/g;
    is "@bare", '', "$function qualifies what it calls";
    unlike $source =~ s/:=|=>|constraint_name|column_name|= (?=,|;)//gr =~ s/\w+ = (?:constraint|column)?,?//gr, qr{[-+*/<>~!@#%^&|]}, 'and uses no operator of the path';
    is join(' ', grep { !/^pg_catalog\.\w+$/ } map { split ' ' } $source =~ /\bdeclare\b(.*?)\bbegin\b/s ? map { /^\s*\w+ (\S+);/ ? $1 : () } split /\n/, $1 : ()), '', 'nor a type of it';
}

# ---- the trojans ----
$rig->sql(<<'SQL');
    create schema trojan;
    grant usage on schema trojan to public;
    create sequence trojan.calls;
    grant all on sequence trojan.calls to public;
    -- A sequence keeps its value when the caller is rolled back.
    create function trojan.noted(name text) returns boolean language plpgsql set search_path = pg_catalog as $$
        begin
            perform nextval('trojan.calls');
            raise warning 'the trojan % was called', name;
            return true;
        end $$;

    create function trojan.make(definition text) returns integer language plpgsql set search_path = pg_catalog as $$
        begin
            execute definition;
            return 1;
        exception when others then
            return 0; -- of a type that no function in plpgsql can take
        end $$;

    -- For each signature in pg_catalog of a name that any of our functions calls, and for polymorphic ones each exact signature.
    create function trojan.functions() returns bigint language sql set search_path = pg_catalog as $$
        with name as (
            select distinct m[1] as name
              from pg_proc p, regexp_matches(pg_get_functiondef(p.oid), '([a-z_0-9]+) ?[(]', 'g') m
             where p.pronamespace in ('candhook'::regnamespace, 'candhook_internal'::regnamespace)
            union
            select 'array_append'
        ), found as (
            select p.*, pg_get_function_identity_arguments(p.oid) as arguments, pg_get_function_result(p.oid) as result
              from pg_proc p join name n on n.name = p.proname
             where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind in ('f', 'a')
        ), signature as (
            select f.proname, f.prokind, f.proretset, f.arguments, f.result from found f
            union
            select f.proname, f.prokind, f.proretset,
                   regexp_replace(regexp_replace(f.arguments, 'any(compatible)?array', t || '[]', 'g'), 'any(compatible)?(element)?\M', t, 'g'),
                   regexp_replace(regexp_replace(f.result, 'any(compatible)?array', t || '[]', 'g'), 'any(compatible)?(element)?\M', t, 'g')
              from found f, unnest('{uuid,text,integer,bigint,boolean,tid,timestamp with time zone}'::text[]) t
             where f.arguments ~ 'any'
            union
            select f.proname, 'f', false, a, f.result
              from found f, unnest('{"text, text","text, text, text","text, text, text, text","text, name, name","text, name, text",
                                     "text, variadic text[]","variadic text[]"}'::text[]) a
             where f.arguments ~ '"any"' and f.prokind = 'f'
        )
        select sum(case when s.prokind = 'f'
                   then trojan.make(format('create function public.%I(%s) returns %s language plpgsql as '
                                           '$t$ begin perform trojan.noted(%L); %s; end $t$', s.proname, s.arguments, s.result,
                                           s.proname || '(' || s.arguments || ')', case when s.proretset then 'return' else 'return null' end))
                   else trojan.make(format('create function trojan.state(text%s) returns text language plpgsql as '
                                           '$t$ begin perform trojan.noted(%L); return null; end $t$', nullif(', ' || s.arguments, ', '), s.proname))
                        + trojan.make(format('create aggregate public.%I(%s) (sfunc = trojan.state, stype = text)', s.proname,
                                             coalesce(nullif(s.arguments, ''), '*')))
                   end)
          from signature s $$;

    -- All operators of the names that they use, or that stand behind words of the language as `like` and `between`.
    create function trojan.operators() returns bigint language sql set search_path = pg_catalog as $$
        with name as (
            select distinct m[1] as name
              from pg_proc p, regexp_matches(regexp_replace(pg_get_functiondef(p.oid), '--.*', '', 'gn'), '([-+*/<>=~!@#%^&|]+)', 'g') m
             where p.pronamespace in ('candhook'::regnamespace, 'candhook_internal'::regnamespace)
            union
            select unnest('{=,<>,<,>,<=,>=,~~,!~~}'::text[])
        )
        select sum(trojan.make(format('create function trojan.%I(%s) returns %s language plpgsql as $t$ begin perform trojan.noted(%L); return null; end $t$',
                                      'operator_' || o.oid, concat_ws(', ', nullif(o.oprleft, 0)::regtype, o.oprright::regtype), o.oprresult::regtype,
                                      o.oid::regoperator))
                   + trojan.make(format('create operator public.%s (%s rightarg = %s, function = trojan.%I)', o.oprname,
                                        'leftarg = ' || nullif(o.oprleft, 0)::regtype || ',', o.oprright::regtype, 'operator_' || o.oid)))
          from pg_operator o join name n on n.name = o.oprname
         where o.oprnamespace = 'pg_catalog'::regnamespace $$;

    create function trojan.types() returns bigint language sql set search_path = pg_catalog as $$
        select sum(trojan.make(format('create domain public.%I as pg_catalog.%1$I check (trojan.noted(%2$L))', t, 'type ' || t)))
          from unnest('{text,uuid,jsonb,tid,bytea,timestamptz,regprocedure,record,refcursor}'::text[]) t $$;
SQL
cmp_ok $rig->sql('select trojan.functions()'), '>', 250, 'there is a trojan for each function';
cmp_ok $rig->sql('select trojan.operators()'), '>', 600, 'for each operator';
cmp_ok $rig->sql('select trojan.types()'), '>', 5, 'and for types';

sub calls { return $rig->sql(q{select case when is_called then last_value else 0 end from trojan.calls}) }

# ---- handlers that need the caller's path ----
$rig->sql(<<'SQL');
    set check_function_bodies = off; -- of those that need a path
    create schema app;
    grant usage on schema app to public;
    create table app.effect (id uuid);
    grant insert on app.effect to public;
    create function app.note(event candhook.event, bot_token text) returns text language plpgsql as $$
        begin
            insert into effect values (event.id);
            return pg_catalog.current_setting('search_path');
        end $$;
    create function app.greeting(module text) returns text language plpgsql as $$ begin return module; end $$;
    create function app.greet(event candhook.event, bot_token text) returns text language sql as $$ select greeting(event.module) $$;
SQL

my ($number, $session) = (0);
sub id { return sprintf '019ab1c2-d3e4-7000-8000-%012d', ++$number }

# One statement under the hostile path; it must succeed.
sub try ($sql) {
    my $said = $session->query("$sql;");
    unlike $said, qr/ERROR|trojan/, $sql =~ s/\s+/ /gr or diag $said;
    return $said;
}

# With the first attempts at once, or not.
sub record ($id, $not_at_once = 'null') {
    try(qq{select * from candhook_internal.record('{}', '{}', '{$id}', '{MOIM}', '{product.created}', '{G1}', '{U}', '{C}', '{P}', '{"{}"}', '{null}', '{}', '{}', '{}',
           true, $not_at_once)});
}

# Everything that people and programs call.
sub everything {
    try($_) for q{select candhook.version()}, q{select candhook.received_at('019ab1c2-d3e4-7000-8000-000000000001')},
      q{select candhook.set_bot_token('G1', 'token-one')}, q{insert into candhook_internal.bot_token_entry values ('G2', 'token-two')},
      q{update candhook.bot_token set token = 'token-three'},
      q{select candhook.set_bot_token('G3', 'token', '{b,a}', '2100-01-01')}, q{select candhook.alias_community('G3', 'G4')},
      q{select candhook.set_bot_token('G3', 'other', expires_at => '2000-01-01')}, q{select candhook.alias_community('G3', null)},
      q{insert into candhook_internal.bot_token_entry values ('G5', 'token', '{b,a}', '2100-01-01', 'install')},
      q{select candhook.revoke_bot_token('G5')}, q{select candhook.remove_bot_token('G5')}, q{select candhook.remove_bot_token('G4')},
      q{select * from candhook_internal.token_list()}, q{select * from candhook_internal.token_history('G5')}, q{select * from candhook_internal.token_history()},
      q{select * from candhook_internal.lacking_scopes('{b,a}')};
    try($_) for q{select candhook.add_handler('note', 'MOIM', 'product.*', 'sql', 'note', needs_token => true)},
      q{insert into candhook.handler (name, module, type, kind, target, ordered_by) values ('greet', '*', '*', 'sql', 'greet', 'community')},
      q{update candhook.handler set target = 'app.greet', max_attempts = 3}, q{update candhook.handler set target = 'note' where name operator(pg_catalog.=) 'note'},
      q{update candhook.handler set concurrency = 2},
      q{select candhook.add_handler('file', 'MOIM', '*', 'exec', 'file', max_attempts => 2)},
      q{select candhook.disable_handler('file')}, q{select candhook.enable_handler('file')};
    like $session->query(q{select candhook.add_handler('wrong', 'MOIM', '*', 'sql', 'note', max_attempts => 0);}), qr/max_attempts cannot be '?0/, 'a refusal is explained';
    like $session->query(q{select candhook.add_handler('wrong', 'MOIM', '*', 'sql', 'no_such');}), qr/there is no function no_such/, 'so is a target that is none';
    like $session->query(q{select candhook.disable_handler('nobody');}), qr/There are: 'file'/, 'and a name that is none';

    my @ids = map { my $id = id(); record($id); $id } 1 .. 3;
    push @ids, map { my $id = id(); record($id, q{'{}'}); $id } 1, 2;
    try(qq{select * from candhook_internal.record('{$ids[0]}', '{30}', '{$ids[0]}', '{MOIM}', '{product.created}', '{G1}', '{U}', '{C}', '{P}', '{"{}"}', '{null}', '{@{[id()]}}', '{x}', '{broken}')});
    like $session->query(qq{select * from candhook_internal.record('{}', '{}', '{@{[id()]}}', '{M}', '{t}', '{G1}', '{U}', '{C}', '{P}', '{"{\\"a\\":1e999999}"}', '{null}', '{}', '{}', '{}');}),
      qr/refused/, 'what jsonb refuses is told';
    try($_) for map { "select * from candhook_internal.$_" } "spool_position('$ids[0]')", 'due_in()', "forget('{$ids[0]}')";
    for (1 .. 8) {
        my $lease = $session->query(q{select distinct on (lease) lease from candhook_internal.claim('w', 10, '{sql}');}) or last;
        $lease =~ /^\d+$/ or fail("a claim: $lease"), last;
        try("select * from candhook_internal.renew($lease)");
        try("select * from candhook_internal.run_sql($lease)");
    }
    my ($lease) = split /\n/, $session->query(q{select lease from candhook_internal.claim('w', 10, '{exec}');});
    try("select * from candhook_internal.finish($lease, '{$ids[0],$ids[1]}', '{ok,retry}', '{a,b}', '{now,now}', '{now,now}', '{1,2}')");
    try($_) for map { "select * from candhook_internal.$_" } "give_back($lease)", q{release('w')}, 'maintain()', 'status()', 'diagnose()',
      q{probe('-infinity', 'x')}, q{events('-infinity', null, 'MOIM', '*', 10)}, 'wanted()', q{bot_token('G1')}, q{refuse_bot_token('G2', 'now')};
    like try(qq{select * from candhook_internal.web('$_', '{"id":"$ids[0]","since":"-infinity","type":"*"}', 'anna', true)}), qr/^200\|/, "the console: $_"
      for qw(overview events event body handlers failures malformed unhandled tokens audit);
    like try(qq{select * from candhook_internal.web('act', '{"id":"$ids[0]","handler":"file",$_}', 'anna', true)}), qr/^200\|/, "the console: $_"
      for map { (qq{"do":"$_","count":true}, qq{"do":"$_"}) } qw(replay retry give_up disable enable);
    like try(q{select * from candhook_internal.web('events', '{"since":"x"}', 'anna', true)}), qr/^400\|/, 'the console: a value that is none';
    try("select * from candhook.$_") for qw(recent held failed due unhandled_types handler_health bot_token_masked);
    try($_) for q{select candhook.body(e) from candhook.event e}, "select candhook.replay('$ids[0]')", "select candhook.replay('$ids[1]', '{note}')",
      q{select candhook.replay('-infinity', 'infinity', '*', 'greet')}, "select candhook.give_up('$ids[0]')", q{select candhook.give_up(handler => 'greet')},
      q{select candhook.retry_failed()}, q{update candhook.handler set name = 'other', ordered_by = 'none' where name operator(pg_catalog.=) 'greet'},
      map { "select candhook.remove_handler('$_')" } qw(note other file);
    return @ids;
}

for my $path ('app, public, pg_catalog', 'app, public') {
    my $before = calls();
    $session = $rig->psql_session;
    $session->query("set search_path = $path;");
    like $session->query(q{select left('xy', 1);}), qr/the trojan left/, 'the trojans work' if $path =~ /pg_catalog/;
    like $session->query(q{select array_append('{}'::uuid[], '019ab1c2-d3e4-7000-8000-000000000001'::uuid);}), qr/the trojan array_append/, 'also where they are called as the better match';
    cmp_ok calls(), '>', $before, 'and are counted';
    $session->query('reset search_path;');
    $session->close;

    $before = calls();
    $session = $rig->psql_session;
    $session->query("set search_path = $path;");
    my @ids = everything();
    is calls(), $before, "search_path = $path: no trojan was called";
    my $list = join ', ', map { "'$_'" } @ids;
    is $rig->sql("select distinct result, detail from candhook.outcome where handler = 'note' and event_id in ($list) and result <> 'failed'"), "ok|$path", 'the handlers ran with this path';
    is $rig->sql("select distinct detail from candhook.outcome where event_id in ($list) and handler in ('greet', 'other') and result = 'ok'"), 'MOIM', 'those of language sql, too';
    is $session->query('show search_path;'), $path, 'which is there afterwards';
    $session->close;
}

done_testing;
