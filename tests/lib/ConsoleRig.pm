# SPDX-License-Identifier: ISC
#
# A rig for the console: a cluster with the roles that it needs, two users, events that SQL generates, and a front.
#
#     my $rig = ConsoleRig->new;                          # anna may act, rita may only look; their password is in $ConsoleRig::password
#     $rig->generate(100_000);                            # events of the last days, with outcomes, failures and what waits
#     $rig->nginx_front;  $rig->htaccess_front;           # the console is then at $rig->console
package ConsoleRig;
use v5.36;
use parent 'Rig';

our $password = 'correct-horse';

sub new ($class, %conf) {
    my $rig = Rig::new($class);
    $rig->cluster;
    return furnish($rig, %conf);
}

# The same for another rig that has a cluster.
sub furnish ($rig, %conf) {
    $rig->{settings} = { web_database => $rig->conninfo(user => 'my_web'), redirect_uri => 'https://app.example/candhook-app/callback', %conf };
    $rig->conf($rig->{settings}->%*);
    $rig->schema;
    $rig->sql(q{create role my_web login; grant candhook_web, candhook_reader, candhook_admin to my_web;
        create schema app; grant usage on schema app to public;
        create function app.greet(event candhook.event, bot_token text) returns text language sql as $$ select 'greeted' $$});
    $rig->candhook_ok('work', '--once');
    $rig->candhook_ok('web-user', 'add', 'anna', { stdin => "$password\n" });
    $rig->candhook_ok('web-user', 'add', 'rita', '--read-only', { stdin => "$password\n" });
    return $rig;
}

sub nginx_front ($rig) {
    $rig->web if !$rig->{web_socket};
    my $upstream = $rig->read_file($rig->fill_shipped('nginx/upstream_web.conf', 'upstream_web.conf')) =~ s/unix:[^;]+/unix:$rig->{web_socket}/r;
    $rig->nginx(mount => 'web.conf', http => "map \$request \$candhook_logged { default 1; }\n$upstream");
    return $rig->wait_for_front;
}

sub htaccess_front ($rig) {
    $rig->apache(mount => 'web_htaccess', mpm => 'prefork', modules => ['cgi']);
    return $rig->wait_for_front;
}

sub wait_for_front ($rig) {
    $rig->wait_until(sub { eval { $rig->connect_front } }, 'the front listens');
    return $rig;
}

sub console ($rig, $where = '') { return "http://127.0.0.1:$rig->{port}/candhook-app/console/$where" }

# Events at even steps until a moment ago, by default of the last two days. Of 100 events 3 failed for good, 1 waits for a
# token, 1 is due, 2 had no handler; 1 had a retry. Besides two malformed bodies, and tokens in each state.
sub generate ($rig, $count, $days = 2) {
    $rig->sql(<<~"SQL");
        insert into candhook.handler (name, module, type, kind, target, needs_token, ordered_by, enabled)
        values ('greet', 'MOIM', 'product.*', 'sql', 'app.greet', false, 'none', true), ('mirror', 'MOIM', 'product.*', 'http', 'https://mirror.example/hook', false, 'none', true),
               ('mail', 'CORE', 'member.*', 'exec', 'mail', true, 'community', true), ('old', 'CORE', '*', 'c', 'old.so', false, 'none', false)
            on conflict do nothing;
        update candhook.handler set created_at = now() - interval '60 days';
        create schema made;
        create function made.at(n bigint) returns timestamptz language sql as \$\$
            select date_trunc('milliseconds', timestamptz '@{[ $rig->sql('select now()') ]}' - ($count - n) * (interval '$days days' / $count)) \$\$;
        create function made.id(n bigint) returns uuid language sql as \$\$
            select (lpad(to_hex((extract(epoch from made.at(n)) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid \$\$;
        SQL
    # In pieces, so that outcomes lie in the table as they come in life: those of one time together.
    for (my $first = 1; $first <= $count; $first += 100_000) {
        my $last = $first + 99_999 < $count ? $first + 99_999 : $count;
        $rig->sql(<<~"SQL");
            create temporary table piece as select n, made.at(n) as at, made.id(n) as id from generate_series($first, $last) n;
            insert into candhook.event (id, received_at, module, type, origin_community_id, user_id, community_id, profile_id, payload)
            select m.id, m.at, case when n % 50 = 7 then 'CORE' else 'MOIM' end,
                   case when n % 50 = 7 then 'member.joined' when n % 50 = 9 then 'question.asked' else (array['product.created', 'product.updated', 'product.voted.points'])[1 + n % 3] end,
                   'G' || n % 20, 'U' || n % 1000, 'C' || n % 60, 'P' || n % 3000, jsonb_build_object('id', 'CP:' || n, 'price', n % 90 + 0.90, 'name', 'Thing ' || n)
              from piece m;
            insert into candhook.outcome (event_id, received_at, handler, attempt, result, detail, started_at, finished_at)
            select m.id, m.at, 'greet', 1, 'ok', 'greeted', m.at + '20 ms', m.at + '35 ms' from piece m where n % 50 not in (7, 9) union all
            select m.id, m.at, 'mirror', 1, case when n % 100 = 14 then 'retry' else 'ok' end, case when n % 100 = 14 then 'HTTP 503' else 'HTTP 200' end, m.at + '30 ms', m.at + (80 + n % 400) * '1 ms'::interval
              from piece m where n % 50 not in (7, 9) and n % 100 not in (12, 13, 16, 21) union all
            select m.id, m.at, 'mirror', 2, 'ok', 'HTTP 200', m.at + '10 s', m.at + '10.1 s' from piece m where n % 100 = 14 and m.at < now() - interval '12 s' union all
            select m.id, m.at, 'mirror', 1, 'failed', 'HTTP ' || case when n % 100 = 13 then 410 else 422 end || ' for order ' || n, m.at + '30 ms', m.at + '90 ms' from piece m where n % 100 in (12, 13, 16) union all
            select m.id, m.at, '', 0, 'unhandled', null, null, m.at + '20 ms' from piece m where n % 50 = 9;
            SQL
    }
    $rig->sql(<<~"SQL");
        insert into candhook.delivery (event_id, received_at, handler, origin_community_id, due_at, held, order_key)
        select made.id(n), made.at(n), 'mirror', 'G' || n % 20, made.at(n), false, null from generate_series($count - 999, $count) n where n > 0 and n % 100 = 21 union all
        select made.id(n), made.at(n), 'mail', 'G' || n % 20, now() + '1 minute', true, 'G' || n % 20 from generate_series($count - 1999, $count) n where n > 0 and n % 100 = 7;
        insert into candhook.malformed (id, received_at, body, reason)
        select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7000800000000000000' || n)::uuid, at, convert_to(body, 'UTF8'), reason
          from (values (1, date_trunc('milliseconds', now() - interval '2 hours'), '{"module":"MOIM"', 'line 1, column 17: the object does not end'),
                       (2, date_trunc('milliseconds', now() - interval '1 day'), '{"type":"x"}', 'there is no member module')) m (n, at, body, reason);
        select candhook.set_bot_token('G1', 'canary-of-a-bot-token', '{bot:MOIM:product:read}', now() + '30 days');
        select candhook.set_bot_token('G2', 'canary-of-another'), candhook.revoke_bot_token('G2');
        SQL
    $rig->sql("analyze candhook.$_") for qw(event outcome delivery);
    return $rig;
}

1;
