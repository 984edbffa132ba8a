# SPDX-License-Identifier: ISC
#
# What an event costs as something else grows: rows of event, communities, bodies, responders, hosts, dead rows that a
# transaction keeps. Each setting is measured in the same way: events are sent while the worker is stopped, which is how fast
# they are answered; then the worker starts, records and handles them all.
#
# A setting is a hash: title, events, and what differs from 100 communities, 300 bytes, one responder, one spool:
#     dbname       the database; rows: that is to have so many rows of event
#     communities, size, responders, hosts
#     held         a transaction that began before is open all the time
#     keep         the tables stay as the setting before has left them
package Bench::Scale;
use v5.36;

use Bench::Figures ();
use Bench::Report  ();
use Bench::Steps   ();
use File::Path     ();
use Time::HiRes    qw(sleep time);

# 10,000 communities have tokens in every database, so that only the number of those that send differs.
my $tokens = 10_000;

sub rows_group ($plan) {
    my @sizes = (0, map { $_ * $plan->{rows} } 1, 5);
    return map { { title => Bench::Report::number($_, 0), rows => $_, dbname => $_ ? "rows$_" : 'candhook' } } @sizes;
}

# Names, what people read, and settings. By: what the work is proportional to, when it is not the events. Allowed: how much
# dearer an event may be at the last setting than at the first; what is more is no noise. The more processes share the
# connections, the fewer events are in a round of each, down to one: that is dearer, and bounded.
sub groups ($plan) {
    my $events = $plan->{events};
    my @chunks = 1 .. $plan->{chunks};
    return (
        { name => 'rows', title => 'rows of event', settings => [ rows_group($plan) ] },
        { name => 'communities', title => 'communities', settings => [ { title => '1', communities => 1 }, { title => '10,000', communities => 10_000 } ] },
        { name => 'payload', title => 'size of a body', by => 'size', settings => [
            { title => '300 bytes', size => 300 }, { title => '3 kB', size => 3_000, events => $events / 2 },
            { title => '30 kB', size => 30_000, events => $events / 8 }, { title => '900 kB', size => 900_000, events => $events / 160 } ] },
        { name => 'responders', title => 'processes of the responder', allowed => 2, settings => [ map { { title => $_, responders => $_ } } 1, 4, 16 ] },
        { name => 'hosts', title => 'hosts, each with spool and worker', settings => [ map { { title => $_, hosts => $_ } } 1, 2 ] },
        { name => 'free', title => 'one load after the other', settings => [ map { { title => "load $_", keep => $_ > 1 } } @chunks ] },
        { name => 'held', title => 'the same beside an open transaction', settings => [ map { { title => "load $_", held => 1, keep => $_ > 1 } } @chunks ] },
    );
}

# ---- the databases ----

# The database candhook is there; its handler has tokens for all communities.
sub prepare ($bench) {
    $bench->sql(<<"END");
insert into candhook.bot_token (origin_community_id, token)
select 'G' || lpad(i::text, 9, '0'), 'token-' || i from generate_series(1, $tokens) i on conflict do nothing;
analyze candhook.bot_token;
END
}

# A copy of the database whose tables of events and outcomes have so many rows, spread over the three months until now.
# BEFORE is one that has some of them already.
sub make_rows ($bench, $dbname, $rows, $before, $first) {
    $bench->sql("create database $dbname template $before", dbname => 'postgres');
    my ($status, undef, $err) = $bench->run({ stdin => <<"END", seconds => 1800 }, $bench->psql_command(dbname => $dbname), '-v', 'ON_ERROR_STOP=1');
set synchronous_commit = off;
select candhook_internal.make_partition(t, m::timestamp)
  from generate_series(date_trunc('month', now() at time zone 'UTC') - interval '3 months',
                       date_trunc('month', now() at time zone 'UTC') - interval '1 month', interval '1 month') m,
       unnest(array['event', 'outcome']) t
 where to_regclass('candhook_internal.' || t || '_' || to_char(m, 'YYYY_MM')) is null;
create temporary table fill as
select (lpad(to_hex((extract(epoch from t) * 1000)::bigint), 12, '0') || '7' || substr(md5(i::text), 1, 3) || '8'
        || substr(md5(i::text), 4, 15))::uuid as id, t, i
  from (select i, date_trunc('milliseconds', now() - interval '90 days' * (1 - (i - $first) / ($rows - $first + 1.0))) as t
          from generate_series($first + 1, $rows) i) s;
insert into candhook.event (id, received_at, module, type, origin_community_id, user_id, community_id, profile_id, payload)
select id, t, 'MOIM', 'product.created', 'G' || lpad((i % $tokens + 1)::text, 9, '0'), 'UAKDIJ23KD', 'G0IZUDWCL', 'UAKDIJ23KE',
       jsonb_build_object('id', 'fill-' || lpad(i::text, 10, '0'), 'text', 'article likes member points the of community')
  from fill;
insert into candhook.outcome (event_id, received_at, handler, attempt, result, started_at, finished_at)
select id, t, 'look', 1, 'ok', t, t from fill;
drop table fill;
vacuum analyze candhook.event, candhook.outcome;
checkpoint;
END
    $status == 0 or die "psql: $err";
}

# ---- one setting ----

# The second host's configuration: a spool of its own, the same database.
sub configure ($bench, $setting) {
    my $dir = $bench->{dir};
    $bench->conf(log_level => 'warning', database => $bench->conninfo(dbname => $setting->{dbname} // 'candhook'));
    my $text = $bench->read_file('candhook.conf');
    for my $host (2 .. $setting->{hosts} // 1) {
        $bench->write_file("host$host.conf", $text =~ s{^spool = .*}{spool = $dir/spool$host}mr);
    }
}

sub conf_of ($bench, $host) { return $host == 1 ? "$bench->{dir}/candhook.conf" : "$bench->{dir}/host$host.conf" }

sub spools ($bench) { return grep { -d } map { "$bench->{dir}/spool$_" } '', 2 }

# Sends the events; returns the load's result and the responders' CPU.
sub send_all ($bench, $setting, $events) {
    my @responders = map { { socket => "$bench->{dir}/$_.sock", host => 1 } } 1 .. $setting->{responders} // 1;
    @responders = map { { socket => "$bench->{dir}/$_.sock", host => $_ } } 1 .. $setting->{hosts} if ($setting->{hosts} // 1) > 1;
    for my $one (@responders) {
        unlink $one->{socket};
        $one->{pid} = $bench->spawn('responder', { env => { CANDHOOK_CONF => conf_of($bench, $one->{host}) } },
            $bench->program('candhook.fcgi'), '--no-worker', '--listen', $one->{socket});
    }
    $bench->wait_for_socket($_->{pid}, $_->{socket}) for @responders;
    $bench->copy_shipped(Rig::source_path('nginx/fastcgi.conf'), 'nginx/fastcgi.conf') if $bench->make_folder('nginx');
    my $servers = join '', map { "server unix:$_->{socket}; " } @responders;
    my $front = $bench->nginx_with("upstream candhook { $servers keepalive 64; }", "include $bench->{dir}/nginx/fastcgi.conf;");
    # Their starts are no part of it.
    my $cpu = -$bench->cpu(map { $_->{pid} } @responders);
    my $load = $bench->load("http://127.0.0.1:$bench->{port}" . $bench->path, count => $events, prefix => 'a', timeout => 120,
        size => $setting->{size} // 300, communities => $setting->{communities} // 100);
    $cpu += $bench->cpu(map { $_->{pid} } @responders);
    $bench->stop($_) for $front, map { $_->{pid} } @responders;
    $load->{acknowledged} == $events or die "only $load->{acknowledged} of $events events were taken\n";
    return ($load, $cpu);
}

# The workers record and handle all that waits. Returns how long they took for it, and their CPU and the database's.
sub drain ($bench, $setting, $events) {
    my $dbname = $setting->{dbname} // 'candhook';
    my $begun = time;
    my $database = $bench->cpu($bench->{postmaster});
    my @workers = map { $bench->spawn('worker', { env => { CANDHOOK_CONF => conf_of($bench, $_) } }, $bench->program('candhook'), 'work') }
      1 .. $setting->{hosts} // 1;
    # Asked seldom, and not of the deliveries: to find that there are none costs more with each dead one.
    my $since = "received_at >= to_timestamp($setting->{sent_at}) - interval '1 second'";
    until (!(grep { my @left = glob "$_/*.seg"; @left } spools($bench))
        && $bench->sql("select count(*) from candhook.outcome where result = 'ok' and $since", dbname => $dbname) >= $events) {
        time - $begun < 600 or die "not all was handled in 600 s\n";
        sleep 0.4;
    }
    my %cpu = (program => $bench->cpu(@workers), database => $bench->cpu($bench->{postmaster}) - $database);
    $bench->stop($_) for @workers;
    my ($count, $recorded, $handled_at) = split /\|/, $bench->sql(<<"END", dbname => $dbname);
select count(*), extract(epoch from max(pg_xact_commit_timestamp(e.xmin))), extract(epoch from max(pg_xact_commit_timestamp(o.xmin)))
  from candhook.event e join candhook.outcome o on o.received_at = e.received_at and o.event_id = e.id and o.result = 'ok'
 where e.$since and pg_xact_commit_timestamp(e.xmin) >= to_timestamp($begun)
END
    $count == $events or die "of $events events $count were handled\n";
    return ($recorded - $begun, $handled_at - $begun, \%cpu);
}

# Measures one setting. CPU in ms for 1,000 events; where bodies differ in size, also for a MB of them.
sub measure ($bench, $setting, $default) {
    my $events = int(($setting->{events} // $default) * ($setting->{hosts} // 1));
    my $dbname = $setting->{dbname} // 'candhook';
    File::Path::remove_tree(spools($bench));
    my $tables = $setting->{rows} ? 'candhook.delivery, candhook_internal.spool_position' : 'candhook.event, candhook.outcome, candhook.delivery, candhook.malformed, candhook_internal.spool_position';
    $bench->sql("truncate $tables", dbname => $dbname) if !$setting->{keep};
    $bench->sql('checkpoint', dbname => $dbname);
    configure($bench, $setting);
    my ($load, $responder) = send_all($bench, $setting, $events);
    my ($recorded, $handled, $cpu) = drain($bench, { %$setting, sent_at => $load->{begun} }, $events);
    my $per = 1e6 / $events;
    my $sum = $responder + $cpu->{program} + $cpu->{database};
    return {
        answers => $load->{acknowledged_per_second}, recorded => $events / $recorded, handled => $events / $handled,
        cpu_responder => $responder * $per, cpu_worker => $cpu->{program} * $per, cpu_database => $cpu->{database} * $per, cpu => $sum * $per,
        mb => $events * ($setting->{size} // 300) / 1e6, cpu_mb => $sum * 1e3 / ($events * ($setting->{size} // 300) / 1e6)
    };
}

# A group once: all of its settings.
sub round ($bench, $group, $plan, $say) {
    my $held;
    for my $setting (@{ $group->{settings} }) {
        # Its snapshot is older than all that is recorded and deleted from now on.
        if ($setting->{held} && !$held) {
            $bench->sql('truncate candhook.delivery');
            $held = $bench->psql_session;
            $held->query('begin isolation level repeatable read; select count(*) from candhook.handler;');
        }
        # What must not wait for that transaction: so tables are emptied by it only before.
        my %one = %$setting;
        $one{keep} = 1 if $held;
        my $got = eval { measure($bench, \%one, $plan->{events}) };
        $say->($setting, $got, $@);
        push @{ $setting->{rounds} }, $got if $got;
    }
    $held->close if $held;
}

sub of ($setting, $what) { return Bench::Figures::median(map { $_->{$what} } @{ $setting->{rounds} // [] }) }

# How much more the last costs than the first: for an event, or, where the work grows with the size, for a MB more.
sub growth ($group) {
    my @measured = grep { $_->{rounds} } @{ $group->{settings} };
    return undef if @measured < 2;
    return of($measured[-1], 'cpu') / of($measured[0], 'cpu') if !$group->{by};
    # The cheapest MB of bodies that are large themselves.
    my @large = @measured[ 1 .. $#measured ];
    return of($large[-1], 'cpu_mb') / of($large[0], 'cpu_mb');
}

sub grows ($group) { return (growth($group) // 0) > ($group->{allowed} // 1.3) }

sub table ($group) {
    my $format = "    %-35s %9s %11s %10s %14s %9s\n";
    my @lines = (sprintf($format, $group->{title}, 'answers/s', 'recorded/s', 'handled/s', 'CPU ms/1,000', $group->{by} ? 'ms/MB' : ''));
    for my $setting (grep { $_->{rounds} } @{ $group->{settings} }) {
        my $get = sub ($what) { Bench::Report::number(of($setting, $what), 0) };
        push @lines, sprintf $format, $setting->{title}, (map { $get->($_) } qw(answers recorded handled)),
          join('+', map { $get->("cpu_$_") } qw(responder worker database)), $group->{by} ? Bench::Report::number(of($setting, 'cpu_mb'), 0) : '';
    }
    my $growth = growth($group);
    push @lines, sprintf "    the last costs %.2f times the first, %s\n", $growth, $group->{by} ? 'for a MB, 300 bytes left out' : 'for an event'
      if defined $growth;
    return join '', map { s/ +$//mr } @lines;
}

1;
