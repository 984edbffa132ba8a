# SPDX-License-Identifier: ISC
#
# A worker that is told to end while its database has gone silent: connections are up, new ones are accepted, and nothing
# is answered, as behind a net that lost packets or a pooler that hangs. It ends within a minute, and nothing is lost.
use v5.36;
use Test::More;
use Rig;

my $rig = Rig->new;
my $dir = $rig->{dir};
$rig->cluster;
$rig->conf(runners => 1);
$rig->schema;

# Passes TCP connections on to the cluster's socket. Once it is silenced (USR1), it takes bytes and connections, and passes
# nothing on; `swallowed` counts the connections whose bytes it took.
$rig->write_file('silent.pl', <<'END');
use v5.36;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
my ($port_file, $swallowed_file, $server) = @ARGV;
my $listener = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1') // die;
my ($silent, %peer, %swallowed) = (0);
sub tell_file ($path, $text) { open my $file, '>', "$path.new" or die; print {$file} $text; close $file; rename "$path.new", $path or die }
$SIG{USR1} = sub { $silent = 1 };
my $select = IO::Select->new($listener);
tell_file($port_file, $listener->sockport);
while (1) {
    for my $socket ($select->can_read) {
        if ($socket == $listener) {
            my $client = $listener->accept // next;
            $select->add($client);
            $peer{$client} = $client, next if $silent;
            my $backend = IO::Socket::UNIX->new(Peer => $server) // die;
            @peer{ $client, $backend } = ($backend, $client);
            $select->add($backend);
            next;
        }
        my $got = sysread $socket, my $bytes, 65536;
        if ($silent && $got) {
            tell_file($swallowed_file, scalar keys %swallowed) if !$swallowed{$socket}++;
            next;
        }
        if ($got) { syswrite $peer{$socket}, $bytes; next }
        $select->remove($socket);
        close $socket;
        if (!$silent) { $select->remove($peer{$socket}); close $peer{$socket} }
    }
}
END
my $proxy = $rig->spawn('silent', $^X, "$dir/silent.pl", "$dir/port", "$dir/swallowed", "$dir/.s.PGSQL.5432");
$rig->wait_until(sub { -e "$dir/port" }, 'the proxy listens');
$rig->conf(runners => 1, database => 'host=127.0.0.1 dbname=candhook user=postgres port=' . $rig->read_file('port'));

$rig->responder(args => ['--no-worker']);
$rig->nginx;
is $rig->post($rig->path, $rig->event)->{status}, 200, 'an event';
my $worker = $rig->spawn('worker', "$dir/bin/candhook", 'work');
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.event') == 1 }, 'it is recorded');
$rig->wait_until(sub { $rig->sql("select count(*) from pg_stat_activity where application_name = 'candhook'") == 3 }, 'recorder and runners are connected');
kill USR1 => $proxy;
is $rig->post($rig->path, $rig->event)->{status}, 200, 'another one, when the database is silent';
$rig->wait_until(sub { $rig->read_file('swallowed') ne '' && $rig->read_file('swallowed') >= 3 }, 'all three wait for an answer', 60);
my ($status, $out, $err) = $rig->candhook('stop', { seconds => 120 });
is $status, 0, 'candhook stop ends it' or diag $err;
$rig->wait_gone($worker);
pass 'it is gone';
$rig->forget($worker);
$rig->conf;
$rig->candhook_ok('work', '--once');
is $rig->sql('select count(*) from candhook.event'), 2, 'the next one records what was left';
done_testing;
