# SPDX-License-Identifier: ISC
#
# A large batch is recorded in groups, the places in the spool with the last. A group that fails, or that holds what the
# database refuses, costs no event and doubles none.
use v5.36;
use Test::More;
use FastCGI;
use Rig;

my $rig = Rig->new;
$rig->cluster;
$rig->conf(max_body => 1_200_000);
$rig->schema;
# What is recorded has a delivery, and nobody runs it.
$rig->sql(q{create function public.look(event candhook.event, bot_token text) returns text language sql as 'select null::text';
            select candhook.add_handler('look', 'MOIM', '*', 'sql', 'public.look');
            select candhook.disable_handler('look')});

$rig->responder(args => ['--no-worker']);
my $fcgi = FastCGI->new($rig->{socket});
my $events = 2500;

sub post ($body) {
    $fcgi->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path, CONTENT_LENGTH => length $body, DOCUMENT_ROOT => "$rig->{dir}/nginx" },
        body => $body, keep => 1);
    $fcgi->answer->{status} == 200 or BAIL_OUT('an event was not taken');
}

sub recorded { return $rig->sql(q{select count(*), count(distinct payload ->> 'id') from candhook.event}) }

for my $n (1 .. $events) {
    post($rig->event(payload => { id => "n$n" }));
    # More digits than PostgreSQL has room for.
    post($rig->event(payload => { id => 'refused' }) =~ s/"refused"/'"refused","a":' . '1' x 1_100_000/er) if $n == 1500;
}

# ---- the second group waits for a lock that it does not get ----
$rig->sql(q{create function public.stop() returns trigger language plpgsql as $$
            begin
                if new.payload ->> 'id' = 'n1600' then
                    raise exception 'not now' using errcode = 'lock_not_available';
                end if;
                return new;
            end $$;
            create trigger stop before insert on candhook.event for each row execute function public.stop()});
my $worker = $rig->spawn('worker', $rig->program('candhook'), 'work');
$rig->wait_until(sub { $rig->read_file('log/candhook.log') =~ /not now/ }, 'recording fails');
my ($first) = split /\|/, recorded();
cmp_ok $first, '>', 0, 'the first group is recorded';
cmp_ok $first, '<', 1600, 'and not the one that failed';
is $rig->sql('select count(*) from candhook_internal.spool_position'), 0, 'nor how far the spool is';
$rig->stop($worker) or fail 'TERM ends the worker';
is recorded(), "$first|$first", 'what is recorded once is not recorded again';

# ---- then it gets it ----
$rig->sql('drop trigger stop on candhook.event');
$rig->candhook_ok('work', '--once');
is recorded(), "$events|$events", 'each event is recorded, once';
is $rig->sql('select count(*), count(distinct event_id) from candhook.delivery'), "$events|$events", 'with one delivery';
is $rig->sql('select count(*) from candhook.malformed'), 1, 'what the database refuses is malformed';
like $rig->sql('select reason from candhook.malformed'), qr/overflow/, 'with the reason';
# One, or none when the responder has sealed its idle segment meanwhile.
is $rig->sql('select count(*) from candhook_internal.spool_position'), scalar(() = glob "$rig->{dir}/spool/*.seg"), 'a position is stored for each segment';
$rig->candhook_ok('work', '--once');
is recorded(), "$events|$events", 'nothing comes twice';

# ---- once is as good as always: handlers run unless `runners` leaves them to others ----
$rig->sql(q{select candhook.enable_handler('look')});
$rig->conf(runners => 0);
$rig->candhook_ok('work', '--once');
is $rig->sql('select count(*) from candhook.outcome'), 0, 'without runners nothing is handled';
$rig->conf;
$rig->candhook_ok('work', '--once');
is $rig->sql(q{select count(*) from candhook.outcome where result = 'ok'}), $events, 'with them all is';

# ---- a segment that cannot be opened, a folder here, keeps nobody else waiting ----
my $segment = '01980000-0000-7000-8000-000000000000.seg';
my $all = $events;

sub log_count ($pattern) { return scalar(() = $rig->read_file('log/candhook.log') =~ /$pattern/g) }

mkdir "$rig->{dir}/spool/$segment" or die;
post($rig->event(payload => { id => 'beside' }));
my ($status, undef, $err) = $rig->candhook('work', '--once');
is $status, 75, 'work --once says that not all could be had';
like $err, qr/cannot open segment \Q$segment\E: Is a directory/, 'and names the segment';
is recorded(), join('|', (++$all) x 2), 'the others are recorded';
is $rig->sql(q{select count(*) from candhook.outcome where result = 'ok'}), $all, 'and handled';
my $said = log_count('spool=trouble');
my $failing = log_count('recording=failing');
$worker = $rig->spawn('worker', $rig->program('candhook'), 'work');
for (1 .. 3) {
    post($rig->event(payload => { id => "beside $_" }));
    $all++;
    $rig->wait_until(sub { $rig->sql('select count(*) from candhook.outcome') == $all }, 'the next is handled');
}
is log_count('spool=trouble'), $said + 1, 'a worker says so once';
is log_count('recording=failing'), $failing, 'and goes on with the others';
$rig->stop($worker) or fail 'TERM ends the worker';
rmdir "$rig->{dir}/spool/$segment" or die;
$rig->candhook_ok('work', '--once');

# ---- what no handler matches is one line of the log a group, and rows of a view ----
post($rig->event(module => 'OTHER', type => "type.$_", payload => { id => "unhandled $_" })) for 1, 2, 2;
$rig->candhook_ok('work', '--once');
my @lines = $rig->read_file('log/candhook.log') =~ /^.* info: (event=\S+ outcome=unhandled .*)$/mg;
is scalar @lines, 1, 'a group with events that no handler matches is logged once';
like $lines[0], qr/ module=OTHER type=type\.[12] context=\S.* events=3 types=2$/, 'with one of them and their number';
is $rig->sql('select type, events from candhook.unhandled_types order by 1'), "type.1|1\ntype.2|2", 'the view counts them';
# ---- the schema changes while the worker is not connected ----
$worker = $rig->spawn('worker', $rig->program('candhook'), 'work');
post($rig->event(payload => { id => 'before' }));
$rig->wait_until(sub { $rig->sql(q{select count(*) from candhook.event where payload ->> 'id' = 'before'}) == 1 }, 'it works');
$rig->sql(q{create or replace function candhook.version() returns integer language sql immutable as 'select 99';
            select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'candhook'});
$rig->wait_gone($worker);
like $rig->read_file('log/candhook.log'), qr/worker=ending reason="the schema candhook has version 99/, 'a worker that connects again ends when the schema is another';
$rig->sql(q{create or replace function candhook.version() returns integer language sql immutable as 'select 1'});

# ---- what stands where the spool has its files ----
sub in_its_place ($name, $status, $said, $what, $file = 0) {
    rename "$rig->{dir}/spool/$name", "$rig->{dir}/$name";
    if ($file) { $rig->write_file("spool/$name", '') } else { mkdir "$rig->{dir}/spool/$name" or die "$name: $!\n" }
    my ($got, undef, $err) = $rig->candhook('work', '--once');
    is $got, $status, "$what: status $status";
    like $err . $rig->read_file('log/candhook.log'), $said, "$what: that is said";
    if ($file) { unlink "$rig->{dir}/spool/$name" or die } else { rmdir "$rig->{dir}/spool/$name" or die }
    rename "$rig->{dir}/$name", "$rig->{dir}/spool/$name";
}
in_its_place('worker.lock', 69, qr{cannot open \S+/worker\.lock: Is a directory}, 'no lock');
in_its_place('outcomes', 0, qr/outcomes=not_counted reason="cannot use a file in the spool's folder outcomes: Not a directory"/, 'no counts', 1);
unlink "$rig->{dir}/spool/id";
in_its_place('id.new', 75, qr/cannot make the spool's file id: Is a directory/, 'no id');
chmod 0755, "$rig->{dir}/spool" or die;
my ($open, undef, $why) = $rig->candhook('work', '--once');
is $open, 69, 'a spool that is open to others is not worked on';
like $why, qr/the spool \S+ is open to other users \(mode 0755\): chmod 700 it/, 'and that is said';
chmod 0700, "$rig->{dir}/spool" or die;
$rig->candhook_ok('work', '--once');
done_testing;
