# SPDX-License-Identifier: ISC
#
# The shipped nginx/fastcgi.conf, mounted as it is in the real nginx, beyond the suite of tests/front_nginx_*.t: an event
# travels to its outcome, a responder ends in good order, and what nginx sends to it.
use v5.36;
use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM);
use Test::More;
use Rig;

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
my $responder = $rig->responder;
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
    ok $rig->worker_pid, 'the worker was started by the monitor';
    $rig->sql('delete from candhook.handler; truncate candhook.event, candhook.outcome');
}

# ---- a responder that is told to end answers what it has; what comes before the next one listens gets 502 ----
{
    my @ids = map { sprintf 'restart %03d', $_ } 1 .. 300;
    my @status = $rig->post_many($path, [ map { event($_) } @ids ], 20, answered => [ 100, sub {
        $rig->stop($responder) or die "TERM did not end it\n";
        $responder = $rig->responder;
    } ]);
    is_deeply [ grep { !/^(?:200|502)$/ } @status ], [], 'answers are 200, or 502 while nobody listens';
    my @acknowledged = @ids[ grep { $status[$_] == 200 } 0 .. $#ids ];
    cmp_ok scalar(@acknowledged), '>=', 100, scalar(@acknowledged) . ' of 300 were acknowledged';
    wait_recorded(scalar @acknowledged);
    my %times;
    $times{$_}++ for recorded();
    is_deeply [ grep { !$times{$_} } @acknowledged ], [], 'and are recorded';
    is_deeply [ grep { $times{$_} > 1 } keys %times ], [], 'nothing twice';
    is $rig->post('/elsewhere', '{}')->{status}, 404, 'what is not mounted is the site\'s';
}

# ---- nobody there ----
{
    $rig->stop($responder);
    is $rig->post($path, '{}')->{status}, 502, 'without a responder: 502';
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

# ---- the shipped files for the http block, as make fills them in ----
for my $case ([ 'upstream', 'fastcgi' ], [ 'upstream_fcgiwrap', 'fcgiwrap' ]) {
    my ($upstream, $mount) = @$case;
    my $text = $rig->read_file(Rig::build_path("nginx/$upstream.conf"));
    unlike $text, qr/\@\w+\@/, "$upstream.conf: every folder is filled in";
    $rig->write_file("nginx/$upstream.conf", $text);
    $rig->copy_shipped(Rig::source_path("nginx/$mount.conf"), "nginx/$mount.conf");
    my $conf = $rig->read_file('nginx/nginx.conf');
    $conf =~ s/^upstream candhook \{.*?^\}\n.*?^\}\n/include $rig->{dir}\/nginx\/$upstream.conf;/ms or die;
    like $text, qr/^# +access_log FILE combined if=\$candhook_logged;$/m, "$upstream.conf tells what to write into the site's access_log line";
    like $rig->read_file(Rig::source_path('nginx/README')), qr/^ +access_log \S+ combined if=\$candhook_logged;$/m, 'as does README';
    like $conf, qr/ combined if=\$candhook_logged;$/m, 'which is what stands there';
    $conf =~ s{nginx/fastcgi\.conf}{nginx/$mount.conf} or die;
    $rig->write_file('nginx/try.conf', $conf);
    my ($status, undef, $err) = $rig->run({}, map { s{nginx/nginx\.conf$}{nginx/try.conf}r } $rig->nginx_command('-t'));
    is $status, 0, "nginx takes $upstream.conf with $mount.conf" or diag $err;
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
