# SPDX-License-Identifier: ISC
#
# The life of deliveries beside a simple model: random events, handlers that fail as often as each event says, batches whose first
# attempts are made at once or not, recorded twice, rolled back, or killed between any two steps; claims and runs that are
# killed; handlers paused, tokens stored late. In the end each handler has the outcomes that the model says, in unbroken
# numbers, effects are outcomes that are ok, and nothing is left.
#
#     SEED=n repeats a run
use v5.36;
use Test::More;
use SqlRig;

my $seed = $ENV{SEED} || time;
srand $seed;
diag "SEED=$seed";
my $rig = SqlRig->new;
my ($steps, $attempts) = (140, 6);

# A handler fails as often as the payload says under its name; lost attempts are not its failures.
my %handler = (
    one => { type => 'product.created' },
    two => { type => 'product.*', needs_token => 1 },
    ordered => { type => '*', ordered_by => 'community' },
    single => { type => '*', concurrency => 1 },
);
for my $name (sort keys %handler) {
    $rig->sql(<<"END");
create function t.$name(event candhook.event, bot_token text) returns text language plpgsql security definer as \$\$
begin
    insert into t.effect values (event.id, '$name');
    if (select count(*) from candhook.outcome o where o.event_id = event.id and o.handler = '$name' and o.detail not like 'attempt lost%')
       < (event.payload ->> '$name')::integer then
        raise exception 'as the event says';
    end if;
    return null;
end \$\$;
END
    $rig->handler($name, max_attempts => $attempts, first_delay => '0 s', %{ $handler{$name} });
}
$rig->sql(q{select candhook.set_bot_token('G1', 'token-one')});
my $session = $rig->psql_session;

# Ends the backend in the middle of what it has begun.
sub kill_session {
    my $backend = $session->backend;
    $rig->sql("select pg_terminate_backend($backend)");
    $rig->wait_until(sub { !$rig->sql("select count(*) from pg_stat_activity where pid = $backend") }, 'the backend has ended');
    $session->close;
    $session = $rig->psql_session;
}

sub pick (@of) { return $of[ rand @of ] }

# One way to end what was begun: committed mostly.
sub end_somehow {
    my $end = pick(('commit') x 6, 'rollback', 'kill');
    return $end eq 'kill' ? kill_session() : $session->query("$end;");
}

my %events;    # id => { type, community, and how often each handler fails }
my @recorded;

# Records a batch, of new events and of some that were recorded before, until it is committed once.
sub record_batch {
    my @ids = map { $rig->sql('select t.id()') } 1 .. 1 + rand 12;
    my @failures = ((0) x 12, 1, 2, 99);
    $events{$_} = { type => pick('product.created', 'product.voted', 'member.joined'), community => pick('G1', 'G1', 'G2'), map { $_ => pick(@failures) } keys %handler }
      for @ids;
    my @sent = (@ids, @recorded ? map { pick(@recorded) } 1 .. rand 3 : ());
    my @bodies = map {
        my $event = $events{$_};
        my $payload = join ', ', map { qq("$_": $event->{$_}) } sort keys %handler;
        "t.event('$event->{type}', '{$payload}', '$event->{community}')"
    } @sent;
    my $not_at_once = pick(q{'{}'}, q{'{}'}, q{'{one}'}, q{'{two,single}'}, 'null');
    local $" = ', ';
    my $call = "select count(*) from t.record(array[@{[map { qq('$_') } @sent]}]::uuid[], array[@bodies], not_at_once => $not_at_once);";
    for (1 .. pick(0, 0, 1, 2)) {
        $session->query('begin;');
        $session->query($call) if pick(0, 1, 1);
        end_somehow();
    }
    $session->query($call);
    push @recorded, @ids;
}

# Claims, runs, or does neither to the end.
sub run_batch {
    my $lease = $session->query(q{select max(lease) from candhook_internal.claim('w', 10);});
    return if $lease eq '';
    return kill_session() if !int rand 8;
    $session->query('begin;');
    $session->query("select count(*) from candhook_internal.run_sql($lease);");
    end_somehow();
}

sub change_something {
    my $name = pick(sort keys %handler);
    $session->query(
        pick(
            "select candhook.disable_handler('$name');",
            map({ "select candhook.enable_handler('$_');" } sort keys %handler),
            q{select candhook.set_bot_token('G1', 'token-' || random());},
            q{select candhook_internal.release('w');}
        )
    );
}

pick(\&record_batch, \&record_batch, \&run_batch, \&run_batch, \&run_batch, \&change_something)->() for 1 .. $steps;

# Until nothing is left.
$session->query("select candhook.enable_handler('$_');") for keys %handler;
$session->query(q{select candhook.set_bot_token('G2', 'token-two');});
for my $round (1 .. 2000) {
    last if !$rig->sql('select count(*) from candhook.delivery');
    $session->query(q{select candhook_internal.release('w');});
    $rig->skip_time;
    my $lease = $session->query(q{select max(lease) from candhook_internal.claim('w', 100);});
    $session->query("select count(*) from candhook_internal.run_sql($lease);") if $lease ne '';
}

# ---- the model ----
sub matches ($pattern, $type) { return $pattern eq '*' || $pattern eq $type || ($pattern =~ /^(.*[.])[*]$/ && index($type, $1) == 0) }

my (%outcomes, %lost, %numbers, %effects);
for my $row (split /\n/, $rig->sql(q{select handler, event_id, attempt, result, coalesce(detail, '') like 'attempt lost%' from candhook.outcome order by attempt})) {
    my ($handler, $id, $attempt, $result, $was_lost) = split /\|/, $row;
    push $numbers{"$handler $id"}->@*, $attempt;
    $was_lost eq 't' ? $lost{"$handler $id"}++ : push $outcomes{"$handler $id"}->@*, $result;
    $lost{"$handler $id, last"} = 1 if $was_lost eq 't' && $result eq 'failed';
}
$effects{$_}++ for map { join ' ', (split /\|/)[ 1, 0 ] } split /\n/, $rig->sql('select event_id, said from t.effect');

my ($wrong, $lost, $expected) = (0, 0, 0);
for my $id (sort keys %events) {
    for my $name (sort keys %handler) {
        my $key = "$name $id";
        my @got = @{ $outcomes{$key} // [] };
        if (!matches($handler{$name}{type}, $events{$id}{type})) {
            $wrong++ && diag "$key: none expected, got @got" if @got || $effects{$key};
            next;
        }
        my $losses = $lost{$key} // 0;
        my $failures = $events{$id}{$name};
        my @model = $failures + $losses < $attempts ? (('retry') x $failures, 'ok') : (('retry') x ($attempts - $losses - 1), 'failed');
        @model = ('retry') x ($attempts - $losses) if $lost{"$key, last"};
        my $numbers = join ' ', @{ $numbers{$key} // [] };
        $expected++;
        $lost += $losses;
        next if "@got" eq "@model" && $numbers eq join(' ', 1 .. @got + $losses) && ($effects{$key} // 0) == ($model[-1] eq 'ok' ? 1 : 0);
        $wrong++;
        diag "$key: expected @model beside $losses lost, got @got, numbers $numbers, effects " . ($effects{$key} // 0);
    }
}
is $wrong, 0, "each of $expected pairs of event and handler has the outcomes and the effect that the model says ($lost attempts were lost)";
cmp_ok $expected, '>', 300, 'there were many';
is $rig->sql('select count(*) from candhook.delivery'), 0, 'nothing is left';
is $rig->sql('select count(*) from candhook.event'), scalar keys %events, 'each event is recorded, once';
is $rig->sql(q{select count(*) from candhook.outcome where result = 'ok'}), $rig->sql('select count(*) from t.effect'), 'effects are outcomes that are ok';
$session->close;
done_testing;
