# SPDX-License-Identifier: ISC
#
# Handlers of kind exec: what a program is handed, what comes of how it ends, deadlines that reach its whole process
# group, output that is bounded and shows no token, several at once, files that are refused.
use v5.36;
use Test::More;
use HandlerRig;

my $rig = HandlerRig->new(log_level => 'debug');
my $dir = $rig->{dir};
$rig->start_worker;

sub shell ($name, $text) { $rig->handler_file($name, "#!/bin/sh\n$text") }

# ---- what a program is handed ----
shell('show', 'env | sort | grep -vE "^(PWD|OLDPWD|SHLVL|_)=" | tr "\n" ";"; echo "args=$#"; pwd; cat');
$rig->handler('show', kind => 'exec', target => 'show');
my $id = $rig->event_of('show', payload => { id => 'CP:1', text => "\x{e4}'\"" });
my ($said) = @{ $rig->settled('show') };
my %env = map { /^(\w+)=(.*)/ } split /;/, $said =~ s/^ok\|//r =~ s/;args=.*//sr;
is_deeply \%env,
  {
    PATH                         => $env{PATH},
    CANDHOOK_CONF                => "$dir/candhook.conf",
    CANDHOOK_HANDLER             => 'show',
    CANDHOOK_EVENT_ID            => $id,
    CANDHOOK_RECEIVED_AT         => $env{CANDHOOK_RECEIVED_AT},
    CANDHOOK_MODULE              => 'MOIM',
    CANDHOOK_TYPE                => 'show',
    CANDHOOK_ATTEMPT             => 1,
    CANDHOOK_ORIGIN_COMMUNITY_ID => 'G00O7NKV9M',
    CANDHOOK_COMMUNITY_ID        => 'G0IZUDWCL',
    CANDHOOK_USER_ID             => 'UAKDIJ23KD',
    CANDHOOK_PROFILE_ID          => 'UAKDIJ23KE',
  },
  'the environment is made from nothing';
like $env{CANDHOOK_RECEIVED_AT}, qr/^\d{4}-\d\d-\d\dT[\d:.]{12}Z$/, 'times are RFC 3339';
like $said, qr{args=0 \Q$dir\E/handlers \{}, 'no arguments, in handler_dir, the event on stdin';
is_deeply JSON::PP::decode_json($said =~ s/^.*?handlers //sr), JSON::PP::decode_json($rig->event(type => 'show', payload => { id => 'CP:1', text => "\x{e4}'\"" })),
  'the same JSON value';
$rig->event_of('show', context => { originCommunityId => 'G1' });
unlike $rig->settled('show', 2)->[1], qr/USER_ID|PROFILE_ID|CANDHOOK_COMMUNITY_ID/, 'ids that the event has not are not set';

# ---- how it ends ----
my %program = (
    fine   => [ 'echo done; echo more >&2', 'ok|done more' ],
    silent => [ 'exit 0', 'ok|' ],
    later  => [ 'echo busy; exit 75', 'failed|to be tried again: busy' ],
    wrong  => [ 'echo no such thing >&2; exit 3', 'failed|exit status 3: no such thing' ],
    shot   => [ 'kill -SEGV $$', 'failed|the program was ended by signal 11 (Segmentation fault)' ],
    nul    => [ 'printf "a\\0b\\377c"', 'ok|a?b?c' ],
);
for my $name (sort keys %program) {
    shell($name, $program{$name}[0]);
    $rig->handler($name, kind => 'exec', target => $name, max_attempts => 1);
    $rig->event_of($name);
}
is_deeply $rig->settled($_), [ $program{$_}[1] ], $_ for sort keys %program;

shell('third', '[ "$CANDHOOK_ATTEMPT" = 3 ] && echo "attempt $CANDHOOK_ATTEMPT" || exit 75');
$rig->handler('third', kind => 'exec', target => 'third');
$rig->event_of('third');
is_deeply $rig->settled('third'), [ ('retry|to be tried again') x 2, 'ok|attempt 3' ], 'tried again until it is done';

# ---- the token ----
shell('tell', 'echo "it is $CANDHOOK_BOT_TOKEN, yes $CANDHOOK_BOT_TOKEN"');
$rig->handler('tell', kind => 'exec', target => 'tell', needs_token => 'true');
$rig->event_of('tell');
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.held') == 1 }, 'it is held');
$rig->token('exec-secret-123456');
is_deeply $rig->settled('tell'), ['ok|it is [token], yes [token]'], 'given, and never shown';
shell('flood', 'printf "%3981sexec-secret-123456" ""; head -c 3000000 /dev/zero | tr "\\0" x; exit 1');
$rig->handler('flood', kind => 'exec', target => 'flood', needs_token => 'true', max_attempts => 1);
$rig->event_of('flood');
my ($flood) = @{ $rig->settled('flood') };
like $flood, qr/^failed\|exit status 1: \s+\[tok/, 'output beyond the bound is read and dropped';
cmp_ok length($flood), '<=', 4010, 'and what is kept is bounded';
unlike $flood . $rig->read_file('log/candhook.log'), qr/exec-sec/, 'with no part of the token at the bound';

# Each [token] is shorter than the token, so the end of the output comes into what is kept.
shell('many', 'for i in $(seq 400); do printf %s "$CANDHOOK_BOT_TOKEN"; done');
$rig->handler('many', kind => 'exec', target => 'many', needs_token => 'true', max_attempts => 1);
$rig->event_of('many');
like $rig->settled('many')->[0], qr/^ok\|(?:\[token\])+$/, 'nor is a part of one of many kept, where the output was cut';

# ---- deadlines ----
# Each writes its pids; `stubborn` and its child ignore TERM.
shell('hang', "echo \$\$ >>$dir/pids; echo waiting; sleep 1000 & echo \$! >>$dir/pids; wait");
shell('stubborn', "trap '' TERM; (trap '' TERM; while :; do sleep 1000; done) & echo \$\$ \$! >>$dir/pids; while :; do sleep 1000; done");
shell('leaves', "sleep 1000 & echo \$! >>$dir/pids; echo gone");
shell('closes', "exec >&- 2>&- <&-; exec sleep 1000");
$rig->handler('hang', kind => 'exec', target => 'hang', max_attempts => 1, timeout => '500 ms');
$rig->handler('stubborn', kind => 'exec', target => 'stubborn', max_attempts => 1, timeout => '300 ms');
$rig->handler('leaves', kind => 'exec', target => 'leaves');
$rig->handler('closes', kind => 'exec', target => 'closes', max_attempts => 1, timeout => '300 ms');
$rig->event_of($_) for qw(hang stubborn leaves closes);
is_deeply $rig->settled('hang'), ['failed|the program ran past its timeout of 500 ms: waiting'], 'a deadline';
is_deeply $rig->settled('stubborn'), ['failed|the program ran past its timeout of 300 ms'], 'of one that ignores TERM';
is_deeply $rig->settled('leaves'), ['ok|gone'], 'what it leaves running does not hold it up';
is_deeply $rig->settled('closes'), ['failed|the program ran past its timeout of 300 ms'], 'one that closes its output has not ended';
my @pids = split ' ', $rig->read_file('pids');
is scalar @pids, 5, 'they said who they are';
$rig->wait_gone($_) for @pids;
pass 'and all of them are gone, children too';

# ---- processes that leave the group ----
# `quits` starts one in a session of its own, and with it a child; `stays` does, too, and runs until it is told to end.
my $leave = "setsid sh -c 'sleep 1000 & echo \$\$ >>$dir/NAME.left; echo \$! >>$dir/NAME.left; wait' </dev/null >/dev/null 2>&1 &\n"
  . "until [ \"\$(wc -l 2>/dev/null <$dir/NAME.left)\" -ge 2 ] 2>/dev/null; do sleep 0.01; done\n";
shell('quits', $leave =~ s/NAME/quits/gr);
shell('stays', ($leave =~ s/NAME/stays/gr) . "until [ -e $dir/stays.go ]; do sleep 0.01; done");
$rig->handler($_, kind => 'exec', target => $_, timeout => '1 hour') for qw(quits stays);
$rig->event_of('quits');
is_deeply $rig->settled('quits'), ['ok|'], 'a program ends';
my ($first, $second) = split ' ', $rig->read_file('quits.left');
$rig->wait_gone($_) for $first, $second;
pass 'with what it has started, in other sessions, too';
$rig->event_of('stays');
$rig->wait_until(sub { $rig->read_file('stays.left') =~ /\n.*\n/ }, 'another one runs');
unlink "$dir/quits.left";
$rig->event_of('quits');
$rig->settled('quits', 2);
my @stayed = split ' ', $rig->read_file('stays.left');
ok $rig->running($stayed[0]) && $rig->running($stayed[1]), 'nothing is taken from a program that runs';
$rig->write_file('stays.go', '');
$rig->settled('stays');
$rig->wait_gone($_) for @stayed, split ' ', $rig->read_file('quits.left');
pass 'and afterwards nothing is left of both';
unlink "$dir/stays.left", "$dir/stays.go";
$rig->event_of('stays');
$rig->wait_until(sub { $rig->read_file('stays.left') =~ /\n.*\n/ }, 'it runs again');
@stayed = split ' ', $rig->read_file('stays.left');
my ($its_runner) = grep { my $runner = $_; grep { $rig->command_line($_) =~ /stays/ } $rig->children($runner) } $rig->children($rig->worker_pid);
$rig->write_file('stays.go', '');
$rig->kill9($its_runner);
$rig->wait_gone($_) for @stayed;
pass 'nor of the programs of a runner that is killed';
$rig->settled('stays', 2);

# ---- several at once ----
shell('meet', <<"END");
mkdir $dir/meet.\$CANDHOOK_EVENT_ID
until [ "\$(ls -d $dir/meet.* | wc -l)" -ge 4 ]; do sleep 0.02; done
END
$rig->handler('meet', kind => 'exec', target => 'meet', max_attempts => 1, timeout => '30 s');
$rig->events_of('meet', [ map { { id => $_ } } 1 .. 4 ]);
is_deeply $rig->settled('meet', 4), [ ('ok|') x 4 ], 'four run at the same time';
shell('alone', "mkdir $dir/alone || exit 1\nsleep 0.05\nrmdir $dir/alone");
$rig->handler('alone', kind => 'exec', target => 'alone', max_attempts => 1, concurrency => 1);
$rig->events_of('alone', [ map { { id => $_ } } 1 .. 6 ]);
is_deeply $rig->settled('alone', 6), [ ('ok|') x 6 ], 'with a concurrency of 1 never two';
shell('order', "echo \$CANDHOOK_EVENT_ID >>$dir/order\n[ \$CANDHOOK_ATTEMPT -gt 1 ] || exit 75");
$rig->handler('order', kind => 'exec', target => 'order', ordered_by => 'community');
my @ordered = $rig->events_of('order', [ map { { id => $_ } } 1 .. 5 ]);
$rig->settled('order', 5);
is_deeply [ split /\n/, $rig->read_file('order') ], [ map { ($_, $_) } sort @ordered ], 'in order, each one settled before the next begins';

# ---- a slow one holds up nobody ----
shell('slow', "until [ -e $dir/release ]; do sleep 0.05; done");
$rig->handler('slow', kind => 'exec', target => 'slow', timeout => '60 s');
$rig->events_of('slow', [ map { { id => $_ } } 1 .. 100 ]);
$rig->event_of('fine') for 1 .. 3;
is_deeply $rig->settled('fine', 4), [ ('ok|done more') x 4 ], 'others go on beside a hundred that wait';
is $rig->sql("select count(*) from candhook.outcome where handler = 'slow'"), 0, 'which they did';
$rig->write_file('release', '');
is scalar @{ $rig->settled('slow', 100) }, 100, 'and then end';

# ---- a killed handler, a disabled handler ----
shell('kill', 'if [ "$CANDHOOK_ATTEMPT" = 1 ]; then kill -9 $$; fi; echo survived');
$rig->handler('kill', kind => 'exec', target => 'kill');
$rig->event_of('kill');
is_deeply $rig->settled('kill'), [ 'retry|the program was ended by signal 9 (Killed)', 'ok|survived' ], 'a killed one is tried again';
$rig->handler('off', kind => 'exec', target => 'fine', enabled => 'false');
$rig->event_of('off');
$rig->event_of('fine');
$rig->settled('fine', 5);
is_deeply $rig->results('off'), [], 'a disabled one waits';
$rig->sql("update candhook.handler set enabled = true where name = 'off'");
is_deeply $rig->settled('off'), ['ok|done more'], 'until it is enabled';

# ---- files ----
$rig->handler_file('writable', "#!/bin/sh\n", 0777);
$rig->handler_file('plain', "#!/bin/sh\n", 0644);
$rig->handler_file('nowhere', "#!/no/such/interpreter\n");
symlink '/bin/true', "$dir/handlers/away" or die;
mkdir "$dir/handlers/open", 0777 or die;
chmod 0777, "$dir/handlers/open";
$rig->write_file('handlers/open/x', "#!/bin/sh\n", 0755);
$rig->make_folder('handlers/sub', 0755);
$rig->write_file('handlers/sub/fine', "#!/bin/sh\necho below\n", 0755);
# Above the folder that holds the file: one that others may write to lets them put another folder in its place, unless it is
# sticky, as /tmp is.
for my $mode (0777, 0775, 01777) {
    my $above = sprintf 'handlers/above-%o', $mode;
    $rig->make_folder($above, $mode);
    $rig->make_folder("$above/in", 0755);
    $rig->write_file("$above/in/x", "#!/bin/sh\necho ran\n", 0755);
}
my %refused = (
    'above-777/in/x'  => qr/^failed\|refused \S+above-777: it must be a folder .* only its owner may write/,
    'above-775/in/x'  => qr/^failed\|refused \S+above-775: it must be a folder .* only its owner may write/,
    'above-1777/in/x' => qr/^ok\|ran$/,
    absent     => qr/^failed\|cannot find \S+absent: No such file/,
    writable   => qr/^failed\|refused \S+writable: it must be a regular file .* only its owner may write/,
    plain      => qr/^failed\|exit status 71: cannot run \S+plain: Permission denied/,
    nowhere    => qr/^failed\|exit status 71: cannot run \S+nowhere: No such file/,
    away       => qr/^failed\|refused \S+away: it leaves handler_dir/,
    'open/x'   => qr/^failed\|refused \S+open: it must be a folder .* only its owner may write/,
    sub        => qr/^failed\|refused \S+sub: it must be a regular file/,
    'sub/fine' => qr/^ok\|below$/,
);
for my $target (sort keys %refused) {
    $rig->handler("file $target", kind => 'exec', target => $target, max_attempts => 1);
    $rig->event_of("file $target");
}
like $rig->settled("file $_")->[0], $refused{$_}, "file $_" for sort keys %refused;

# ---- the worker is killed ----
shell('lost', "echo \$CANDHOOK_ATTEMPT >>$dir/lost; [ \$CANDHOOK_ATTEMPT -gt 1 ] || exec sleep 1000");
$rig->handler('lost', kind => 'exec', target => 'lost', timeout => '1 hour');
$rig->event_of('lost');
$rig->wait_until(sub { -s "$dir/lost" }, 'it runs');
my $killed = $rig->worker_pid;
my @its = $rig->children($killed);
kill KILL => $killed;
$rig->wait_gone($_) for $killed, @its;
my $restarted = Rig::Process::now();
$rig->start_worker('next worker');
is_deeply $rig->settled('lost'), [ 'retry|attempt lost: its worker ended or its lease ran out', 'ok|' ], 'its attempt is lost, and made again';
cmp_ok Rig::Process::now() - $restarted, '<', 12, 'before its lease has run out: the next worker of the spool gives it back';

# ---- the worker is told to end ----
shell('long', "echo \$\$ >$dir/long; sleep 1000");
$rig->handler('long', kind => 'exec', target => 'long', timeout => '1 hour', concurrency => 1);
$rig->events_of('long', [ { id => 1 }, { id => 2 } ]);
$rig->wait_until(sub { -s "$dir/long" }, 'it runs');
$rig->candhook_ok('stop');
is_deeply $rig->results('long'), ['retry|broken off: the worker was told to end'], 'what runs has some seconds, then it is broken off';
is $rig->sql("select count(*), sum(attempt) from candhook.delivery where handler = 'long' and lease is null"), '2|1', 'what had not begun is given back and not counted';
$rig->wait_gone(0 + $rig->read_file('long'));
pass 'no program is left behind';

done_testing;
