#!/usr/bin/env perl
# SPDX-License-Identifier: ISC
#
# The benchmark's load generator counts right: what it says was answered, refused and acknowledged is what the server saw
# and the spool holds. Nothing here is a matter of time.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench/lib";
use Bench;
use Test::More;

-x Rig::build_path('bench/load') or plan skip_all => 'bench/load is not built: make bench/load';
Rig->have('nginx') or plan skip_all => 'nginx is not installed';

my $rig = Bench->new;
$rig->cluster;
$rig->conf;
$rig->schema;
my $responder = $rig->responder;
$rig->nginx(server => 'location /no { return 503; }');
my $url = "http://127.0.0.1:$rig->{port}";

# Both loops, with and without kept connections: each event once, in the spool, under its own number.
my @loads = (
    [ closed => { count => 1000, connections => 7 } ],
    [ again  => { count => 300,  connections => 5, first => 5000 } ],
    [ open   => { count => 200,  rate => 2000 } ],
    [ single => { count => 100,  connections => 3, no_keep_alive => 1, communities => 3 } ],
    [ large  => { count => 20,   connections => 2, size => 900_000 } ],
);
for my $case (@loads) {
    my ($prefix, $option) = @$case;
    my $got = $rig->load($url . $rig->path, %$option, prefix => $prefix);
    is_deeply $got->{answers}, { 200 => $option->{count} }, "$prefix: all are answered with 200";
    is "$got->{acknowledged} $got->{sent} $got->{refused} $got->{broken} $got->{late}", "$option->{count} $option->{count} 0 0 0",
      "$prefix: and counted";
    my $first = $option->{first} // 0;
    is $rig->read_file("acknowledged/$prefix"), $first . ' ' . ($first + $option->{count} - 1) . "\n", "$prefix: one range of numbers";
    cmp_ok $got->{p50_ms}, '<=', $got->{p99_ms}, "$prefix: half is not slower than nearly all";
    cmp_ok $got->{p99_ms}, '<=', $got->{max_ms}, "$prefix: nearly all are not slower than the slowest";
}
my $sum = 0;
$sum += $_->[1]{count} for @loads;
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.event') >= $sum }, 'all is recorded', 120);
for my $case (@loads) {
    my ($prefix, $option) = @$case;
    my $found = $rig->sql("select count(*), count(distinct payload ->> 'id') from candhook.event where payload ->> 'id' like '$prefix-%'");
    is $found, "$option->{count}|$option->{count}", "$prefix: each is recorded once";
    my $load = { acknowledged_file => "$rig->{dir}/acknowledged/$prefix" };
    is $rig->lost({ tables => 'candhook' }, $load, $prefix), 0, "$prefix: none is lost";
}
is $rig->sql("select count(distinct origin_community_id) from candhook.event where payload ->> 'id' like 'single-%'"), 3,
  'there are as many communities as were asked for';
is $rig->sql("select octet_length(payload ->> 'text') between 899000 and 900000 from candhook.event where payload ->> 'id' like 'large-%' limit 1"),
  't', 'and bodies as large';

# A loss is seen.
$rig->sql("delete from candhook.event where payload ->> 'id' in ('closed-0000000003', 'closed-0000000999')");
is $rig->lost({ tables => 'candhook' }, { acknowledged_file => "$rig->{dir}/acknowledged/closed" }, 'closed'), 2,
  'what is not in the database is counted as lost';

# What is no 2xx is no acknowledgement; neither is what nobody answers.
my $no = $rig->load("$url/no", count => 50, connections => 4, prefix => 'no');
is_deeply $no->{answers}, { 503 => 50 }, 'a 503 is counted';
is $no->{acknowledged}, 0, 'and not as an acknowledgement';
is $rig->read_file('acknowledged/no'), '', 'of which there are none';
my $port = Rig::Front::free_port();
my $nobody = $rig->load("http://127.0.0.1:$port/", count => 5, connections => 1, prefix => 'nobody');
is "$nobody->{sent} $nobody->{refused} $nobody->{acknowledged}", '5 5 0', 'where nobody listens, all is refused';

# Through the end of the program: what was answered before is in the spool, what came after is not acknowledged.
my $load = $rig->load_start($url . $rig->path, seconds => 4, rate => 300, prefix => 'killed', timeout => 2);
select undef, undef, undef, 1;
$rig->kill9($responder);
my $cut = $rig->load_end($load);
cmp_ok $cut->{answers}{502} // 0, '>', 0, 'after kill -9 the front answers 502';
cmp_ok $cut->{acknowledged}, '>', 0, 'before it, events were acknowledged';
is $cut->{acknowledged} + $cut->{answers}{502} + $cut->{refused} + $cut->{broken} + $cut->{late}, $cut->{sent}, 'everything that was sent is accounted for';
$rig->wait_until(sub { $rig->lost({ tables => 'candhook' }, $cut, 'killed') == 0 }, 'none of the acknowledged is lost', 60);
pass 'none of the acknowledged is lost';

for my $wrong ([ 'http://192.0.2.1:80/' ], [ 'http://127.0.0.1/' ], [ '--rate=x', 'http://127.0.0.1:1/' ], []) {
    my ($status) = $rig->run({}, $rig->program('load'), @$wrong);
    is $status, 64, "refused: load @$wrong";
}
done_testing;
