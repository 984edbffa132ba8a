# SPDX-License-Identifier: ISC
#
# The dispatcher: a lease that another worker has taken, processes that cannot be started, outcomes that the database
# refuses, tokens that it cannot mark, and the end of a worker in the middle of a batch.
use v5.36;
use IO::Socket::INET ();
use Test::More;
use HandlerRig;
use Rig::Cand;

my $rig = HandlerRig->new(log_level => 'debug');
my $dir = $rig->{dir};
my $shop = Rig::Cand->service($rig);
my $api = Rig::Cand->api($rig);
$rig->conf(log_level => 'debug', api_url => $api->url);
$rig->start_worker;

sub shell ($name, $text) { $rig->handler_file($name, "#!/bin/sh\n$text") }
sub lines ($name) { return -e "$dir/$name" ? [ split /\n/, $rig->read_file($name) ] : [] }
sub said ($pattern) { return $rig->read_file('log/candhook.log') =~ $pattern }

# Another worker claims what this one has leased: as if the lease had run out.
sub steal ($handler) {
    $rig->sql("update candhook.handler set enabled = (name = '$handler');
        with due as (update candhook.delivery set due_at = clock_timestamp() - interval '1 ms' where handler = '$handler' returning 1) select count(*) from due;
        select count(*) from candhook_internal.claim('other', 1000);
        update candhook.handler set enabled = true");
}

$rig->compile('steps.so', <<"TEXT");
#include <candhook/handler.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Says that it has begun; the first attempt at an event then waits until it is released. */
static enum candhook_result step(const struct candhook_call *c)
{
    char path[300], line[100];
    int fd;

    snprintf(path, sizeof path, "$dir/%s.begun", c->handler);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    snprintf(line, sizeof line, "%s\\n", candhook_payload(c, "id"));
    if (write(fd, line, strlen(line)) < 0)
        abort();
    close(fd);
    snprintf(path, sizeof path, "$dir/%s.go", c->handler);
    while (access(path, F_OK) != 0)
        usleep(5000);
    return CANDHOOK_OK;
}
enum candhook_result steps(const struct candhook_call *c) { return step(c); }
enum candhook_result many(const struct candhook_call *c) { (void)c; return CANDHOOK_OK; }
enum candhook_result ask(const struct candhook_call *c)
{
    const struct candhook_response *answer = candhook_api(c, "GET", "/products/1", NULL);
    return candhook_answer(c, answer->status == 200 ? CANDHOOK_OK : CANDHOOK_FAILED, "status %d", answer->status);
}
TEXT
shell('step', "echo \$CANDHOOK_EVENT_ID >>$dir/\$CANDHOOK_HANDLER.begun\nuntil [ -e $dir/\$CANDHOOK_HANDLER.go ]; do sleep 0.01; done\n");

# ---- a renewal that the database refuses: it comes with the first of those below ----
$rig->sql(q{create function t.no_renewal() returns trigger language plpgsql as $$ begin raise 'no renewal'; end $$;
    create trigger no_renewal before update on candhook.delivery for each row
        when (new.handler = 'unrenewed' and new.lease is not null and new.lease = old.lease) execute function t.no_renewal()});
$rig->handler('unrenewed', kind => 'exec', target => 'step', concurrency => 1, timeout => '1 hour');
$rig->events_of('unrenewed', [ map { { id => $_ } } 1 .. 3 ]);

# ---- a lease that is lost ----
for my $kind ([ 'exec', 'step' ], [ 'c', 'steps.so:steps' ]) {
    my $name = "lost-$kind->[0]";
    $rig->handler($name, kind => $kind->[0], target => $kind->[1], concurrency => 1, timeout => '1 hour');
    $rig->events_of($name, [ map { { id => $_ } } 1 .. 10 ]);
    $rig->wait_until(sub { @{ lines("$name.begun") } == 1 }, 'the first one runs');
    steal($name);
    $rig->wait_until(sub { said(qr/handler=$name lease=lost/) }, 'its runner notices');
    $rig->write_file("$name.go", '');
    # An event of another handler is done after that: then the runner has gone on.
    $rig->handler("$name-other", kind => 'exec', target => 'step', enabled => 'true');
    $rig->write_file("$name-other.go", '');
    $rig->event_of("$name-other");
    $rig->settled("$name-other");
    is scalar @{ lines("$name.begun") }, 1, "$kind->[0]: nothing more is begun under a lease that is lost";
    is_deeply $rig->results($name), [ ('retry|attempt lost: its worker ended or its lease ran out') x 10 ], 'what was begun records nothing';
    $rig->sql(q{select candhook_internal.release('other')});
    $rig->settled($name, 10);
    is scalar @{ lines("$name.begun") }, 11, 'and then each is done once';
}

$rig->wait_until(sub { said(qr/handler=unrenewed lease=lost deliveries=3 held=0/) }, 'a lease that cannot be renewed is as good as lost');
is scalar @{ lines('unrenewed.begun') }, 1, 'nothing more is begun under it';
$rig->sql('drop trigger no_renewal on candhook.delivery');
$rig->write_file('unrenewed.go', '');
is_deeply $rig->settled('unrenewed', 3), [ ('ok|') x 3 ], 'what ran has its outcome, and the others run later';

# ---- no process can be started ----
$rig->handler("fork-$_->[0]", kind => $_->[0], target => $_->[1], max_attempts => 1) for [ 'exec', 'step' ], [ 'c', 'steps.so:steps' ];
$rig->write_file("fork-$_.go", '') for qw(exec c);
my @runners = $rig->children($rig->worker_pid);
sub limit_processes ($soft) {
    for my $pid (@runners) {
        my ($status, undef, $err) = $rig->run({}, 'prlimit', '--pid', $pid, "--nproc=$soft:");
        $status == 0 or die "prlimit: $err\n";
    }
}
my ($unlimited) = `cat /proc/$runners[0]/limits` =~ /^Max processes +(\S+)/m;
limit_processes(1);
$rig->events_of("fork-$_", [ map { { id => $_ } } 1 .. 5 ]) for qw(exec c);
$rig->wait_until(sub { said(qr/starting=failing reason="?cannot start a process/) }, 'the log tells of it');
$rig->handler('fork-http', kind => 'http', target => $shop->url . '/fork');
$rig->event_of('fork-http');
is_deeply $rig->settled('fork-http'), ['ok|HTTP 200 OK'], 'what needs no process goes on';
is $rig->sql("select count(*) from candhook.outcome where handler in ('fork-exec', 'fork-c')"), 0, 'no attempt is used up';
limit_processes($unlimited);
is_deeply $rig->settled("fork-$_", 5), [ ('ok|') x 5 ], "$_: all are done when it works again" for qw(exec c);
$rig->wait_until(sub { said(qr/starting=recovered/) }, 'which is said');

# ---- many at once ----
# An answer of the database that is there and not seen costs 5 s each time: sixteen batches and their outcomes then take
# more than a minute, and not some seconds.
$rig->handler('many', kind => 'c', target => 'steps.so:many');
$rig->events_of('many', [ map { { id => $_ } } 1 .. 1000 ]);
is scalar @{ $rig->settled('many', 1000, 45) }, 1000, 'the dispatcher sees each answer of the database when it comes';

# ---- an outcome that the database refuses ----
$rig->sql(q{create function t.refuse() returns trigger language plpgsql as $$
        begin if new.detail like '%poison%' then raise 'not with me'; end if; return new; end $$;
    create trigger refuse before insert on candhook.outcome for each row execute function t.refuse()});
shell('poison', "mkdir -p $dir/poison.ran; id=\$(sed 's/.*\"id\": \"\\([0-9]\\)\".*/\\1/'); : >$dir/poison.ran/\$id\n[ \$id = 2 ] && echo poison; exit 0\n");
$rig->handler('poison', kind => 'exec', target => 'poison', max_attempts => 1, enabled => 'false');
my @poison = $rig->events_of('poison', [ map { { id => "$_" } } 1 .. 4 ]);
my $holder = $rig->psql_session;
$holder->query('begin; lock table candhook.outcome in exclusive mode;');
$rig->sql("update candhook.handler set enabled = true where name = 'poison'");
$rig->wait_until(sub { -e "$dir/poison.ran/4" && -e "$dir/poison.ran/1" && -e "$dir/poison.ran/2" && -e "$dir/poison.ran/3" }, 'all have run');
$holder->query('commit;');
$rig->settled('poison', 4, 30);
my @outcomes = map { $rig->results('poison', $_)->[0] } @poison;
is_deeply [ @outcomes[ 0, 2, 3 ] ], [ ('ok|') x 3 ], 'an outcome that is refused costs only itself';
like $outcomes[1], qr/^failed\|the database refused the outcome "ok": ERROR:  not with me/, 'which tells why';

# ---- outcomes of which not even the refusal is taken ----
$rig->sql(q{create or replace function t.refuse() returns trigger language plpgsql as $$
        begin if new.handler = 'cursed' then raise 'never'; end if; return new; end $$});
shell('cursed', 'exit 0');
$rig->handler('cursed', kind => 'exec', target => 'cursed');
$rig->event_of('cursed');
$rig->wait_until(sub { said(qr/handler=cursed outcome=lost detail="[^"]*never/) }, 'the log tells of it');
$rig->event_of('poison', payload => { id => '9' });
is $rig->settled('poison', 5)->[-1], 'ok|', 'and others go on';
$rig->sql(q{drop trigger refuse on candhook.outcome; delete from candhook.delivery where handler = 'cursed'});

# ---- Retry-After without bounds ----
for my $after ('99999999999', '9223372036854775807', 'Fri, 31 Dec 9999 23:59:59 GMT') {
    $shop->on({ path => '^/after', status => 200, headers => { 'Retry-After' => $after } }, { path => '^/later', status => 503, headers => { 'Retry-After' => $after } });
    my $name = 'after ' . $after =~ s/\W//gr;
    $rig->handler($name, kind => 'http', target => $shop->url . '/after');
    $rig->handler("$name x", kind => 'http', target => $shop->url . '/later');
    $shop->clear;
    $rig->event_of($name);
    $rig->event_of("$name x");
    is_deeply $rig->settled($name), ['ok|HTTP 200 OK'], "Retry-After: $after loses no outcome";
    $rig->wait_until(sub { @{ $rig->results("$name x") } }, 'nor that of a retry');
    is $rig->sql("select extract(epoch from due_at - clock_timestamp()) between 86000 and 86400 from candhook.delivery where handler = '$name x'"), 't', 'which waits for a day';
    is $shop->count(qr/after/), 1, 'and nothing is posted twice';
    $rig->sql("delete from candhook.delivery where handler = '$name x'");
}
$shop->on;

# ---- a refused token that cannot be marked ----
$rig->token('dispatch-secret-1');
$api->tokens('dispatch-secret-2');
$rig->sql(q{create function t.fail() returns trigger language plpgsql as $$ begin raise 'the token stays'; end $$;
    create trigger fail before update on candhook.bot_token for each row when (not new.valid) execute function t.fail()});
$rig->handler('ask', kind => 'c', target => 'steps.so:ask', needs_token => 'true', max_attempts => 2, first_delay => '1 ms');
$rig->event_of('ask');
is_deeply $rig->settled('ask'), [ 'retry|status 401', 'failed|status 401' ], 'outcomes are recorded whether the token is marked or not';
ok said(qr/community="?G00O7NKV9M"? bot_token=refused effect="it could not be marked" reason="[^"]*the token stays/), 'which is said';
$rig->sql('drop trigger fail on candhook.bot_token');
my $held = $rig->event_of('ask');
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.held where event_id = '$held'") == 1 }, 'it is held as soon as it can be marked');
pass 'the refusal is tried again';

# ---- the worker is told to end ----
$rig->handler('stop', kind => 'c', target => 'steps.so:steps', timeout => '1 hour');
$rig->events_of('stop', [ map { { id => $_ } } 1 .. 5 ]);
$rig->wait_until(sub { @{ lines('stop.begun') } == 1 }, 'the first one runs');
my $worker = $rig->worker_pid;
$holder->query('begin; lock table candhook.delivery in access exclusive mode;');
kill TERM => $worker;
# The connection is lost while the others are given back: then that is done again. What else waits for the lock is in its way.
$rig->wait_until(
    sub {
        my $waiting = $rig->sql(q{select pid, query from pg_stat_activity where application_name = 'candhook' and wait_event_type = 'Lock'});
        $rig->sql("select pg_terminate_backend($_)") for $waiting =~ /^(\d+)\|/mg;
        return $waiting =~ /give_back/;
    },
    'they are being given back'
);
$holder->query('commit;');
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.delivery where handler = 'stop' and lease is null") == 4 }, 'the others are given back');
$rig->write_file('stop.go', '');
$rig->wait_gone($worker);
is scalar @{ lines('stop.begun') }, 1, 'c: what is given back is not begun';
is_deeply $rig->results('stop'), ['ok|'], 'and what ran has its outcome';
is $rig->sql("select count(*), sum(attempt) from candhook.delivery where handler = 'stop' and lease is null"), '4|0', 'the others are not counted';

# ---- what runs for longer than the stop waits is broken off ----
my $silent = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $@\n";
$rig->start_worker;
$rig->handler('long-c', kind => 'c', target => 'steps.so:steps', timeout => '1 hour');
$rig->handler('long-http', kind => 'http', target => 'http://127.0.0.1:' . $silent->sockport . '/', timeout => '1 hour');
$rig->event_of($_) for 'long-c', 'long-http';
my $request = $silent->accept;
$rig->wait_until(sub { @{ lines('long-c.begun') } == 1 }, 'both run');
$rig->candhook_ok('stop');
is_deeply $rig->results($_), ['retry|broken off: the worker was told to end'], "$_: broken off" for 'long-c', 'long-http';

done_testing;
