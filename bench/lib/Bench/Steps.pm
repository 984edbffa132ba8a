# SPDX-License-Identifier: ISC
#
# The measurements. Each begins with empty tables and an empty spool, starts its contender anew, and ends it.
package Bench::Steps;
use v5.36;

use Time::HiRes qw(sleep time);

# Before anything is counted: connections are made, caches and children are there. Returns how many were acknowledged.
sub warm_up ($bench, $running, $count = 300) {
    my $load = $bench->load($running->{url}, count => $count, connections => $running->{connections}, prefix => 'warm', timeout => 20);
    $bench->wait_done($running, $load->{acknowledged}) if $running->{kind} ne 'ceiling';
    return $load->{acknowledged};
}

sub cpu_now ($bench, $running) {
    return {
        front    => $bench->cpu($bench->server_pids($running, qw(nginx apache))),
        program  => $bench->cpu(map { $_->{pid} } grep { $_->{name} !~ /^(?:nginx|apache)$/ } @{ $running->{servers} }),
        database => $bench->cpu($bench->{postmaster}),
    };
}

# A closed loop of 64 connections for so many seconds, and all that it leads to, until nothing is left to do.
sub throughput ($bench, $name, $seconds) {
    $bench->clear;
    my $running = $bench->begin($name);
    my $ceiling = $running->{kind} eq 'ceiling';
    my $warm = warm_up($bench, $running);
    my $before = cpu_now($bench, $running);
    my $load = $bench->load_start($running->{url}, seconds => $seconds, connections => $running->{connections}, prefix => 'a', timeout => 20);
    sleep 0.75 * $seconds;
    my %memory = map { $_->{name} => $bench->memory($_->{pid}) } @{ $running->{servers} };
    my $result = $bench->load_end($load);
    my $complete = $ceiling || $bench->wait_done($running, $warm + $result->{acknowledged});
    my $after = cpu_now($bench, $running);
    my %result = (
        answers   => $result->{acknowledged_per_second},
        p50       => $result->{p50_ms},
        p99       => $result->{p99_ms},
        memory_kb => 0,
        memory    => \%memory,
        refused   => $result->{sent} - $result->{acknowledged},
        acknowledged => $result->{acknowledged},
    );
    $result{memory_kb} += $_ for values %memory;
    my $per = $result->{acknowledged};
    if (!$ceiling) {
        my $tally = $bench->tally($running, 'a');
        $per = $tally->{outcome}{count};
        $result{recorded} = rate($tally->{event}, $result->{begun});
        $result{handled} = rate($tally->{outcome}, $result->{begun});
        $result{left} = $bench->lost($running, $result, 'a', 'outcome');
        $result{lost} = $bench->lost($running, $result, 'a');
        $result{complete} = $complete ? 1 : 0;
    }
    for my $part (qw(front program database)) {
        $result{"cpu_$part"} = $per ? ($after->{$part} - $before->{$part}) * 1e6 / $per : 0;
    }
    $result{cpu} = $result{cpu_front} + $result{cpu_program} + $result{cpu_database};
    $bench->finish($running);
    return \%result;
}

sub rate ($counted, $begun) {
    return 0 if !$counted->{count} || $counted->{last} <= $begun;
    return $counted->{count} / ($counted->{last} - $begun);
}

# Waits until nothing changes any more, and returns how many acknowledged events are not there.
sub settled_loss ($bench, $running, $load) {
    my ($last, $moved) = ('', time);
    # The worker may wait that long before it tries the database again.
    my $patience = $running->{kind} eq 'candhook' ? 15 : 5;
    while (1) {
        my $now = join '|', $bench->rows($running);
        ($last, $moved) = ($now, time) if $now ne $last;
        if (time - $moved > 1.5) {
            my $lost = $bench->lost($running, $load, 'a');
            return $lost if !$lost || time - $moved > $patience;
        }
        sleep 0.3;
    }
}

sub loss_result ($load, $lost) {
    return { acknowledged => $load->{acknowledged}, refused => $load->{sent} - $load->{acknowledged}, lost => $lost };
}

# kill -9 of the program (not of the front, not of the database) in the middle of a load; what has a spool may look at it
# afterwards, what answers later is not started again.
sub killed ($bench, $name, $seconds) {
    $bench->clear;
    my $running = $bench->begin($name);
    warm_up($bench, $running);
    my $load = $bench->load_start($running->{url}, seconds => $seconds + 0.3, connections => $running->{connections}, prefix => 'a', timeout => 3);
    sleep $seconds;
    $bench->kill_program($running);
    my $result = $bench->load_end($load);
    $bench->start_worker($running) if $running->{kind} eq 'candhook';
    my $lost = settled_loss($bench, $running, $result);
    $bench->finish($running);
    return loss_result($result, $lost);
}

# The database is stopped for some seconds in the middle of a load, and started again.
sub database_stopped ($bench, $name, $seconds, $around) {
    $bench->clear;
    my $running = $bench->begin($name);
    warm_up($bench, $running);
    my $load = $bench->load_start($running->{url}, seconds => $seconds + 2 * $around, connections => $running->{connections}, prefix => 'a', timeout => 20);
    sleep $around;
    $bench->pg_stop;
    sleep $seconds;
    $bench->pg_start;
    my $result = $bench->load_end($load);
    my $lost = settled_loss($bench, $running, $result);
    $bench->finish($running);
    return loss_result($result, $lost);
}

# Events by the clock: how long until the answer, the commit of the event, and that of its outcome, and the CPU for one. What was
# not answered has no such time, so it is no measurement unless all were, and were handled.
sub open_loop ($bench, $name, $events_a_second, $seconds) {
    $bench->clear;
    my $running = $bench->begin($name);
    my $warm = warm_up($bench, $running);
    my $before = cpu_now($bench, $running);
    my $load = $bench->load($running->{url}, seconds => $seconds, rate => $events_a_second, prefix => 'a');
    $bench->wait_done($running, $warm + $load->{acknowledged});
    my $after = cpu_now($bench, $running);
    my $delays = $bench->delays($running, 'a');
    my $left = $bench->lost($running, $load, 'a', 'outcome');
    $bench->finish($running);
    $load->{acknowledged} && $load->{acknowledged} == $load->{sent} && !$left
      or die "of $load->{sent} events $load->{acknowledged} were answered 2xx, and $left of these were not handled\n";
    return {
        answer_p50 => $load->{p50_ms}, answer_p99 => $load->{p99_ms}, answer_max => $load->{max_ms},
        recorded_p50 => $delays->{event}{p50},   recorded_p99 => $delays->{event}{p99},
        handled_p50  => $delays->{outcome}{p50}, handled_p99  => $delays->{outcome}{p99},
        map { ("cpu_$_" => ($after->{$_} - $before->{$_}) * 1e6 / $load->{acknowledged}) } qw(front program database)
    };
}

# So many events in the spool, and nobody has recorded them yet. Nothing runs afterwards.
sub fill_spool ($bench, $events) {
    my $running = $bench->begin('stopped-keep');
    my $load = $bench->load($running->{url}, count => $events, prefix => 'a');
    $bench->finish($running);
    $load->{acknowledged} == $events or die "only $load->{acknowledged} of $events events were taken\n";
}

# Records what waits in the spool. The handler runs, or is disabled: then deliveries are recorded, and wait. Events a second
# from the start of the worker to the last commit, and its memory on the way.
sub record_backlog ($bench, $events, $handle) {
    $bench->sql("select candhook.disable_handler('look')", dbname => $bench->{dbname} // 'candhook') if !$handle;
    my $begun = time;
    my $database_cpu = $bench->cpu($bench->{postmaster});
    my $worker = $bench->start_worker;
    my @memory;
    # A segment goes when all of it is recorded, so looking there costs the database nothing.
    while (my @left = glob "$bench->{dir}/spool/*.seg") {
        time - $begun < 300 or die "the backlog was not recorded in 300 s\n";
        sleep 0.25;
        push @memory, $bench->memory($worker);
    }
    my %cpu = (
        cpu_program  => $bench->cpu($worker) * 1e6 / $events,
        cpu_database => ($bench->cpu($bench->{postmaster}) - $database_cpu) * 1e6 / $events
    );
    my $recorded = $bench->sql('select count(*) from candhook.' . ($handle ? "outcome where result = 'ok'" : 'delivery'), dbname => $bench->{dbname} // 'candhook');
    $recorded == $events or die "of $events events in the spool, $recorded were recorded\n";
    my $last = $bench->sql('select extract(epoch from max(pg_xact_commit_timestamp(xmin))) from candhook.event where '
          . "received_at > now() - interval '1 hour'", dbname => $bench->{dbname} // 'candhook');
    $bench->stop($worker);
    $bench->sql("select candhook.enable_handler('look')", dbname => $bench->{dbname} // 'candhook');
    return { rate => $events / ($last - $begun), memory => \@memory, %cpu };
}

sub backlog ($bench, $events, $handle) {
    $bench->clear;
    fill_spool($bench, $events);
    return record_backlog($bench, $events, $handle);
}

# The same rows, with deliveries or outcomes, from a client that does nothing else.
sub database_ceiling ($bench, $events, $batch, $handle) {
    $bench->clear;
    my $cpu = $bench->cpu($bench->{postmaster});
    my ($status, $out, $err) =
      $bench->run({ seconds => 300 }, $bench->program('ceiling'), $bench->conninfo, $events, $batch, $handle ? 'outcome' : 'delivery');
    $status == 0 or die "ceiling: $err";
    return { rate => 0 + $out, cpu_database => ($bench->cpu($bench->{postmaster}) - $cpu) * 1e6 / $events };
}

# Events recorded a second under load, beside a second handler that sleeps so many seconds at every tenth event. What is left
# of its work is thrown away.
sub beside_sleeper ($bench, $seconds, $nap) {
    $bench->clear;
    $bench->sql(<<"END");
create or replace function app.nap(event candhook.event, bot_token text) returns text language plpgsql as \$\$
begin
    if event.payload ->> 'id' like '%0' then
        perform pg_sleep($nap);
    end if;
    return null;
end \$\$;
select candhook.add_handler('nap', 'MOIM', 'product.created', 'sql', 'app.nap');
END
    my $running = $bench->begin('candhook-keep');
    my $load = $bench->load($running->{url}, seconds => $seconds, prefix => 'a', timeout => 20);
    $bench->wait_until(sub { ($bench->rows($running))[0] >= $load->{acknowledged} }, 'all is recorded', 60);
    my $tally = $bench->tally($running, 'a');
    $bench->finish($running);
    $bench->sql(q{select candhook.remove_handler('nap')});
    return { rate => rate($tally->{event}, $load->{begun}), answers => $load->{acknowledged_per_second} };
}

# A second database whose table of events has so many rows, spread over the months until now.
sub make_large ($bench, $rows) {
    $bench->sql('create database large', dbname => 'postgres');
    $bench->conf(%{ $bench->{conf} }, database => $bench->conninfo(dbname => 'large'));
    $bench->candhook_ok('init');
    $bench->schema_contents(dbname => 'large');
    $bench->conf(%{ $bench->{conf} }, database => $bench->conninfo);
    my ($status, undef, $err) =
      $bench->run({ stdin => <<"END", seconds => 900 }, $bench->psql_command(dbname => 'large'), '-v', 'ON_ERROR_STOP=1');
set synchronous_commit = off;
select candhook_internal.make_partition('event', m::timestamp)
  from generate_series(date_trunc('month', now() at time zone 'UTC') - interval '3 months',
                       date_trunc('month', now() at time zone 'UTC') - interval '1 month', interval '1 month') m
 where to_regclass('candhook_internal.event_' || to_char(m, 'YYYY_MM')) is null;
insert into candhook.event (id, received_at, module, type, origin_community_id, user_id, community_id, profile_id, payload)
select (lpad(to_hex((extract(epoch from t) * 1000)::bigint), 12, '0') || '7' || substr(md5(i::text), 1, 3) || '8'
        || substr(md5(i::text), 4, 15))::uuid,
       t, 'MOIM', 'product.created', 'G' || lpad((i % 100 + 1)::text, 9, '0'), 'UAKDIJ23KD', 'G0IZUDWCL', 'UAKDIJ23KE',
       jsonb_build_object('id', 'fill-' || lpad(i::text, 10, '0'), 'text', 'article likes member points the of community')
  from (select i, date_trunc('milliseconds', now() - interval '90 days' * (1 - i / ($rows + 1.0))) as t
          from generate_series(1, $rows) i) s;
analyze candhook.event;
checkpoint;
END
    $status == 0 or die "psql: $err";
    return $bench->sql('select count(*) from candhook.event', dbname => 'large');
}

# Events recorded a second where the table is empty, and where it is large; in turn.
sub backlog_in ($bench, $database, $events) {
    $bench->clear;
    if ($database eq 'candhook') {
        fill_spool($bench, $events);
        return record_backlog($bench, $events, 0)->{rate};
    }
    $bench->sql('truncate candhook.delivery, candhook_internal.spool_position', dbname => $database);
    fill_spool($bench, $events);
    local $bench->{dbname} = $database;
    $bench->conf(%{ $bench->{conf} }, database => $bench->conninfo(dbname => $database));
    my $result = record_backlog($bench, $events, 0);
    $bench->conf(%{ $bench->{conf} }, database => $bench->conninfo);
    return $result->{rate};
}

1;
