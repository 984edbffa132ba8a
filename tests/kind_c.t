# SPDX-License-Identifier: ISC
#
# Handlers of kind c: what they are handed and what comes of what they do, crash and hang included; the files that are
# refused; a replaced one.
use v5.36;
use Test::More;
use HandlerRig;
use Rig::Cand;

my $rig = HandlerRig->new(log_level => 'debug');
my $dir = $rig->{dir};
my $api = Rig::Cand->api($rig);
$rig->conf(log_level => 'debug', api_url => $api->url);
$rig->start_worker;

sub compile ($name, $text) { $rig->compile($name, $text) }
sub handler ($name, $target, %column) { $rig->handler($name, kind => 'c', target => $target, first_delay => '50 ms', %column) }
sub results ($handler) { return $rig->results($handler) }
sub settled ($handler, $count) { return $rig->settled($handler, $count) }
sub send_event ($type, %member) { $rig->event_of($type, %member) }

compile('all.so', <<'END');
#include <candhook/handler.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum candhook_result fields(const struct candhook_call *c)
{
    const struct candhook_functions *f = c->functions;
    return f->answer(c, CANDHOOK_OK, "%d %d %s %d %s %s %s %s %s %s token=%s id=%s n=%s deep=%s none=%d null=%d list=%s",
        c->size == sizeof *c, f->size == sizeof *f, c->handler, c->attempt, c->module, c->type, c->origin_community_id,
        c->user_id, c->community_id ? c->community_id : "(null)", c->profile_id, c->bot_token ? "given" : "(null)",
        f->payload(c, "id"), f->payload(c, "n"), f->payload(c, "deep.1.x"), f->payload(c, "none") == NULL,
        f->payload(c, "null") == NULL, f->payload(c, "deep"));
}
enum candhook_result token(const struct candhook_call *c)
{
    return c->functions->answer(c, CANDHOOK_OK, "the token is %s", c->bot_token);
}
enum candhook_result tell(const struct candhook_call *c)
{
    return c->functions->answer(c, CANDHOOK_FAILED, "%s, again %s", c->bot_token, c->bot_token);
}
enum candhook_result again(const struct candhook_call *c)
{
    return c->functions->answer(c, c->attempt < 3 ? CANDHOOK_RETRY : CANDHOOK_OK, "attempt %d", c->attempt);
}
enum candhook_result refuse(const struct candhook_call *c)
{
    return c->functions->answer(c, CANDHOOK_FAILED, "never");
}
enum candhook_result latin(const struct candhook_call *c)
{
    return c->functions->answer(c, CANDHOOK_OK, "caf\xe9 \xc3\xa9 %s", c->functions->payload(c, "id"));
}
enum candhook_result slow(const struct candhook_call *c)
{
    struct timespec pause = {.tv_sec = 2, .tv_nsec = 200000000};
    nanosleep(&pause, NULL);
    return c->functions->answer(c, CANDHOOK_OK, "slow %d", c->attempt);
}
enum candhook_result core(const struct candhook_call *c)
{
    struct rlimit limit = {1, 1};
    getrlimit(RLIMIT_CORE, &limit);
    return c->functions->answer(c, CANDHOOK_OK, "dumpable %d, core %d %d", prctl(PR_GET_DUMPABLE), (int)limit.rlim_cur, (int)limit.rlim_max);
}
enum candhook_result silent(const struct candhook_call *c) { (void)c; return CANDHOOK_OK; }
enum candhook_result nonsense(const struct candhook_call *c) { (void)c; return (enum candhook_result)77; }
enum candhook_result babble(const struct candhook_call *c)
{
    (void)c;
    for (int i = 0; i < 100; i++)
        (void)!write(3, "nonsense", 8);
    for (;;)
        pause();
}
enum candhook_result mute(const struct candhook_call *c) { (void)c; close(3); return CANDHOOK_OK; }
enum candhook_result crash(const struct candhook_call *c) { (void)c; signal(SIGSEGV, SIG_DFL); raise(SIGSEGV); return CANDHOOK_OK; }
enum candhook_result quit(const struct candhook_call *c) { (void)c; _exit(3); }
enum candhook_result hang(const struct candhook_call *c)
{
    (void)c;
    if (fork() == 0)
        for (;;) pause();
    for (;;) pause();
}
enum candhook_result picky(const struct candhook_call *c)
{
    const char *id = c->functions->payload(c, "id");
    if (id[0] == 'x') abort();
    return c->functions->answer(c, CANDHOOK_OK, "%s", id);
}
enum candhook_result candhook_handle(const struct candhook_call *c)
{
    return c->functions->answer(c, CANDHOOK_OK, "by the usual name");
}
END

handler('fields', 'all.so:fields');
handler('token', 'all.so:token', needs_token => 'true');
handler('tell', 'all.so:tell', needs_token => 'true');
handler('again', 'all.so:again');
handler('refuse', 'all.so:refuse');
handler('latin', 'all.so:latin');
handler('slow', 'all.so:slow', enabled => 'false');
handler('silent', 'all.so:silent');
handler('core', 'all.so:core');
handler('nonsense', 'all.so:nonsense');
handler('crash', 'all.so:crash', max_attempts => 2);
handler('quit', 'all.so:quit', max_attempts => 1);
handler('babble', 'all.so:babble', max_attempts => 1);
handler('mute', 'all.so:mute', max_attempts => 1);
handler('hang', 'all.so:hang', max_attempts => 1, timeout => '300 ms');
handler('picky', 'all.so:picky', max_attempts => 1);
handler('usual', 'all.so');
handler('absent', 'absent.so:f', max_attempts => 1);
handler('no function', 'all.so:absent', max_attempts => 1);
handler('writable', 'writable.so:f', max_attempts => 1);


# ---- what a handler is handed ----
send_event('fields', payload => { id => 'CP:1', null => undef, deep => [1, { x => "\x{e4}\"" }], n => 'PLACE' });
is_deeply settled('fields', 1),
  ["ok|1 1 fields 1 MOIM fields G00O7NKV9M UAKDIJ23KD G0IZUDWCL UAKDIJ23KE token=(null) id=CP:1 n=PLACE deep=\xc3\xa4\" none=1 null=1 list=[1,{\"x\":\"\xc3\xa4\\\"\"}]"],
  'all fields, and values by their path';
$rig->sql(q{select count(*) from t.record(array['} . HandlerRig::new_id() . q{']::uuid[], array['{"module":"MOIM","type":"fields",
  "context":{"originCommunityId":"G","userId":"U","profileId":"P"},"payload":{"id":1,"n":123456789012345678901234567890.10,"deep":[0,{"x":[1e2,-5]}]}}'])});
$rig->wait_until(sub { @{ results('fields') } == 2 }, 'they are handled');
like join(' ', @{ results('fields') }), qr/\(null\) P token=\(null\) id=1 n=123456789012345678901234567890\.10 deep=\[100,-5\] none=1/,
  'keep every digit; an id that is missing is NULL';

# ---- token ----
send_event('token');
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.recent where result = 'held'") == 1 }, 'it is held');
is_deeply results('token'), [], 'without a token it is held, without an attempt';
$rig->sql("insert into candhook.bot_token (origin_community_id, token) values ('G00O7NKV9M', 'bot-secret-987654') on conflict do nothing");
is_deeply settled('token', 1), ['ok|the token is [token]'], 'with one it runs, and its detail does not show it';
send_event('tell');
is_deeply settled('tell', 1), ['failed|[token], again [token]'], 'nor does that of a failure';
$rig->wait_until(sub { $rig->read_file('log/candhook.log') =~ /handler=tell outcome=failed/ }, 'the log tells of it');
unlike $rig->read_file('log/candhook.log'), qr/bot-secret/, 'nor the log';

# ---- what a handler answers ----
send_event($_) for qw(again refuse silent nonsense usual);
is_deeply settled('again', 1), ['retry|attempt 1', 'retry|attempt 2', 'ok|attempt 3'], 'tried again until it is done';
is_deeply settled('refuse', 1), ['failed|never'], 'failed';
is_deeply settled('silent', 1), ['ok|'], 'no detail';
is_deeply settled('nonsense', 1), ['failed|'], 'another number is a failure';
is_deeply settled('usual', 1), ['ok|by the usual name'], 'without a function candhook_handle is called';

send_event('latin', payload => { id => $_ }) for 1 .. 3;
is_deeply [sort @{ settled('latin', 3) }], [map { "ok|caf? \xc3\xa9 $_" } 1 .. 3], 'bytes that are no UTF-8 lose no batch';

# ---- a crash leaves no core, which would hold tokens ----
send_event('core');
like settled('core', 1)->[0], qr/^ok\|dumpable [0-9], core 0 0$/, 'no core of a handler';
like $rig->read_file("/proc/$_/limits"), qr/^Max core file size +0 +0 /m, 'nor of a process of the worker' for $rig->workers;
SKIP: {
    skip 'LeakSanitizer must trace its own process', 1 if index($rig->read_file('bin/candhook'), '__asan_init') >= 0;
    is $rig->results('core')->[0], 'ok|dumpable 0, core 0 0', 'and none by a pipe, for which that limit does not hold';
}

# ---- the canD API ----
compile('api.so', <<'END');
#include <candhook/handler.h>
#include <string.h>

/* The documentation's handler: who is the author of the product? */
enum candhook_result look(const struct candhook_call *c)
{
    char path[200] = "/products/";
    const struct candhook_response *answer;

    strncat(path, candhook_payload(c, "id"), 100);
    answer = candhook_api(c, "GET", path, NULL);
    if (answer->error != NULL)
        return candhook_answer(c, answer->status >= 400 && answer->status < 500 ? CANDHOOK_FAILED : CANDHOOK_RETRY,
                               "status %d: %s", answer->status, answer->error);
    return candhook_answer(c, CANDHOOK_OK, "product %s none=%d", candhook_value(c, answer->body, "id"),
                           candhook_value(c, answer->body, "no.such") == NULL);
}
enum candhook_result grant(const struct candhook_call *c)
{
    struct candhook_request request = {sizeof request, "POST", "/candies/C1/grant", "{\"amount\": 5}", "GOTHER", "UP"};
    const struct candhook_response *answer = c->functions->api(c, &request);

    return candhook_answer(c, answer->status == 200 || answer->status == 201 ? CANDHOOK_OK : CANDHOOK_RETRY, "%d", answer->status);
}
enum candhook_result away(const struct candhook_call *c)
{
    const struct candhook_response *answer = candhook_api(c, "GET", "http://elsewhere.invalid/", NULL);
    return candhook_answer(c, CANDHOOK_FAILED, "%d %d", answer->status, answer->error != NULL);
}
END
$rig->token('c-secret-1234567890');
$api->tokens('c-secret-1234567890');
handler('look', 'api.so:look', needs_token => 'true', max_attempts => 3);
handler('grant', 'api.so:grant', needs_token => 'true');
handler('away', 'api.so:away', needs_token => 'true', max_attempts => 1);
handler('bare', 'api.so:look', max_attempts => 1);
send_event('look', payload => { id => 'CP:42' });
is_deeply settled('look', 1), ['ok|product CP:42 none=1'], 'an answer of the API';
my ($asked) = $api->requests(qr/products/);
is $asked->{headers}{authorization}, 'Bearer c-secret-1234567890', 'with the token';
is $asked->{headers}{'x-can-community-id'}, 'G00O7NKV9M', 'of the origin community';
send_event('grant');
is_deeply settled('grant', 1), ['ok|200'], 'a POST';
($asked) = $api->requests(qr/grant/);
is_deeply [ @{ $asked->{headers} }{qw(x-can-community-id x-can-profile-id content-type)} ], [qw(GOTHER UP application/json)], 'for another community and a profile';
is $asked->{body}, '{"amount": 5}', 'its body';
send_event('away');
is_deeply settled('away', 1), ['failed|0 1'], 'a path is no way to another host';
send_event('bare');
like settled('bare', 1)->[0], qr/^failed\|status 0: .*needs_token/, 'no token, no call';
send_event('look', payload => { id => 'missing' });
is settled('look', 2)->[-1], 'failed|status 404: HTTP 404 Not Found', 'errors are values';
$api->on({ path => '^/products/', raw => 'garbage' });
send_event('look', payload => { id => 'CP:43' });
like settled('look', 3)->[-1], qr/^failed\|status 0: /, 'so is no answer at all';

# A refused token holds the deliveries, and the attempt does not count: three are allowed, and three more are made below.
$api->on->tokens('c-secret-another');
my $refused = send_event('look', payload => { id => 'CP:44' });
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.held where event_id = '$refused'") == 1 }, 'it is held');
like $rig->results('look', $refused)->[0], qr/^retry\|status 401/, 'the attempt is there, as one to be made again';
is $rig->sql("select valid from candhook.bot_token where origin_community_id = 'G00O7NKV9M'"), 'f', 'the token is marked';
like $rig->read_file('log/candhook.log'), qr/community="?G00O7NKV9M"? bot_token=refused/, 'and that is said';
$api->on({ path => '^/products/', status => [ 500, 503, undef ] });
$rig->token('c-secret-another');
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.delivery where event_id = '$refused'") == 0 }, 'a new token lets it go on');
like join(' ', @{ $rig->results('look', $refused) }), qr/401.* 500.* 503.*ok\|product CP:44/, 'with all its attempts';
unlike $rig->read_file('log/candhook.log') . join(' ', @{ results('look') }), qr/c-secret/, 'no token anywhere';

# ---- several hosts at once ----
compile('meet.so', "#include <candhook/handler.h>\n#include <stdlib.h>\n#include <unistd.h>\n#include <stdio.h>\n#include <sys/stat.h>\n"
    . "enum candhook_result meet(const struct candhook_call *c)\n{ char p[300]; snprintf(p, sizeof p, \"$dir/met.%s\", candhook_payload(c, \"id\")); mkdir(p, 0700);"
    . " while (access(\"$dir/met.1\", F_OK) || access(\"$dir/met.2\", F_OK)) usleep(20000); return candhook_answer(c, CANDHOOK_OK, \"met\"); }\n");
handler('meet', 'meet.so:meet', max_attempts => 1);
send_event('meet', payload => { id => 1 });
$rig->wait_until(sub { -d "$dir/met.1" }, 'one waits for the other');
send_event('meet', payload => { id => 2 });
is_deeply settled('meet', 2), [ ('ok|met') x 2 ], 'which comes in another process';

# ---- a batch that takes longer than its lease ----
$rig->events_of('slow', [ map { { id => $_ } } 1 .. 8 ]);
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.delivery where handler = 'slow'") == 8 }, 'all wait');
$rig->sql("update candhook.handler set enabled = true where name = 'slow'");
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.delivery where handler = 'slow'") == 0 }, 'all are handled', 90);
is_deeply results('slow'), [('ok|slow 1') x 8], 'each was run once: the lease was renewed';

# ---- what a handler does to its process ----
send_event($_) for qw(crash quit hang babble mute);
like $_, qr/^(?:retry|failed)\|the handler crashed: signal 11/, 'a crash is an attempt' for @{ settled('crash', 1) };
is scalar @{ results('crash') }, 2, 'and ends when the attempts are used up';
is_deeply settled('quit', 1), ['failed|the handler ended its process with exit status 3'], 'exit';
is_deeply settled('hang', 1), ['failed|the handler ran past its timeout of 300 ms'], 'a hang ends at the timeout';
is_deeply settled('babble', 1), ['failed|the handler crashed: signal 9 (Killed)'], 'one that writes into our pipe is ended';
like settled('mute', 1)->[0], qr/^failed\|the handler (?:ended its process with exit status 0|crashed: signal 9 \(Killed\))$/, 'one that closes it has given no answer';
$rig->wait_until(sub { $rig->own_processes('candhook') == 4 }, 'only the worker and its runners are left');
pass 'and the process that it had forked is gone, too';
$rig->candhook_ok('stop');
$rig->events_of('picky', [ map { { id => $_ } } qw(a x b x c) ]);
$rig->candhook_ok('work', '--once');
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.outcome where handler = 'picky'") == 5 }, 'all are handled');
is $rig->sql("select string_agg(result || coalesce(' ' || left(detail, 1), ''), ',' order by result desc, detail) from candhook.outcome where handler = 'picky'"),
  'ok a,ok b,ok c,failed t,failed t', 'a crash takes no neighbour of its batch along';

# ---- files ----
$rig->start_worker('worker again');
compile('writable.so', "#include <candhook/handler.h>\nenum candhook_result f(const struct candhook_call *c) { (void)c; return CANDHOOK_OK; }\n");
chmod 0777, "$dir/handlers/writable.so";
send_event($_) for 'absent', 'no function', 'writable';
like settled('absent', 1)->[0], qr/^failed\|cannot find \S+absent\.so: No such file/, 'a file that is not there';
like settled('no function', 1)->[0], qr/^failed\|.*undefined symbol: absent/, 'a function that is not there';
like settled('writable', 1)->[0], qr/^failed\|refused \S+writable\.so: .* only its owner may write/, 'a file that others may write';
like $rig->sql_error("insert into candhook.handler (name, module, type, kind, target) values ('x', '*', '*', 'c', '../up.so:f')"),
  qr/handler_target_shape/, 'a target outside of handler_dir is refused when it is stored';
compile('all.so', "#include <candhook/handler.h>\nenum candhook_result silent(const struct candhook_call *c)\n{ return c->functions->answer(c, CANDHOOK_OK, \"new\"); }\n");
send_event('silent');
$rig->wait_until(sub { @{ results('silent') } == 2 }, 'it is handled');
is_deeply [sort @{ results('silent') }], ['ok|', 'ok|new'], 'a replaced file counts at once';

done_testing;
