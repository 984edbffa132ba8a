# SPDX-License-Identifier: ISC
#
# candhook_internal.maintain: months ahead, default partitions that are emptied, old positions; and several workers at once.
use v5.36;
use Test::More;
use SqlRig;

my $rig = SqlRig->new;
my @tables = qw(event outcome malformed);

sub partitions ($parent) {
    return $rig->sql("select string_agg(inhrelid::regclass::text, ' ' order by 1) from (select inhrelid from pg_inherits where inhparent = 'candhook.$parent'::regclass order by inhrelid::regclass::text) x");
}

my $months = q{select string_agg('candhook_internal.%s_' || to_char(date_trunc('month', now() at time zone 'UTC') + n * interval '1 month', 'YYYY_MM'), ' ' order by n) || ' candhook_internal.%1$s_default'
               from generate_series(-1, 3) n};

# ---- after the installation ----
for my $table (@tables) {
    is partitions($table), $rig->sql(sprintf $months, $table), "$table: from the month before to three months ahead";
}
is $rig->sql('select * from candhook_internal.maintain()'), '', 'nothing to do, nothing to say';
my ($month) = $rig->sql(q{select to_char(now() at time zone 'UTC' + interval '1 month', 'YYYY_MM')});
is $rig->sql(qq{select pg_get_expr(relpartbound, oid) = format('FOR VALUES FROM (%L) TO (%L)', to_char(m, 'YYYY-MM-DD') || ' 00:00:00+00', to_char(m + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00')
                from pg_class, to_timestamp('$month', 'YYYY_MM') as m where relname = 'event_$month'}), 't', 'months begin and end in UTC';
my $id = $rig->sql('select t.put(t.event($$x$$))');
is $rig->sql(q{select tableoid::regclass::text ~ '_\d{4}_\d\d$' from candhook.event}), 't', 'events go to their month';

# ---- a month that is missing, its rows in the default partition ----
$rig->sql("drop table candhook_internal.${_}_$month") for @tables;
$rig->handler('note');
my ($ahead) = $rig->sql(q{select (extract(epoch from date_trunc('month', now() at time zone 'UTC') + interval '1 month 3 days' - now() at time zone 'UTC') * 1000)::bigint});
my @ids = split /\n/, $rig->sql("select t.put(t.event(), t.id($ahead)) from generate_series(1, 3)");
$rig->sql("select t.put('broken', t.id($ahead)); select t.put(t.event('nobody.cares'), t.id($ahead))");
is $rig->sql(join ' union all ', map { "select count(*) from candhook_internal.${_}_default" } @tables), "4\n1\n1", 'rows of a month without partition land in the default one';
$rig->work;
is $rig->sql('select count(*) from candhook_internal.outcome_default'), 4, 'and are worked on as any others';
my $said = $rig->sql('select * from candhook_internal.maintain()');
is $said, join("\n", map { "made partition $_->[0]_$month of $_->[0] and moved $_->[1] rows there from the default partition" } [ event => 4 ], [ outcome => 4 ], [ malformed => 1 ]), 'maintain makes the month, moves them, and says so';
is $rig->sql(join ' union all ', map { "select count(*) from candhook_internal.${_}_default" } @tables), "0\n0\n0", 'nothing is left behind';
is $rig->sql("select count(*) from candhook_internal.event_$month e where candhook.body(e) is not null"), 4, 'they are there';
$rig->sql("select t.put(t.event(), '$ids[0]')");
is $rig->sql('select count(*) from candhook.delivery'), 0, 'and still known by their ids';
is $rig->sql("select count(*) from pg_constraint where conrelid = 'candhook_internal.event_$month'::regclass and contype = 'c'"),
  $rig->sql("select count(*) from pg_constraint where conrelid = 'candhook.event'::regclass and contype = 'c'"), 'with all constraints';
is $rig->sql("select indisprimary from pg_index where indrelid = 'candhook_internal.event_$month'::regclass"), 't', 'and the key';

# ---- a wrong clock ----
$rig->sql(q{select t.put(t.event(), '00000000-0001-7000-8000-000000000001'); select t.put(t.event(), 'ffffffff-ffff-7000-8000-000000000001')});
is $rig->sql('select count(*) from candhook_internal.event_default'), 2, 'events of a wrong clock are recorded';
like $rig->sql('select * from candhook_internal.maintain()'), qr/^made partition event_1970_01 of event and moved 1 rows there from the default partition; was a clock wrong\?$/, 'they move to a month of their own, and it is said';
like $rig->sql('select * from candhook_internal.maintain()'), qr/event_10889_08/, 'one month a call';
is $rig->sql('select * from candhook_internal.maintain()'), '', 'once';
$rig->work;
is $rig->sql(q{select result from candhook.recent where received_at > '2100-01-01'}), 'ok', 'and worked on';
$rig->sql('select count(*) from candhook_internal.maintain()') for 1 .. 2;

# ---- dropping an old month ----
$rig->sql('drop table candhook_internal.event_1970_01');
is $rig->sql("select count(*) from candhook.recent where received_at < '2000-01-01'"), 0, 'an old month can be dropped whole';

# ---- locks ----
$rig->sql("drop table candhook_internal.event_$month");
my ($one, $two) = map { $rig->psql_session } 1, 2;
$one->query('begin; lock table candhook_internal.event_default in access share mode;');
is $rig->sql(q{select * from candhook_internal.maintain()}), "partition event_$month not made yet: others hold locks; next time", 'it does not wait for long, and says so';
$one->query('commit;');
$one->query('begin; select from candhook_internal.maintain();');
is $two->query('select * from candhook_internal.maintain();'), '', 'two at once: the second leaves it to the first';
$one->query('commit;');
is partitions('event') =~ /event_$month/, 1, 'made';

# ---- old positions ----
$rig->sql(q{insert into candhook_internal.spool_position values (t.id(), 1, now() - interval '91 days'), (t.id(), 1, now() - interval '89 days')});
is $rig->sql('select * from candhook_internal.maintain()'), 'forgot 1 spool positions that nobody had touched for 90 days', 'old positions go';
is $rig->sql('select count(*) from candhook_internal.spool_position'), 1, 'others stay';

$_->close for $one, $two;
done_testing;
