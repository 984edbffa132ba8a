# SPDX-License-Identifier: ISC
#
# The work for a batch depends on the batch, not on what waits. Plans are made once a session and kept (generic), so here
# they are made when the planner has every reason to believe that there is next to nothing, and then a lot waits:
# auto_explain tells how many rows each step of each statement touched, and none may touch many more than a batch holds.
# A join that compares all with all, or looks at all that waits, shows at once.
use v5.36;
use Test::More;
use SqlRig;

my $batch = 100;
my $waiting = 3000;
my $rig = SqlRig->new;
$rig->handler('note', needs_token => 1);
$rig->handler('hook', kind => 'exec', target => 'hook', needs_token => 1);
$rig->handler('ordered', kind => 'exec', target => 'ordered', ordered_by => 'community');
$rig->sql("select candhook.set_bot_token('G' || n, 'token') from generate_series(1, 20) n");

# Records so many events, of communities with and without a token.
sub put ($session, $count) {
    $session->query(qq{select count(t.put(t.event('product.created', '{}', 'G' || n % 22))) from generate_series(1, $count) n;});
}

my $columns = join ', ', (map { "array_fill('$_'::text, array[$batch])" } qw(MOIM product.created G1 U C P {})), "array_fill(null::text, array[$batch])";

# A batch that is recorded and run at once; a claim, and all that follows it, for each handler; what could not be run is given back.
my $round = <<"END";
select count(*) from candhook_internal.record('{}', '{}', array(select t.id() from generate_series(1, $batch)), $columns, '{}', '{}', '{}', true, '{}');
select distinct lease as lease from candhook_internal.claim('w', $batch, '{sql}') \\gset
select count(*) from candhook_internal.run_sql(:lease);
select distinct lease as lease, array_agg(event_id) as ids from candhook_internal.claim('w', $batch, '{exec}', '{ordered}') group by 1 \\gset
select count(candhook_internal.finish(:lease, :'ids', array_fill('retry'::text, array[$batch]), array_fill('x'::text, array[$batch]),
                             array_fill(now(), array[$batch]), array_fill(now(), array[$batch])));
select distinct lease as lease from candhook_internal.claim('w', $batch, '{exec}', '{hook}') \\gset
select candhook_internal.renew(:lease);
select candhook_internal.give_back(:lease);
select candhook_internal.due_in();
END

# The steps of the plans in a text that touched more rows than LIMIT, all passes together, or threw so many away.
sub excesses ($text, $limit) {
    my ($query, @found) = ('');
    for my $line (split /\n/, $text) {
        $query = $1 if $line =~ /Query Text: (.{0,60})/;
        my ($rows, $loops) =
            $line =~ /actual rows=(\d+) loops=(\d+)/ ? ($1, $2)
          : $line =~ /Rows Removed by [\w ]*: (\d+)/ ? ($1, 1)
          :                                            next;
        push @found, "$query: $line" if $rows * $loops > $limit || $loops > $limit;
    }
    return @found;
}

# The plans are made when little but what is held is left of a queue, and the planner has been told so.
my $session = $rig->psql_session;
put($session, 2 * $batch);
$session->query($round);
$rig->sql(q{delete from candhook.delivery where handler <> 'hook' or not held});
$rig->sql("vacuum analyze candhook.$_") for qw(delivery event outcome);
$session->close;
$session = $rig->psql_session;
put($session, 30);
$session->query($round);

put($session, $waiting);
cmp_ok $rig->sql('select count(*) from candhook.delivery'), '>', 2 * $waiting, 'then a lot waits';
$session->query(<<'END');
load 'auto_explain';
set auto_explain.log_min_duration = 0;
set auto_explain.log_nested_statements = on;
set auto_explain.log_analyze = on;
set auto_explain.log_timing = off;
set client_min_messages = log;
END
my $said = $session->query($round);
cmp_ok scalar(() = $said =~ /Query Text/g), '>', 30, 'auto_explain tells about the statements';
is join("\n", excesses($said, 3 * $batch)), '', 'no step of a claim or a run touches more than its batch';
cmp_ok scalar(excesses($said, $batch / 2)), '>', 10, 'and the test sees what is touched';

# ---- the console: what asks for one event, or for the newest of something, looks at no others ----
my $some = $rig->sql('select id from candhook.event order by received_at limit 1 offset 1000');
$rig->sql("insert into candhook.outcome (event_id, received_at, handler, attempt, result, finished_at)
           select id, received_at, 'hook', 99, 'failed', now() from candhook.event order by received_at limit 10");
for my $question ([ event => qq{{"id":"$some"}} ], [ body => qq{{"id":"$some"}} ], [ events => qq{{"id":"$some"}} ], [ events => '{"handler":"note","result":"ok"}' ], [ failures => '{}' ], [ failures => '{"handler":"hook"}' ], [ audit => '{}' ], [ malformed => '{}' ], [ tokens => '{}' ]) {
    my ($path, $asked) = @$question;
    $said = $session->query("select status from candhook_internal.web('$path', '$asked', 'anna', true);");
    like $said, qr/^200$/m, "the console: $path $asked";
    # A slice of events that is looked at has 2,000.
    is join("\n", excesses($said, $path eq 'events' && $asked !~ /id/ ? 2 * 2000 : $path eq 'tokens' ? $waiting : 3 * $batch)), '', 'touches few rows';
    # The id is the second column of the key: alone it reads all of the index, and rows do not show that.
    unlike $said, qr/Index Cond: \(id = |Filter: \(received_at = .*get_byte/, 'and finds them by the whole key';
}

$said = $session->query(q{select count(*) from candhook.delivery;});
cmp_ok scalar(excesses($said, 3 * $batch)), '>', 0, 'it would see a look at everything';
$session->close;
done_testing;
