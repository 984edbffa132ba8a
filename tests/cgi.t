# SPDX-License-Identifier: ISC
#
# candhook.fcgi as a CGI program: one request from the environment and stdin, the same answers as under FastCGI, nothing
# of the front's held afterwards, and a worker for what was taken that ends by itself.
use v5.36;
use Test::More;
use Rig;

my $rig = Rig->new;
$rig->cluster;
$rig->conf(max_body => 2000);
$rig->schema;

# What a query without an equal sign becomes by CGI: nobody's options.
our @arguments;

# One request. Returns (exit status, answer, errors); a variable that is undef is left out.
sub cgi ($body, %variable) {
    my %env = (
        GATEWAY_INTERFACE => 'CGI/1.1',
        REQUEST_METHOD    => 'POST',
        REQUEST_URI       => $rig->path,
        CONTENT_LENGTH    => length $body,
        HTTP_PROXY        => 'http://127.0.0.1:1',
        %variable
    );
    return $rig->run({ env => { map { defined $env{$_} ? ($_ => $env{$_}) : () } keys %env }, stdin => $body }, $rig->program('candhook.fcgi'), @arguments);
}

sub answers ($answer, $status, $what) {
    like $answer, qr/\AStatus: $status [A-Z][A-Za-z ]+\r\n(?:[A-Z][A-Za-z-]+: [^\r\n]+\r\n)*Content-Length: 0\r\n\r\n\z/, $what;
}

my ($status, $answer) = cgi($rig->event);
is $status, 0, 'a request is answered';
answers($answer, 200, 'an event is taken');
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.event') == 1 }, 'it is recorded');
pass 'and recorded, by a worker that the request started';
$rig->wait_until(sub { !$rig->own_processes('candhook') }, 'the worker ends');
pass 'which ends by itself';
is_deeply [ glob "$rig->{dir}/spool/*.seg" ], [], 'the spool is empty again';

for my $case (
    [ 'without a length', 200, $rig->event, CONTENT_LENGTH => undef ],
    [ 'with an empty length', 200, $rig->event, CONTENT_LENGTH => '' ],
    [ 'with a length that is too small', 200, $rig->event, CONTENT_LENGTH => 3 ],
    [ 'cut off', 400, '{"module":', CONTENT_LENGTH => 100 ],
    [ 'no object', 400, '[1,2]' ],
    [ 'empty', 400, '' ],
    [ 'too large', 413, '{' . ' ' x 5000 . '}' ],
    [ 'too large without a length', 413, '{' . ' ' x 5000 . '}', CONTENT_LENGTH => undef ],
    [ 'GET', 405, '', REQUEST_METHOD => 'GET' ],
    [ 'a wrong secret', 404, $rig->event, REQUEST_URI => '/candhook/wrong-wrong-wrong-wrong' ],
    [ 'no URI', 404, $rig->event, REQUEST_URI => undef ],
    [ 'a configuration below the document root', 503, $rig->event, DOCUMENT_ROOT => $rig->{dir} ],
  )
{
    my ($what, $wanted, $body, %variable) = @$case;
    answers((cgi($body, %variable))[1], $wanted, $what);
}
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.event') == 4 && $rig->sql('select count(*) from candhook.malformed') == 2 },
    'what was taken is recorded');
pass 'what was taken is recorded, what was refused is not';
is $rig->sql("select string_agg(reason, '; ' order by reason) from candhook.malformed"),
  'cut off: the body ended before its announced length; the body is not a JSON object', 'with the reasons';

for my $words ([ '--listen', "$rig->{dir}/stranger.sock" ], ['--version'], ['--no-such-option'], ["/$rig->{secret}"]) {
    local @arguments = @$words;
    answers((cgi('', REQUEST_METHOD => 'GET', QUERY_STRING => "@$words"))[1], 405, "the query $words->[0] is no option");
}
ok !-e "$rig->{dir}/stranger.sock", 'and nothing listens for it';

# ---- a host that allows no more processes ----
$rig->wait_until(sub { !$rig->own_processes('candhook') }, 'no worker runs');
{
    # Leaks are looked for by a process more.
    my $env = { GATEWAY_INTERFACE => 'CGI/1.1', REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path, ASAN_OPTIONS => 'detect_leaks=0' };
    my ($end, $text) = $rig->run({ env => $env, stdin => $rig->event(payload => { id => 'alone' }) }, 'prlimit', '--nproc=1', $rig->program('candhook.fcgi'));
    is $end, 0, 'without a process more it ends in good order';
    answers($text, 200, 'and takes the event itself');
    is $rig->sql(q{select count(*) from candhook.event where payload ->> 'id' = 'alone'}), 0, 'which nobody has recorded';
    $rig->candhook_ok('work', '--once');
    is $rig->sql(q{select count(*) from candhook.event where payload ->> 'id' = 'alone'}), 1, 'until somebody does';
}

# ---- many at once ----
my @pids = map {
    my $pid = fork // die "fork: $!\n";
    if (!$pid) { my $good = (cgi($rig->event))[1] =~ /^Status: 200/; POSIX::_exit($good ? 0 : 1) }
    $pid;
} 1 .. 20;
my $bad = 0;
for (@pids) { waitpid $_, 0; $bad++ if $? }
is $bad, 0, 'twenty at once are taken';
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.event') == 25 }, 'all are recorded');
pass 'and recorded, whoever of their workers came first';

# ---- by hand, and without a configuration ----
($status, undef, my $words) = $rig->run({}, $rig->program('candhook.fcgi'));
is $status, 64, 'started by nobody it ends';
like $words, qr/not started by a web server/, 'and says what it needs';
like +($rig->run({}, $rig->program('candhook.fcgi'), '--version'))[1], qr/^candhook\.fcgi \d/, '--version';
like +($rig->run({}, $rig->program('candhook.fcgi'), '--help'))[1], qr/--listen/, '--help';
$rig->write_file('secrets', "# none yet\n");
($status, $answer, $words) = cgi($rig->event);
is $status, 78, 'without a secret it refuses to serve';
answers($answer, 503, 'with 503');
like $words . $rig->read_file('log/candhook.log'), qr{secrets.*candhook url new}s, 'and says how to make one';

done_testing;
