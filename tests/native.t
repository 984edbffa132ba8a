# SPDX-License-Identifier: ISC
#
# Handlers of kind c: what they are handed and what comes of what they do, crash and hang included; the files that are
# refused; a replaced one.
use v5.36;
use Test::More;
use Rig;

my $rig = Rig->new;
my $dir = $rig->{dir};
$rig->make_folder('handlers');
$rig->cluster;
$rig->conf(runners => 1);
$rig->schema;

# Compiles a handler of the text into handlers/NAME.
sub compile ($name, $text) {
    $rig->write_file('handler.c', $text);
    my @command = (split(' ', $ENV{CC} // 'cc'), '-shared', '-fPIC', '-I' . Rig::source_path('include'));
    $rig->make_folder('built', 0755) if !-d "$dir/built";
    system(@command, '-o', "$dir/built/$name", "$dir/handler.c") == 0 or die "cannot compile $name\n";
    open my $file, '<:raw', "$dir/built/$name" or die "$name: $!\n";
    local $/;
    $rig->write_file("handlers/.$name", <$file>, 0755);
    rename "$dir/handlers/.$name", "$dir/handlers/$name" or die "$name: $!\n";
}

sub handler ($name, $target, %column) {
    my %row = (name => $name, module => 'MOIM', type => $name, kind => 'c', target => $target, first_delay => '50 ms', %column);
    my @names = sort keys %row;
    $rig->sql('insert into candhook.handler (' . join(', ', @names) . ') values (' . join(', ', map { "'$row{$_}'" } @names) . ')');
}

sub results ($handler) {
    return [split /\n/, $rig->sql("select result || '|' || coalesce(detail, '') from candhook.outcome where handler = '$handler' order by attempt")];
}

sub settled ($handler, $count) {
    $rig->wait_until(
        sub {
            $rig->sql("select count(*) from candhook.outcome where handler = '$handler' and result <> 'retry'") >= $count
              && $rig->sql("select count(*) from candhook.delivery where handler = '$handler'") == 0;
        },
        "$handler is settled"
    );
    return results($handler);
}

compile('all.so', <<'END');
#include <candhook/handler.h>
#include <signal.h>
#include <stdlib.h>
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
enum candhook_result silent(const struct candhook_call *c) { (void)c; return CANDHOOK_OK; }
enum candhook_result nonsense(const struct candhook_call *c) { (void)c; return (enum candhook_result)77; }
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
handler('nonsense', 'all.so:nonsense');
handler('crash', 'all.so:crash', max_attempts => 2);
handler('quit', 'all.so:quit', max_attempts => 1);
handler('hang', 'all.so:hang', max_attempts => 1, timeout => '300 ms');
handler('picky', 'all.so:picky', max_attempts => 1);
handler('usual', 'all.so');
handler('absent', 'absent.so:f', max_attempts => 1);
handler('no function', 'all.so:absent', max_attempts => 1);
handler('writable', 'writable.so:f', max_attempts => 1);

$rig->responder;
$rig->nginx;
sub send_event ($type, %member) { is $rig->post($rig->path, $rig->event(type => $type, %member))->{status}, 200, "$type is taken" }

# ---- what a handler is handed ----
send_event('fields', payload => { id => 'CP:1', null => undef, deep => [1, { x => "\x{e4}\"" }], n => 'PLACE' });
is_deeply settled('fields', 1),
  ["ok|1 1 fields 1 MOIM fields G00O7NKV9M UAKDIJ23KD G0IZUDWCL UAKDIJ23KE token=(null) id=CP:1 n=PLACE deep=\xc3\xa4\" none=1 null=1 list=[1,{\"x\":\"\xc3\xa4\\\"\"}]"],
  'all fields, and values by their path';
is $rig->post($rig->path, '{"module":"MOIM","type":"fields","context":{"originCommunityId":"G","userId":"U","profileId":"P"},"payload":'
      . '{"id":1,"n":123456789012345678901234567890.10,"deep":[0,{"x":[1e2,-5]}]}}')->{status}, 200, 'numbers';
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
$rig->wait_until(sub { $rig->read_file('log/candhook.log') =~ /handler="tell" outcome=failed/ }, 'the log tells of it');
unlike $rig->read_file('log/candhook.log'), qr/bot-secret/, 'nor the log';

# ---- what a handler answers ----
send_event($_) for qw(again refuse silent nonsense usual);
is_deeply settled('again', 1), ['retry|attempt 1', 'retry|attempt 2', 'ok|attempt 3'], 'tried again until it is done';
is_deeply settled('refuse', 1), ['failed|never'], 'failed';
is_deeply settled('silent', 1), ['ok|'], 'no detail';
is_deeply settled('nonsense', 1), ['failed|'], 'another number is a failure';
is_deeply settled('usual', 1), ['ok|by the usual name'], 'without a function candhook_handle is called';

is $rig->post($rig->path, $rig->event(type => 'latin', payload => { id => $_ }))->{status}, 200, "latin $_" for 1 .. 3;
is_deeply [sort @{ settled('latin', 3) }], [map { "ok|caf? \xc3\xa9 $_" } 1 .. 3], 'bytes that are no UTF-8 lose no batch';

# ---- a batch that takes longer than its lease ----
is $rig->post($rig->path, $rig->event(type => 'slow'))->{status}, 200, "slow $_" for 1 .. 8;
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.delivery where handler = 'slow'") == 8 }, 'all wait');
$rig->sql("update candhook.handler set enabled = true where name = 'slow'");
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.delivery where handler = 'slow'") == 0 }, 'all are handled', 90);
is_deeply results('slow'), [('ok|slow 1') x 8], 'each was run once: the lease was renewed';

# ---- what a handler does to its process ----
send_event($_) for qw(crash quit hang);
like $_, qr/^(?:retry|failed)\|the handler crashed: signal 11/, 'a crash is an attempt' for @{ settled('crash', 1) };
is scalar @{ results('crash') }, 2, 'and ends when the attempts are used up';
is_deeply settled('quit', 1), ['failed|the handler ended its process with exit status 3'], 'exit';
is_deeply settled('hang', 1), ['failed|the handler ran past its timeout of 300 ms'], 'a hang ends at the timeout';
$rig->wait_until(sub { $rig->own_processes('candhook') == 2 }, 'only the worker and its runner are left');
pass 'and the process that it had forked is gone, too';
$rig->candhook_ok('stop');
is $rig->post($rig->path, $rig->event(type => 'picky', payload => { id => $_ }))->{status}, 200, "picky $_" for qw(a x b x c);
$rig->candhook_ok('work', '--once');
$rig->wait_until(sub { $rig->sql("select count(*) from candhook.outcome where handler = 'picky'") == 5 }, 'all are handled');
is $rig->sql("select string_agg(result || coalesce(' ' || left(detail, 1), ''), ',' order by received_at, event_id) from candhook.outcome where handler = 'picky'"),
  'ok a,failed t,ok b,failed t,ok c', 'a crash takes no neighbour of its batch along';

# ---- files ----
compile('writable.so', "#include <candhook/handler.h>\nenum candhook_result f(const struct candhook_call *c) { (void)c; return CANDHOOK_OK; }\n");
chmod 0777, "$dir/handlers/writable.so";
send_event($_) for 'absent', 'no function', 'writable';
like settled('absent', 1)->[0], qr/^failed\|cannot load \S+absent\.so: No such file/, 'a file that is not there';
like settled('no function', 1)->[0], qr/^failed\|.*undefined symbol: absent/, 'a function that is not there';
like settled('writable', 1)->[0], qr/^failed\|refused to load .* only its owner may write/, 'a file that others may write';
like $rig->sql_error("insert into candhook.handler (name, module, type, kind, target) values ('x', '*', '*', 'c', '../up.so:f')"),
  qr/handler_target_shape/, 'a target outside of handler_dir is refused when it is stored';
compile('all.so', "#include <candhook/handler.h>\nenum candhook_result silent(const struct candhook_call *c)\n{ return c->functions->answer(c, CANDHOOK_OK, \"new\"); }\n");
send_event('silent');
$rig->wait_until(sub { @{ results('silent') } == 2 }, 'it is handled');
is_deeply [sort @{ results('silent') }], ['ok|', 'ok|new'], 'a replaced file counts at once';

done_testing;
