# SPDX-License-Identifier: ISC
#
# The shipped nginx/fastcgi.conf, mounted as it is before the real nginx: an event travels to its outcome, many at once do,
# reloads and restarts lose nothing that was acknowledged, and the secret stays out of the logs.
use v5.36;
use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM);
use Test::More;
use Rig;

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
$rig->responder;
$rig->nginx;
my $path = $rig->path;

sub event ($id) { return $rig->event(payload => { id => $id }) }

sub recorded { return split /\n/, $rig->sql(q{select payload ->> 'id' from candhook.event order by 1}) }

sub wait_recorded ($count) {
    $rig->wait_until(sub { $rig->sql('select count(*) from candhook.outcome') >= $count }, "$count events have an outcome");
}

# ---- one event, all the way ----
{
    $rig->sql(<<'END');
create schema app;
create table app.seen (id text);
create function app.see(event candhook.event, bot_token text) returns text language sql
    as $$insert into app.seen values (event.payload ->> 'id') returning 'saw ' || id$$;
grant usage on schema app to candhook_handler;
grant all on app.seen to candhook_handler;
insert into candhook.handler (name, module, type, kind, target) values ('see', 'MOIM', 'product.*', 'sql', 'app.see');
END
    is $rig->post($path, event('CP:1'))->{status}, 200, 'an event is taken';
    is $rig->post($path, $rig->event(type => 'member.joined'))->{status}, 200, 'and one that nobody handles';
    wait_recorded(2);
    is $rig->sql('select handler, result, detail from candhook.outcome where handler <> $$$$'), 'see|ok|saw CP:1', 'the handler has run';
    is $rig->sql('select result from candhook.outcome where handler = $$$$'), 'unhandled', 'the other is unhandled';
    is $rig->sql('select id from app.seen'), 'CP:1', 'and what the handler did is there';
    ok $rig->worker_pid, 'the worker was started by the helper';
    $rig->sql('delete from candhook.handler; truncate candhook.event, candhook.outcome');
}

# ---- many at once ----
{
    my @ids = map { sprintf 'many %03d', $_ } 1 .. 300;
    my @status = $rig->post_many($path, [ map { event($_) } @ids ], 100);
    is_deeply \@status, [ (200) x 300 ], '100 at a time are taken';
    wait_recorded(300);
    is_deeply [ recorded() ], \@ids, 'and each is recorded once';
    $rig->sql('truncate candhook.event, candhook.outcome');
}

# ---- a reload under load: nobody notices ----
{
    my (@ids, @status);
    for my $round (1 .. 5) {
        my @new = map { "reload $round $_" } 1 .. 100;
        my ($reloaded) = $rig->run({}, $rig->nginx_command('-s', 'reload'));
        is $reloaded, 0, 'nginx -s reload';
        push @status, $rig->post_many($path, [ map { event($_) } @new ], 20);
        push @ids, @new;
    }
    is_deeply [ grep { $_ != 200 } @status ], [], 'every POST is answered 200';
    wait_recorded(500);
    is_deeply [ sort { $a cmp $b } recorded() ], [ sort { $a cmp $b } @ids ], 'and recorded once';
    $rig->sql('truncate candhook.event, candhook.outcome');
}

# ---- a restart of the responder under load: what was acknowledged is there, the rest at most once ----
{
    my (@acknowledged, @all);
    for my $round (1 .. 4) {
        my ($responder) = map { $_->{pid} } grep { $_->{name} eq 'responder' } @{ $rig->{processes} };
        my @new = map { "restart $round $_" } 1 .. 200;
        # The signal comes in the middle of the load, from a process of its own.
        my $killer = $rig->start({}, 'sh', '-c', "sleep 0.05; kill -TERM $responder");
        my @status = $rig->post_many($path, [ map { event($_) } @new ], 20);
        $rig->wait_pid($killer, 30);
        $rig->wait_gone($responder);
        $rig->responder;
        push @acknowledged, @new[ grep { $status[$_] == 200 } 0 .. $#new ];
        push @all, @new;
        is_deeply [ grep { !/^(?:200|502)$/ } @status ], [], 'answers are 200, or 502 while nobody listens';
    }
    push @acknowledged, 'last';
    is $rig->post($path, event('last'))->{status}, 200, 'it goes on';
    $rig->wait_until(sub { grep { $_ eq 'last' } recorded() }, 'the last is recorded');
    my %times;
    $times{$_}++ for recorded();
    cmp_ok scalar(@acknowledged), '>', 1, scalar(@acknowledged) - 1 . ' of 800 were acknowledged';
    is_deeply [ grep { !$times{$_} } @acknowledged ], [], 'and are recorded';
    is_deeply [ grep { $times{$_} > 1 } keys %times ], [], 'nothing is recorded twice';
    wait_recorded(scalar keys %times);
    $rig->sql('truncate candhook.event, candhook.outcome');
}

# ---- a sender who does not wait, and one who does not finish ----
{
    for my $i (1 .. 20) {
        my $socket = $rig->connect_front;
        print {$socket} $rig->request_text($path, event("gone $i"));
        $socket->flush;
        close $socket;
    }
    my $cut = $rig->connect_front;
    print {$cut} $rig->request_text($path, event('cut'), length => 1000);
    $cut->flush;
    close $cut;
    wait_recorded(20);
    is_deeply [ sort { $a cmp $b } recorded() ], [ sort { $a cmp $b } map { "gone $_" } 1 .. 20 ],
      'an event whose sender left is recorded, one that did not come whole is not passed on';
    is $rig->sql('select count(*) from candhook.malformed'), 0, 'and leaves nothing';
}

# ---- sizes, and other paths ----
{
    my $answer = $rig->post($path, 'x' x 1_100_000);
    is "$answer->{status} $answer->{body}", '413 ', 'beyond max_body it is the responder that answers 413';
    is $rig->post($path, 'x' x 2_100_000)->{status}, 413, 'beyond 2 MiB it is nginx';
    is $rig->post('/elsewhere', '{}')->{status}, 404, 'what is not mounted is the site\'s';
}

# ---- nobody there ----
{
    my ($responder) = map { $_->{pid} } grep { $_->{name} eq 'responder' } @{ $rig->{processes} };
    $rig->stop($responder);
    is $rig->post($path, '{}')->{status}, 502, 'without a responder: 502';
}

# ---- started by spawn-fcgi ----
SKIP: {
    skip 'spawn-fcgi is not installed', 3 if !$rig->have('spawn-fcgi');
    my $pid = $rig->spawn_fcgi;
    is $rig->post($path, event('spawned'))->{status}, 200, 'under spawn-fcgi an event is taken';
    $rig->wait_until(sub { grep { $_ eq 'spawned' } recorded() }, 'it is recorded');
    pass 'and recorded';
    ok $rig->stop($pid), 'and TERM ends it';
}

# ---- what nginx sends: the four parameters, and nothing of the sender's headers ----
{
    my $listener = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "$rig->{dir}/look.sock", Listen => 5) or die;
    $rig->own("$rig->{dir}/look.sock");
    $rig->stop($rig->{nginx});
    $rig->nginx(socket => "$rig->{dir}/look.sock");
    my $client = $rig->connect_front;
    print {$client} $rig->request_text($path, '{"the":"body"}', headers => [ 'Proxy: evil', 'X-Thing: 1', 'Authorization: Basic x' ]);
    $client->flush;
    my $front = $listener->accept;
    my $bytes = '';
    while ($bytes !~ /"the":"body"/) {
        sysread $front, $bytes, 65536, length $bytes or die "nginx closed\n";
    }
    like $bytes, qr/REQUEST_URI\Q$path\E/, 'nginx sends the path';
    unlike $bytes, qr/HTTP_|evil|X_THING|Basic/, 'and none of the headers';
    is ord(substr $bytes, 10, 1), 1, 'and keeps the connection';
    close $front;

    # A large body fits into no buffer between nginx and a responder that does not read yet.
    my $gone = $rig->connect_front;
    my $request = $rig->request_text($path, 'x' x 1_000_000);
    print {$gone} $request;
    $gone->flush;
    $front = $listener->accept;
    close $gone;
    $rig->post('/elsewhere') for 1 .. 20; # by when both of nginx's workers have seen that it left
    $bytes = '';
    while ($bytes !~ /\x01\x05\0\x01\0\0\0\0$/) {
        sysread $front, $bytes, 1 << 20, length $bytes or last;
    }
    my $got = 0;
    $got += length $1 while $bytes =~ /(x{100,})/g;
    is $got, 1_000_000, 'a body whose sender has left is sent whole';
}

# ---- the other shipped file ----
{
    $rig->copy_shipped(Rig::build_path('nginx/upstream.conf'), 'nginx/upstream.conf');
    my $conf = $rig->read_file('nginx/nginx.conf');
    $conf =~ s/^\s*upstream candhook \{.*$/include $rig->{dir}\/nginx\/upstream.conf;/m or die;
    $rig->write_file('nginx/nginx.conf', $conf);
    my ($status, undef, $err) = $rig->run({}, $rig->nginx_command('-t'));
    is $status, 0, 'nginx takes upstream.conf' or diag $err;
    unlike $rig->read_file('nginx/upstream.conf'), qr/\@\w+\@/, 'in which every folder is filled in';
}

# ---- the secret is in no log; nginx writes its logs after it has answered, so it ends first ----
{
    $rig->stop($rig->{nginx});
    like $rig->read_file('log/nginx_access.log'), qr{"POST /elsewhere }, 'nginx logs what is not ours';
    for my $log (sort glob "$rig->{dir}/log/*") {
        unlike $rig->read_file($log), qr/\Q$rig->{secret}\E/, 'no secret in ' . $log =~ s{.*/}{}r;
    }
}
done_testing;
