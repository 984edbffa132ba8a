# SPDX-License-Identifier: ISC
#
# A spool in its database's life: it has a name of its own there, and what it keeps can be recorded again.
use v5.36;
use Test::More;
use FastCGI;
use Rig;

my $rig = Rig->new;
my $dir = $rig->{dir};
$rig->cluster;
$rig->conf(keep_sealed => '1h');
$rig->schema;

sub post (@ids) {
    my $responder = $rig->responder(args => ['--no-worker']);
    my $fcgi = FastCGI->new($rig->{socket});
    for my $id (@ids) {
        my $body = $rig->event(payload => { id => $id });
        $fcgi->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path, CONTENT_LENGTH => length $body, DOCUMENT_ROOT => "$dir/nginx" },
            body => $body, keep => 1);
        $fcgi->answer->{status} == 200 or BAIL_OUT('an event was not taken');
    }
    $rig->stop($responder);
}

# ---- the id ----
post('one', 'two');
$rig->candhook_ok('work', '--once');
my $uuid = qr/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;
my $id = $rig->read_file('spool/id');
like $id, qr/\A$uuid\z/, 'the first worker gives the spool an id';
is sprintf('%04o', (stat "$dir/spool/id")[2] & 07777), '0600', 'which is nobody else\'s business';
chomp(my $host = `hostname`);
my $lease = "insert into candhook.delivery (event_id, received_at, handler, origin_community_id, order_key, lease, worker, due_at, attempt)
             select id, received_at, %s, 'G1', '', %d, %s, now() + interval '15 s', 1 from candhook.event where payload ->> 'id' = 'one'";
$rig->sql(q{select candhook.add_handler('mine', 'x', 'x', 'exec', 'x'), candhook.add_handler('theirs', 'x', 'x', 'exec', 'x')});
$rig->sql(q{select candhook.disable_handler('mine'), candhook.disable_handler('theirs')});
$rig->sql(sprintf $lease, "'mine'", 1, "'$host/$id/1/0'");
$rig->sql(sprintf $lease, "'theirs'", 2, "'$host/00000000-0000-7000-8000-000000000000/1/0'");
$rig->candhook_ok('work', '--once');
is $rig->sql('select string_agg(handler, $$ $$) from candhook.delivery where due_at > now()'), 'theirs', 'a worker ends the leases of its spool, not of one on another file system that looks alike';
is $rig->read_file('spool/id'), $id, 'the next worker finds the same id';
$rig->write_file('spool/id', 'nonsense');
$rig->candhook_ok('work', '--once');
like $rig->read_file('spool/id'), qr/\A$uuid\z/, 'what is no id is replaced';

# ---- what is kept ----
is scalar(() = glob "$dir/spool/kept/*.seg"), 1, 'a recorded segment is kept';
is $rig->sql('select count(*) from candhook_internal.spool_position'), 0, 'and the database forgets how far it was recorded';
$rig->sql(q{delete from candhook.outcome o using candhook.event e where o.event_id = e.id and e.payload ->> 'id' = 'two'; delete from candhook.event where payload ->> 'id' = 'two'});    # as a database that lost its last transactions
system("mv $dir/spool/kept/*.seg $dir/spool/") == 0 or die;
$rig->candhook_ok('work', '--once');
is $rig->sql(q{select string_agg(payload ->> 'id', ' ' order by id) from candhook.event}), 'one two', 'moved back, it is recorded again: what was lost is there, what was there is not doubled';

# ---- bit rot, and a torn end, are told: in the log, by status and by doctor ----
post('three', 'four', 'five');
my ($segment) = glob "$dir/spool/*.seg";
open my $file, '+<:raw', $segment or die "cannot open $segment: $!\n";
my $bytes = do { local $/; <$file> };
my $middle = index $bytes, '"four"';
substr $bytes, $middle + 1, 1, 'F';
my $seal = rindex $bytes, substr($bytes, 40, 4);    # what each record begins with: the last one is the seal
$bytes = substr($bytes, 0, $seal) . substr($bytes, 40, 50);
seek $file, 0, 0;
truncate $file, 0;
print {$file} $bytes;
close $file or die;
$rig->candhook_ok('work', '--once');
is $rig->sql(q{select string_agg(payload ->> 'id', ' ' order by id) from candhook.event where payload ->> 'id' ~ '^(three|four|five)'}), 'three five', 'a changed byte costs one event';
my $log = $rig->read_file('log/candhook.log');
like $log, qr/error: segment=\S+ state=damaged offset=\d+ length=\d+ .*copy is kept/, 'the log tells the rot';
like $log, qr/warning: segment=\S+ state=torn offset=\d+ length=50 /, 'and the torn end';
is scalar(() = glob "$dir/spool/damaged/*"), 2, 'both are kept';
is scalar(() = glob "$dir/spool/damaged/*.torn"), 1, 'under names that tell them apart';
like +($rig->candhook('status'))[1], qr{1 files in damaged/}, 'status tells the rot';
my $said = ($rig->candhook('doctor'))[1];
like $said, qr/WRONG +damaged/, 'doctor finds the rot wrong';
like $said, qr/note +torn/, 'and notes the torn end';
done_testing;
