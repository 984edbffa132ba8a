# SPDX-License-Identifier: ISC
#
# What Apache does beside what every mount must: who starts and ends the programs, what its logs tell when the program
# cannot be reached, what CGI leaves to the worker while Apache reloads, and the folder in the document root where Apache
# runs no programs or runs them as suEXEC does.
use v5.36;
use Test::More;
use Rig;

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
my $path = $rig->path;

sub event ($id) { return $rig->event(payload => { id => $id }) }

sub wait_recorded ($id) {
    $rig->wait_until(sub { $rig->sql("select count(*) from candhook.event where payload ->> 'id' = '$id'") == 1 }, "$id is recorded");
    pass "$id is recorded";
}

# A page or an event within 10 s: the site is not frozen.
sub answers_soon ($target, $body, $method, $what) {
    my $socket = $rig->connect_front;
    print {$socket} $rig->request_text($target, $body, method => $method);
    $socket->flush;
    is eval { $rig->answer($socket, 10)->{status} }, 200, $what;
}

# ---- mod_fcgid: a worker outlives Apache, and the programs do not ----
{
    $rig->apache;
    is $rig->post($path, event('fcgid'))->{status}, 200, 'an event is taken';
    wait_recorded('fcgid');
    my $worker = $rig->worker_pid;
    ok $worker, 'by a worker that the program started';
    ok $rig->stop($rig->{apache}), 'TERM ends Apache';
    $rig->wait_until(sub { !$rig->own_processes('candhook.fcgi') }, 'the programs are gone');
    is $rig->worker_pid, $worker, 'the worker has stayed';
    $rig->candhook_ok('stop');
    $rig->wait_until(sub { !$rig->workers }, 'it ends when it is asked');
    unlink "$rig->{dir}/spool/stopped" or die;
}

# ---- the secret is in no log, not even when the program cannot be reached ----
for my $case ([ 'mod_fcgid.conf' ], [ 'cgi.conf', 'cgid' ], [ 'proxy_fcgi.conf' ]) {
    my ($mount, @modules) = @$case;
    $rig->apache(mount => $mount, modules => \@modules);
    is $rig->post('/elsewhere', '{}')->{status}, 404, "$mount: what is not mounted is the site's";
    if ($mount eq 'proxy_fcgi.conf') {
        is $rig->post($path, '{}')->{status}, 503, 'a program that does not run: 503';
        my $responder = $rig->responder(args => ['--no-worker']); # or its worker would stay for what follows
        is $rig->post($path, event('after'))->{status}, 200, 'when it runs, at once 200';
        $rig->stop($responder);
    } else {
        rename "$rig->{dir}/bin", "$rig->{dir}/moved" or die;
        my $answer = $rig->post($path, '{}');
        cmp_ok $answer->{status}, '>=', 403, "a program that is not there: $answer->{status}";
        rename "$rig->{dir}/moved", "$rig->{dir}/bin" or die;
        chmod 0, "$rig->{dir}/bin" or die;
        is $rig->post($path, '{}')->{status}, 403, 'a program that Apache may not reach: 403';
        chmod 0700, "$rig->{dir}/bin" or die;
    }
    $rig->stop($rig->{apache}); # it writes its logs after it has answered
    like $rig->read_file('log/apache_access.log'), qr{"POST /elsewhere }, 'Apache logs what is not ours';
    for my $log (sort glob "$rig->{dir}/log/*") {
        unlike $rig->read_file($log), qr/\Q$rig->{secret}\E/, 'no secret in ' . $log =~ s{.*/}{}r;
    }
    my ($log) = $rig->read_file("apache/$mount") =~ /^# +CustomLog FILE (combined .+)$/m;
    like $rig->read_file(Rig::source_path('apache/README')), qr{access\.log \Q$log\E\n}, 'README has the CustomLog line that the shipped file tells';
    unlike $rig->read_file("apache/$mount"), qr/\@\w+\@/, 'every folder of the shipped file is filled in';
}

# ---- CGI: the worker that a request leaves behind holds nothing of Apache's, and Apache reloads and stops meanwhile ----
sub held ($pid) { return map { (readlink // '') =~ /^(?:socket|pipe):/ ? readlink : () } glob "/proc/$pid/fd/*" }

$rig->write_file('handlers/wait', "#!/bin/sh\n: >$rig->{dir}/began\nwhile [ ! -e $rig->{dir}/go ]; do sleep 0.05; done\n", 0700);
$rig->sql(q{select candhook.add_handler('wait', 'MOIM', 'wait.*', 'exec', 'wait')});
for my $case ([ 'prefork', 'cgi' ], [ 'event', 'cgid' ]) {
    my ($mpm, $module) = @$case;
    unlink map { "$rig->{dir}/$_" } qw(began go);
    $rig->apache(mount => 'cgi.conf', mpm => $mpm, modules => [$module]);
    is $rig->post($path, $rig->event(type => "wait.$module"))->{status}, 200, "mod_$module: an event is taken";
    $rig->wait_until(sub { -e "$rig->{dir}/began" }, 'its handler runs');
    my $worker = $rig->worker_pid;
    like $rig->command_line($worker), qr/work --unless-stopped --once/, 'in the worker that the request left behind';
    my %ours = map { $_ => 1 } map { held($_) } $rig->own_processes;
    my %table = %{ Rig::Process::process_table() };
    my @apache = grep { $_ == $rig->{apache} || $table{$_}[0] == $rig->{apache} } keys %table;
    ok @apache > 1, 'beside which Apache has its processes';
    is_deeply [ grep { $ours{$_} } map { held($_) } @apache ], [], 'whose sockets and pipes it does not hold';
    $rig->apache_graceful;
    answers_soon('/page.txt', '', 'GET', 'after a reload the site answers');
    answers_soon($path, event("meanwhile $module"), 'POST', 'and takes events');
    ok $rig->stop($rig->{apache}), 'Apache stops';
    is $rig->worker_pid, $worker, 'the worker has stayed';
    $rig->write_file('go', '');
    $rig->wait_until(
        sub { $rig->sql("select count(*) from candhook.outcome join candhook.event on event.id = outcome.event_id where type = 'wait.$module' and result = 'ok'") == 1 },
        'the handler ends well'
    );
    wait_recorded("meanwhile $module");
    $rig->wait_until(sub { !$rig->workers }, 'the workers end');
}

# ---- .htaccess where Apache runs no programs: the wrapper is not handed out ----
{
    $rig->apache(mount => 'htaccess');
    for my $target ($path, '/candhook/', '/candhook/candhook.fcgi', '/candhook/.htaccess', '/candhook/candhook.fcgi/x') {
        my $answer = $rig->post($target, '', method => 'GET', length => undef);
        is $answer->{status}, 403, 'without mod_fcgid and CGI: ' . $target =~ s/\Q$rig->{secret}\E/SECRET/r . ' is refused';
        like $answer->{body}, qr/\Acandhook: this web server has neither mod_fcgid nor CGI/, 'and says why';
        unlike $answer->{body}, qr/exec|CONF/, 'and not what stands in the wrapper';
    }
    is $rig->post('/page.txt', '', method => 'GET')->{status}, 200, 'the site is as it was';
    $rig->stop($rig->{apache});
    my $wrapper = $rig->read_file('apache/htdocs/candhook/candhook.fcgi');
    is scalar(() = $wrapper =~ /\n/g), 2, 'the wrapper has two lines';
    unlike $wrapper, qr/\Q$rig->{secret}\E|\@\w+\@/, 'and no secret in them';
}

# ---- .htaccess without its lines of mod_fcgid: CGI, which takes more than 128 KiB ----
{
    my $large = $rig->event(payload => { id => 'large', text => 'x' x 200_000 });
    $rig->apache(mount => 'htaccess', modules => [qw(fcgid cgid)]);
    is $rig->post($path, $large)->{status}, 500, 'mod_fcgid takes no more than 128 KiB';
    my $lines = $rig->read_file('apache/htdocs/candhook/.htaccess');
    my $count = $lines =~ s{^ *<IfModule mod_fcgid\.c>\n(?:.*\n){2} *</IfModule>\n}{}m;
    is $count, 1, 'mod_fcgid has four lines';
    $rig->write_file('apache/htdocs/candhook/.htaccess', $lines, 0644);
    is $rig->post($path, $large)->{status}, 200, 'without them it is taken';
    wait_recorded('large');
    $rig->stop($rig->{apache});
    $rig->apache(mount => 'htaccess', modules => ['fcgid']);
    $rig->write_file('apache/htdocs/candhook/.htaccess', $lines, 0644);
    is $rig->post('/candhook/candhook.fcgi')->{status}, 403, 'and where there is no CGI the wrapper is refused, not handed out';
    $rig->stop($rig->{apache});
}

# ---- the wrapper as suEXEC starts it: in its folder, by its name alone, with an environment of little more than the request ----
{
    my $folder = "$rig->{dir}/apache/htdocs/candhook";
    my @same   = map { sprintf '%04o', (stat $_)[2] & 07022 } $folder, "$folder/candhook.fcgi";
    is_deeply \@same, [ '0000', '0000' ], 'nobody else may write the folder and the wrapper, which suEXEC wants';
    my $body = event('suexec');
    my @environment = (
        'PATH=/usr/local/bin:/usr/bin:/bin', 'GATEWAY_INTERFACE=CGI/1.1', 'REQUEST_METHOD=POST', "REQUEST_URI=$path",
        'CONTENT_LENGTH=' . length $body, "DOCUMENT_ROOT=$rig->{dir}/apache/htdocs", "SCRIPT_FILENAME=$folder/candhook.fcgi",
        'SCRIPT_NAME=/candhook/candhook.fcgi', 'QUERY_STRING=', 'SERVER_PROTOCOL=HTTP/1.1', 'REDIRECT_STATUS=200'
    );
    my ($status, $answer, $words) = $rig->run({ dir => $folder, stdin => $body }, 'env', '-i', @environment, './candhook.fcgi');
    is "$status $words", '0 ', 'it runs';
    like $answer, qr/\AStatus: 200 OK\r\n/, 'and takes the event';
    wait_recorded('suexec');
}
done_testing;
