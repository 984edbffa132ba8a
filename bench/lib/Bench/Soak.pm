# SPDX-License-Identifier: ISC
#
# A long load at a steady rate, with handlers of all kinds, of which some fail now and then; and what grows meanwhile.
#
# The events come in by the clock, a load generator for each type: 80 of 100 are for a function in SQL, 10 for one in C, 8 for
# an http service (nginx), 2 for a program. One of 100 or so is to be tried again, of every kind.
package Bench::Soak;
use v5.36;

use Bench::Figures ();
use Time::HiRes    qw(sleep time);

our @parts = ([ sql => 0.80 ], [ c => 0.10 ], [ http => 0.08 ], [ exec => 0.02 ]);

# What is looked at each time: title, and how much more it may be in the last third than in the first: so many times, and so
# much besides.
our @columns = (
    { key => 'responder_kb', title => 'responder kB',  times => 1.1,  more => 256 },
    { key => 'recorder_kb',  title => 'recorder kB',   times => 1.1,  more => 256 },
    { key => 'runners_kb',   title => 'runners kB',    times => 1.1,  more => 512 },
    { key => 'backends_kb',  title => 'backends kB',   times => 1.1,  more => 1024 },
    # nginx keeps up to 64 connections open to the responder; the runners some to the http service, and pipes.
    { key => 'responder_fds', title => 'its files',    times => 1,    more => 64 },
    { key => 'worker_fds',   title => "worker's files", times => 1,   more => 20 },
    { key => 'table_kb',     title => 'delivery kB',   times => 1.25, more => 1024 },
    { key => 'index_kb',     title => 'its indexes kB', times => 1.25, more => 1024 },
    { key => 'dead',         title => 'dead rows',     times => 1.5,  more => 2000 },
    { key => 'waiting',      title => 'unfinished',    times => 1.5,  more => 200 },
    { key => 'answer_p99',   title => 'answer p99 ms', times => 1.5,  more => 2 },
    { key => 'recorded_p99', title => 'recorded p99',  times => 1.5,  more => 20 },
    { key => 'handled_p99',  title => 'handled p99',   times => 1.5,  more => 20 },
);

sub handlers ($bench) {
    my $dir = $bench->{dir};
    $bench->sql(<<'END');
create function app.now_and_then(event candhook.event, bot_token text) returns text language plpgsql as $$
begin
    if random() < 0.01 then
        raise exception 'now and then this fails';
    end if;
    return 'looked at ' || (event.payload ->> 'id');
end $$;
END
    $bench->write_file('soak.c', <<'END');
#include <candhook/handler.h>
#include <stdlib.h>
candhook_handler candhook_handle;
enum candhook_result candhook_handle(const struct candhook_call *call)
{
    if (call->attempt == 1 && random() % 100 == 0)
        return candhook_answer(call, CANDHOOK_RETRY, "now and then this fails");
    return candhook_answer(call, CANDHOOK_OK, "looked at %s", candhook_payload(call, "id"));
}
END
    my $built = "$dir/handlers/soak.so";
    system(split(' ', $ENV{CC} // 'cc'), '-shared', '-fPIC', '-I' . Rig::source_path('include'), '-o', $built, "$dir/soak.c") == 0
      or die "cannot compile a handler\n";
    $bench->own($built);
    $bench->write_file('handlers/soak.sh', "#!/bin/sh\ncat >/dev/null\n[ \$((\$\$ % 100)) != 7 ] || exit 75\necho looked\n", 0755);
    my %target = (sql => 'app.now_and_then', c => 'soak.so', exec => 'soak.sh', http => "http://127.0.0.1:$bench->{port}/shop");
    $bench->sql("select candhook.add_handler('soak $_', 'MOIM', 'soak.$_', '$_', '$target{$_}', needs_token => true, first_delay => '2 seconds')")
      for sort keys %target;
}

# All of candhook, and nginx, which also is the service that the http handler calls: one of 128 calls is refused.
sub begin ($bench) {
    $bench->{worker} = $bench->start_worker;
    $bench->{socket} = "$bench->{dir}/candhook.sock";
    $bench->{responder} = $bench->spawn('responder', $bench->program('candhook.fcgi'), '--no-worker', '--listen', $bench->{socket});
    $bench->wait_for_socket($bench->{responder}, $bench->{socket});
    $bench->{answering} = $bench->answering_pid($bench->{responder});
    $bench->copy_shipped(Rig::source_path('nginx/fastcgi.conf'), 'nginx/fastcgi.conf') if $bench->make_folder('nginx');
    $bench->nginx_with(<<"END", "include $bench->{dir}/nginx/fastcgi.conf; location /shop { if (\$now_and_then) { return 503; } return 200; }");
split_clients \$request_id \$now_and_then { 0.8% 1; * ""; }
upstream candhook { server unix:$bench->{socket}; keepalive 32; }
END
    handlers($bench);
}

sub descriptors ($pid) {
    my @open = glob "/proc/$pid/fd/*";
    return scalar @open;
}

# Private memory in kB of the database's processes that serve candhook: what they share counts for nobody.
sub backends ($bench) {
    my $sum = 0;
    for my $pid (split /\n/, $bench->sql("select pid from pg_stat_activity where application_name = 'candhook'")) {
        open my $in, '<', "/proc/$pid/status" or next;
        while (my $line = <$in>) {
            $sum += $1 if $line =~ /^RssAnon:\s+(\d+)/;
        }
    }
    return $sum;
}

# Parts of the time from receipt to the commits of event and first outcome, of what came in between two moments; of what is not
# handled yet, until now.
sub delays ($bench, $from, $to) {
    my ($recorded, $handled) = split /\|/, $bench->sql(<<"END");
select percentile_disc(0.99) within group (order by extract(epoch from pg_xact_commit_timestamp(e.xmin) - e.received_at) * 1000),
       percentile_disc(0.99) within group (order by extract(epoch from coalesce(pg_xact_commit_timestamp(o.xmin), clock_timestamp())
                                                                   - e.received_at) * 1000)
  from candhook.event e
  left join candhook.outcome o on o.received_at = e.received_at and o.event_id = e.id and o.attempt = 1
 where e.received_at >= to_timestamp($from) and e.received_at < to_timestamp($to)
END
    return (0 + ($recorded || 0), 0 + ($handled || 0));
}

sub sample ($bench, $from, $to) {
    my @runners = grep { $_ != $bench->{worker} } $bench->workers;
    my ($table, $index, $dead, $waiting) = split /\|/, $bench->sql(<<'END');
select pg_relation_size('candhook.delivery') / 1024, pg_indexes_size('candhook.delivery') / 1024,
       (select n_dead_tup from pg_stat_user_tables where relid = 'candhook.delivery'::regclass),
       (select count(*) from candhook.delivery)
END
    my $runner_kb = 0;
    my $descriptors = descriptors($bench->{worker});
    for my $runner (@runners) {
        $runner_kb += $bench->memory_alone($runner);
        $descriptors += descriptors($runner);
    }
    my ($recorded, $handled) = delays($bench, $from, $to);
    return {
        responder_kb => $bench->memory_alone($bench->{answering}), recorder_kb => $bench->memory_alone($bench->{worker}), runners_kb => $runner_kb,
        backends_kb => backends($bench), responder_fds => descriptors($bench->{answering}), worker_fds => $descriptors,
        table_kb => $table, index_kb => $index, dead => $dead, waiting => $waiting, recorded_p99 => $recorded, handled_p99 => $handled
    };
}

sub start_loads ($bench, $seconds, $rate, $every) {
    my $url = "http://127.0.0.1:$bench->{port}" . $bench->path;
    return map {
        my ($kind, $part) = @$_;
        $bench->load_start($url, seconds => $seconds, rate => $rate * $part, prefix => "soak-$kind", type => "soak.$kind", every => $every)
    } @parts;
}

sub nothing_left ($bench) {
    my @segments = glob "$bench->{dir}/spool/*.seg";
    return !@segments && $bench->sql('select exists (select from candhook.delivery)') eq 'f';
}

# Goes on for so many seconds; $say is given each sample as it comes. Returns samples, the loads' results, and what is
# left behind.
sub run ($bench, $seconds, $rate, $every, $say) {
    begin($bench);
    my @samples;
    my $begun = time;
    my @loads = start_loads($bench, $seconds, $rate, $every);
    for my $number (1 .. int($seconds / $every)) {
        my $at = $begun + $number * $every;
        sleep $at - time if $at > time;
        # A second behind, so that what is asked for is all there.
        push @samples, { at => $number * $every, %{ sample($bench, $at - $every - 1, $at - 1) } };
        my ($stretch) = stretches($loads[0]);
        $samples[-1]{answer_p99} = $stretch->[ $number - 1 ]{p99_ms} // ($stretch->[-1] // {})->{p99_ms};
        $say->($samples[-1]);
    }
    my %result = (samples => \@samples, acknowledged => 0, sent => 0, refused => 0, broken => 0, late => 0, lost => 0);
    for my $load (@loads) {
        my $one = $bench->load_end($load);
        $result{$_} += $one->{$_} for qw(acknowledged sent refused broken late);
        push @{ $result{loads} }, $one;
    }
    $result{finished} = eval { $bench->wait_until(sub { nothing_left($bench) }, 'all is handled', 120) } ? 1 : 0;
    for my $number (0 .. $#parts) {
        $result{lost} += $bench->lost({ tables => 'candhook' }, $result{loads}[$number], "soak-$parts[$number][0]");
    }
    $result{outcomes} = { map { split /\|/, $_, 2 } split /\n/, $bench->sql('select result, count(*) from candhook.outcome group by 1') };
    return \%result;
}

# The lines that a load generator has printed so far.
sub stretches ($load) {
    open my $in, '<', "/proc/$$/fd/" . fileno $load->{out} or return [];
    return [ map { JSON::PP::decode_json($_) } grep { /\}$/ } <$in> ];
}

# ---- the judgement ----

# The medians of the three thirds of the time after the warm-up (a tenth).
sub thirds ($samples, $key) {
    my @values = map { $_->{$key} } @$samples[ int(@$samples / 10) .. $#$samples ];
    my $third = int(@values / 3) || 1;
    return map { Bench::Figures::median(@$_) } [ @values[ 0 .. $third - 1 ] ], [ @values[ $third .. $#values - $third ] ], [ @values[ -$third .. -1 ] ];
}

# For each column: its thirds, and whether it is flat. What grows with time goes on to grow: from the second third to the last
# by about half of what it grew in all; a third of what is allowed in all is noise there. What only stepped up once, as memory
# does when a stall made many wait, is flat.
sub judge ($samples) {
    return map {
        my ($first, $second, $last) = thirds($samples, $_->{key});
        my $allowed = $first * ($_->{times} - 1) + $_->{more};
        +{ %$_, first => $first, last => $last, flat => $last - $first <= $allowed || $last - $second <= $allowed / 3 ? 1 : 0 }
    } @columns;
}

1;
