# SPDX-License-Identifier: ISC
#
# A synchronous standby that is away: a commit that was cancelled, or whose backend was ended, while it waited for the standby
# looks like any other on the primary. The spool keeps what only the primary has, so that a failover loses nothing.
use v5.36;
use Test::More;
use FastCGI;
use Rig;

my $rig = Rig->new;
my $dir = $rig->{dir};
$rig->cluster;
$rig->conf(database => "host=$dir,$dir port=5432,5433 dbname=candhook user=postgres target_session_attrs=read-write");
$rig->candhook_ok('init');
$rig->standby_make;
$rig->standby_start;
$rig->sql("alter system set synchronous_standby_names = '*'");
$rig->sql('select pg_reload_conf()');
$rig->wait_until(sub { $rig->sql('select count(*) from pg_stat_replication where sync_state = $$sync$$') == 1 }, 'the standby is synchronous');

sub post (@ids) {
    my $responder = $rig->responder(args => ['--no-worker']);
    my $fcgi = FastCGI->new($rig->{socket});
    for my $id (@ids) {
        $fcgi->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path, CONTENT_LENGTH => length $rig->event(payload => { id => $id }),
                DOCUMENT_ROOT => "$dir/nginx" }, body => $rig->event(payload => { id => $id }), keep => 1);
        $fcgi->answer->{status} == 200 or BAIL_OUT('an event was not taken');
    }
    $rig->stop($responder);
}

sub segments { return scalar(() = glob "$dir/spool/*.seg") }

# The backend that records, once it waits for the standby.
sub waiting_backend {
    my $pid;
    $rig->wait_until(sub { $pid = $rig->sql(q{select pid from pg_stat_activity where wait_event = 'SyncRep'}) }, 'the commit waits for the standby');
    return $pid;
}

sub log_count ($pattern) { return scalar(() = $rig->read_file('log/candhook.log') =~ /$pattern/g) }

post('first');
$rig->candhook_ok('work', '--once');
is segments(), 0, 'with the standby there, what is recorded leaves the spool';

$rig->standby_stop;
post('second');
is segments(), 1, 'an event was answered 200';
my $worker = $rig->spawn('worker', $rig->program('candhook'), 'work');
$rig->sql('select pg_cancel_backend(' . waiting_backend() . ')');
$rig->wait_until(sub { log_count('recording=failing[^\n]*may not be durable') }, 'a commit with a warning is no success');
is segments(), 1, 'and the spool keeps the event';
my $lost = log_count('recording=failing');
$rig->sql('select pg_terminate_backend(' . waiting_backend() . ')');
$rig->wait_until(sub { waiting_backend() && log_count('recording=') >= $lost }, 'a backend that was ended is replaced, and waits, too');
is segments(), 1, 'the spool keeps the event';
$rig->stop($worker) or fail 'TERM ends the worker';
is segments(), 1, 'also when the worker is told to end meanwhile';
is $rig->sql('select count(*) from candhook.event'), 2, 'though the primary has it by now';

# ---- the primary is lost for good ----
$rig->pg_kill9;
$rig->standby_start;
is $rig->sql('select count(*) from candhook.event', port => 5433), 1, 'the standby does not';
$rig->promote;
$rig->candhook_ok('work', '--once');
is $rig->sql(q{select string_agg(payload ->> 'id', ' ' order by id) from candhook.event}), 'first second', 'it gets it from the spool, once';
is segments(), 0, 'which may forget it now';
done_testing;
