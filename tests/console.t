# SPDX-License-Identifier: ISC
#
# The console's API behind nginx: who may enter, what a session is worth, what another site or a stranger can have done, and that
# no answer holds a token. What the answers hold: sql_console.t; the page: console_browser.t.
use v5.36;
use Test::More;
use JSON::PP ();
use Browser;
use FastCGI;
use Rig;

my $rig = Rig->new;
my $dir = $rig->{dir};
$rig->have('nginx') or plan skip_all => 'nginx is not installed';
my $json = JSON::PP->new->utf8->canonical;
$rig->cluster;
my %settings = (web_database => $rig->conninfo(user => 'my_web'));
$rig->conf(%settings);
$rig->schema;
$rig->sql('create role my_web login; grant candhook_web, candhook_reader, candhook_admin to my_web');
$rig->candhook_ok('work', '--once');
my $web = $rig->web;
my $upstream = $rig->read_file($rig->fill_shipped('nginx/upstream_web.conf', 'upstream_web.conf')) =~ s/unix:[^;]+/unix:$rig->{web_socket}/r;
$rig->nginx(mount => 'web.conf', http => "map \$request \$candhook_logged { default 1; }\n$upstream");
my $here = "Origin: http://127.0.0.1:$rig->{port}";
my $form = 'Content-Type: application/x-www-form-urlencoded';
my @browsers;
sub browser { push @browsers, Browser->new($rig); return $browsers[-1] }
sub ask ($browser, $path, %option) {
    my $page = $browser->fetch(delete $option{url} // "/candhook-app/console/$path", %option);
    $page->{json} = eval { $json->decode($page->{body}) };
    return $page;
}
sub post ($browser, $path, $body, @headers) { return ask($browser, "api/$path", method => 'POST', body => $body, headers => [@headers]) }
# A try is not looked at within a second of one that failed: then once more.
sub log_in ($browser, $name, $password) {
    my $page;
    $rig->wait_until(sub { ($page = try_log_in($browser, $name, $password))->{status} != 429 }, 'a try is looked at');
    return $page;
}
sub try_log_in ($browser, $name, $password) {
    my $page = post($browser, 'login', "name=$name&password=$password", $form, $here);
    $browser->{action} = "X-Candhook-Action: $page->{json}{action}" if $page->{status} == 200;
    return $page;
}
sub act ($browser, %asked) { return post($browser, 'act', $json->encode(\%asked), 'Content-Type: application/json', $here, $browser->{action} // ()) }
sub add_user ($name, $password, @options) { $rig->candhook_ok('web-user', 'add', $name, @options, { stdin => "$password\n" }) }

# ---- the page, for everybody ----
my $stranger = browser();
my $page = $stranger->fetch('/candhook-app/console');
is "$page->{status} $page->{headers}{location}", '302 console/', 'without a slash';
$page = ask($stranger, '');
is $page->{status}, 200, 'the page';
is $page->{headers}{'content-type'}, 'text/html; charset=utf-8', 'as HTML';
my $csp = $page->{headers}{'content-security-policy'};
like $csp, qr/^default-src 'none'; .*frame-ancestors 'none'/, 'with a policy';
unlike $csp, qr/unsafe|https?:|\*/, 'that lets nothing in';
is join('|', $page->{headers}->@{qw(x-content-type-options cache-control referrer-policy)}), 'nosniff|no-store|no-referrer', 'kept by nobody';
unlike $page->{body} =~ s/"data:[^"]*"//gr, qr/<script(?![^>]*\bsrc=)|\bon\w+=|style=|https?:/, 'it holds no script and no style, and loads from no other host';
is ask($stranger, $_)->{status}, 200, $_ for qw(console.css console.js);
is ask($stranger, 'console.css')->{headers}{'content-type'}, 'text/css; charset=utf-8', 'as what it is';
for my $trick ('console.html/', 'x.js', '../../../etc/passwd', '..%2f..%2fcandhook.conf', '%2e%2e/web.users', 'console.js%00', 'candhook.conf', 'api', 'apix/session') {
    my $status = ask($stranger, $trick)->{status};
    ok $status == 404 || $status == 400, "$trick: $status";
}
is ask($stranger, 'console.js', method => 'HEAD')->{body}, '', 'HEAD';

# ---- nobody may enter ----
my @paths = qw(status overview events event body handlers failures malformed unhandled tokens audit nothing);
is_deeply ask($stranger, 'api/session')->{json}, { user => undef }, 'nobody is logged in';
is ask($stranger, "api/$_")->{status}, 401, "$_ needs a session" for @paths;
is post($stranger, $_, '{}', 'Content-Type: application/json', $here)->{status}, 401, "$_ too" for qw(act token logout);
is log_in($stranger, 'anna', 'correct-horse')->{status}, 401, 'there is no user yet';
ok !-e "$dir/web.users", 'and no file of them';
add_user('anna', 'correct-horse');
add_user('rita', 'only-looking', '--read-only');

# ---- log-in ----
is log_in($stranger, 'anna', 'correct-horsf')->{status}, 401, 'a wrong password';
is log_in($stranger, 'nobody', 'correct-horse')->{status}, 401, 'a wrong name';
is log_in($stranger, "anna'--", 'x' x 300)->{status}, 401, 'odd ones';
like $rig->read_file('log/candhook.log'), qr/console=refused user=anna failures=2\n.*console=refused user=unknown failures=3/, 'the log counts, and has no name that is none';
unlike $rig->read_file('log/candhook.log'), qr/correct-hors/, 'and tells no password';
is post($stranger, 'login', 'name=anna&password=correct-horse', $form)->{status}, 403, 'no page of ours has sent it';
is post($stranger, 'login', 'name=anna&password=correct-horse', $form, "Origin: http://evil.example")->{status}, 403, 'but one of another site';
is post($stranger, 'login', 'name=anna&password=correct-horse', $form, $here, 'Sec-Fetch-Site: cross-site')->{status}, 403, 'as the browser says';
is ask($stranger, 'api/login?name=anna&password=correct-horse')->{status}, 405, 'not by GET';
$rig->wait_until(sub { ($page = post($stranger, 'login', 'name=anna&password=correct-horse', 'Content-Type: text/plain', $here))->{status} != 429 }, 'a try is looked at');
is $page->{status}, 401, 'only by a form';
my $anna = browser();
$page = log_in($anna, 'anna', 'correct-horse');
is $page->{status}, 200, 'the right one';
is_deeply [ $page->{json}->@{qw(user read_only failures)} ], [ 'anna', JSON::PP::false, 5 ], 'says who, and how often others have tried';
my $cookie = $page->{headers}{'set-cookie'};
like $cookie, qr/^candhook-console=[^;]+; Path=\/; Max-Age=28800; HttpOnly; SameSite=Strict$/, 'a cookie that scripts and other sites do not get';
like post($stranger, 'login', 'name=anna&password=correct-horse', $form, 'Origin: https://the.site', 'Sec-Fetch-Site: same-origin')->{headers}{'set-cookie'},
  qr/^__Host-candhook-console=[^;]+; .*; Secure$/, 'with https it is the host\'s own';
$stranger->{cookies} = {};
is ask($anna, 'api/session')->{json}{user}, 'anna', 'the session holds';
is ask($anna, 'api/session')->{json}{action}, $page->{json}{action}, 'and its action token, too';
is log_in(browser(), 'anna', 'correct-horse')->{json}{failures}, 0, 'the count begins anew';

# ---- only where it is mounted, so that the web server's rules for its path hold ----
for my $path ('x/console', 'candhook-app/console', 'console/console', 'console/x/console') {
    is ask($anna, '', url => "/candhook-app/$path/api/session")->{status}, 404, "not at $path";
}

# ---- what it shows ----
$rig->sql(q{select candhook.set_bot_token('G1', 'canary-of-a-bot-token')});
for my $path (grep { !/^(?:event|body|nothing)$/ } @paths) {
    $page = ask($anna, "api/$path");
    is $page->{status}, 200, "$path";
    is $page->{headers}{'content-type'}, 'application/json', "$path is JSON" if $path eq 'events';
}
is ask($anna, 'api/nothing')->{status}, 404, 'nothing else';
is ask($anna, 'api/status')->{json}{status}, 'healthy', 'all is well';
is ask($anna, 'api/status')->{json}{spool}{events}, 0, 'with the spool';
is ask($anna, "api/events?$_")->{status}, 400, "refused: $_" for 'id=1', 'since=x', 'module=%ff', 'module=%00', 'x=%4', 'since=%27%20or%20true';
is ask($anna, 'api/events?module=' . join('', map { sprintf '%%%02x', ord } split //, "M\xc3\xb6") . '&unknown=1')->{status}, 200, 'other letters, and unknown parameters';
is ask($anna, 'api/event?id=019ab1c2-d3e4-7000-8000-000000000001')->{status}, 404, 'no such event';
is ask($anna, 'api/events', method => 'POST', body => '{}', headers => [ $here, $anna->{action} ])->{status}, 405, 'questions are read';
is ask($anna, 'api/events', headers => ["Sec-Fetch-Site: $_"])->{status}, 403, "not when the browser says $_" for qw(cross-site same-site);
is ask($anna, 'api/events', headers => ['Sec-Fetch-Site: none'])->{status}, 200, 'but when a person has typed the address';
is ask($anna, 'api/act')->{status}, 405, 'and actions posted';
is ask($anna, 'api/act')->{headers}{allow}, 'POST', 'which is said';

# ---- actions ----
$rig->sql(q{create schema app; grant usage on schema app to public;
    create function app.fine(event candhook.event, bot_token text) returns text language sql as $$ select 'done' $$;
    select candhook.add_handler('fine', 'MOIM', '*', 'sql', 'app.fine')});
my %pause = (do => 'disable', handler => 'fine');
is_deeply act($anna, %pause, count => JSON::PP::true)->{json}, { concerned => 0 }, 'counted';
is_deeply act($anna, %pause)->{json}, { done => 0 }, 'done';
is $rig->sql('select enabled from candhook.handler'), 'f', 'indeed';
is act($anna, do => 'enable', handler => 'nobody')->{status}, 404, 'no such handler';
like act($anna, do => 'enable', handler => 'nobody')->{json}{hint}, qr/There are: 'fine'/, 'with a remedy';
my $asked = $json->encode({ do => 'enable', handler => 'fine' });
my @type = 'Content-Type: application/json';
is post($anna, 'act', $asked, @type, $here)->{status}, 403, 'not without the action token';
is post($anna, 'act', $asked, @type, $here, 'X-Candhook-Action: x')->{status}, 403, 'nor with another';
is post($anna, 'act', $asked, @type, $anna->{action})->{status}, 403, 'nor from nowhere';
is post($anna, 'act', $asked, @type, $anna->{action}, 'Origin: null')->{status}, 403, 'nor from a sandbox';
is post($anna, 'act', $asked, @type, $anna->{action}, "Origin: http://127.0.0.1:1")->{status}, 403, 'nor from another port';
is post($anna, 'act', $asked, @type, $anna->{action}, $here, "Sec-Fetch-Site: $_")->{status}, 403, "nor when it is $_" for qw(cross-site same-site none);
is post($anna, 'act', $asked, $form, $anna->{action}, $here)->{status}, 400, 'nor as a form';
is post($anna, 'act', "$asked\xff", @type, $anna->{action}, $here)->{status}, 400, 'nor in another encoding';
is post($anna, 'act', $_, @type, $anna->{action}, $here)->{status}, 400, "refused: $_" for '', '[]', '{', '{"do":1}', "{\"do\":\"enable\",\"handler\":\"\\u0000\"}";
is post($anna, 'act', 'x' x 70000, @type, $anna->{action}, $here)->{status}, 413, 'nor when it is long';
is $rig->sql('select enabled from candhook.handler'), 'f', 'nothing of it was done';
is act($anna, do => 'enable', handler => 'fine')->{status}, 200, 'but this';

# ---- tokens ----
$page = post($anna, 'token', 'community=G%2f2&token=canary-two', $form, $here, $anna->{action});
is $page->{json}{stored}, 'G/2', 'a token is stored';
is $rig->sql(q{select token || how from candhook.bot_token where origin_community_id = 'G/2'}), 'canary-twoconsole', 'indeed';
is $rig->sql(q{select who || what || detail from candhook.audit order by id desc limit 1}), 'annastore tokenG/2', 'and noted';
is post($anna, 'token', $_, $form, $here, $anna->{action})->{status}, 400, "refused: $_" for 'community=G2', 'token=x', 'community=&token=', 'community=G2&token=canary+three';
is post($anna, 'token', 'community=G3&token=canary-three', $form, $here)->{status}, 403, 'not without the action token';
is $rig->sql('select count(*) from candhook.bot_token'), 2, 'no other is there';

# ---- who may only look ----
my $rita = browser();
is log_in($rita, 'rita', 'only-looking')->{json}{read_only}, JSON::PP::true, 'she may only look';
is ask($rita, 'api/overview')->{json}{can_act}, JSON::PP::false, 'and knows it';
is act($rita, do => $_, handler => 'fine', id => '019ab1c2-d3e4-7000-8000-000000000001')->{status}, 403, "no $_" for qw(replay retry give_up enable disable);
is post($rita, 'token', 'community=G3&token=canary-three', $form, $here, $rita->{action})->{status}, 403, 'no token';
is post($rita, 'act', $asked, @type, $here, $anna->{action})->{status}, 403, 'nor with another\'s action token';

# ---- sessions that are none ----
my ($name, $value) = %{ $anna->{cookies} };
my $forger = browser();
for my $forged ('', 'x', "$value.", substr($value, 0, -1), $value =~ s/anna/rita/r, $value =~ s/\.\d+\./.99999999999./r, $value =~ s/^./x/r, "anna.99999999999.x", ($value =~ /(.*)\./)[0]) {
    $forger->{cookies} = { $name => $forged };
    is ask($forger, 'api/session')->{json}{user}, undef, "forged: $forged";
}
$forger->{cookies} = { 'candhook-install-1' => $value };
is ask($forger, 'api/session')->{json}{user}, undef, 'under another name';
# Over https only the host's own cookie counts, which no other host of the domain can have put there. nginx has no https here, so
# the program is asked as a front with https would.
sub ask_front (%param) {
    my $body = delete $param{body};
    my $fcgi = FastCGI->new($rig->{web_socket});
    $fcgi->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => '/candhook-app/console/api/login', CONTENT_TYPE => 'application/x-www-form-urlencoded', HTTP_SEC_FETCH_SITE => 'same-origin', %param }, body => $body);
    return $fcgi->answer->{status};
}
is ask_front(CONTENT_LENGTH => 70000, body => 'x' x 70000), 413, 'a body that is too long, where the front lets it through';
is ask_front(CONTENT_LENGTH => 100, body => 'name=anna&password=correct-horse'), 413, 'one that is not whole';
sub user_over_https ($cookies) {
    my $fcgi = FastCGI->new($rig->{web_socket});
    $fcgi->request(params => { REQUEST_METHOD => 'GET', REQUEST_URI => '/candhook-app/console/api/session', REQUEST_SCHEME => 'https', HTTP_COOKIE => $cookies });
    return $json->decode($fcgi->answer->{body})->{user};
}
is user_over_https("__Host-candhook-console=$value"), 'anna', 'over https the host\'s own cookie';
is user_over_https("candhook-console=$value"), undef, 'and no other';
$forger->{cookies} = { 'candhook-console' => "planted.$value" };
isnt log_in($forger, 'rita', 'only-looking')->{headers}{'set-cookie'} =~ /=([^;]+)/ && $1, "planted.$value", 'who logs in gets a cookie of their own';
my ($web_key) = $rig->read_file('web.key') =~ /^(\S+)/;
is index($value, $web_key), -1, 'the key is not in it';
is post($anna, 'logout', '', $form, $here, $anna->{action})->{json}{user}, undef, 'logged out';
is_deeply $anna->{cookies}, {}, 'the cookie is gone';
log_in($anna, 'anna', 'correct-horse');
$rig->candhook_ok('web-user', 'add', 'anna', '--replace', { stdin => "another-password\n" });
is ask($anna, 'api/overview')->{status}, 401, 'another password ends her sessions';
is log_in($anna, 'anna', 'correct-horse')->{status}, 401, 'the old one opens none';
is log_in($anna, 'anna', 'another-password')->{status}, 200, 'the new one does';
$rig->candhook_ok('web-user', 'remove', 'anna');
is ask($anna, 'api/overview')->{status}, 401, 'a user who was removed is out';
add_user('anna', 'correct-horse');
log_in($anna, 'anna', 'correct-horse');

# ---- tries at the same time ----
# The first of them that is looked at fails; the others are sent away at once, and hold nothing up.
my @tries = map { my $pid = fork // die; if (!$pid) { require POSIX; POSIX::_exit(try_log_in(Browser->new($rig), 'anna', 'guess')->{status} == 401 ? 1 : 2) } $pid } 1 .. 8;
my %answers;
for my $pid (@tries) { waitpid $pid, 0; $answers{ $? >> 8 }++ }
cmp_ok $answers{1} // 0, '<=', 3, 'guesses are looked at one a second';
cmp_ok $answers{2} // 0, '>=', 5, 'who comes meanwhile is sent away';
is try_log_in(browser(), 'anna', 'correct-horse')->{status}, 429, 'she, too, within a second';
is log_in($anna, 'anna', 'correct-horse')->{json}{failures}, $answers{1}, 'and then she is told';

# ---- what fails ----
chmod 0644, "$dir/web.users";
is ask($anna, 'api/overview')->{status}, 401, 'a file of users that others can read opens nothing';
is log_in($anna, 'anna', 'correct-horse')->{status}, 503, 'to nobody';
like $rig->read_file('log/candhook.log'), qr/console=closed reason=.*web\.users.*chmod 600/, 'and the log says why';
chmod 0600, "$dir/web.users";
unlink "$dir/web.key.tries" or die;
mkdir "$dir/web.key.tries" or die;
is log_in($anna, 'anna', 'correct-horse')->{status}, 503, 'nobody may try where tries cannot be counted';
like $rig->read_file('log/candhook.log'), qr/console=closed reason=.*cannot open \S+web\.key\.tries: Is a directory/, 'and the log says why';
rmdir "$dir/web.key.tries" or die;
is log_in($anna, 'anna', 'correct-horse')->{status}, 200, 'mended';
$rig->sql('revoke candhook_reader, candhook_admin from my_web');
$page = ask($anna, 'api/events');
is "$page->{status} $page->{json}{hint}", '403 The owner of the schema types: grant candhook_reader, candhook_admin to my_web;', 'a right that lacks';
$rig->sql('grant candhook_reader, candhook_admin to my_web');

# ---- a pool of connections: what holds for a person's question does not outlive it ----
SKIP: {
    my $pool = $rig->pgbouncer(pool_mode => 'transaction', default_pool_size => 1, user => 'my_web') // skip 'pgbouncer is not installed', 4;
    my $pooled = $rig->conninfo(user => 'my_web', host => "$dir/b", port => 6432);
    $rig->conf(%settings, web_database => $pooled);
    $rig->stop($web);
    $web = $rig->web;
    is ask($anna, 'api/events')->{status}, 200, 'a pooled connection';
    is act($anna, do => 'enable', handler => 'fine')->{status}, 200, 'an action, too';
    is $rig->sql('show statement_timeout', host => "$dir/b", port => 6432, user => 'my_web'), 0, 'the next user of the connection has all the time';
    is $rig->sql('select current_user', host => "$dir/b", port => 6432, user => 'my_web'), 'my_web', 'and no other role';
    $rig->stop($pool, 'INT');
}

# ---- a replica ----
$rig->standby_make;
$rig->standby_start;
$rig->conf(%settings, read_database => $rig->conninfo(user => 'my_web', port => 5433));
$rig->stop($web);
$rig->web;
$page = ask($anna, 'api/overview');
is $page->{status}, 200, 'a replica is read';
is_deeply [ $page->{json}->@{qw(can_act replica_lag_s)} ], [ JSON::PP::false, 0 ], 'it tells how far it is behind, and that nothing can be changed';
$page = act($anna, %pause);
is $page->{status}, 403, 'no action there';
like $page->{json}{error}, qr/this database is a replica/, 'which is said';
like +($rig->candhook('doctor'))[1], qr/^note   console\s+2 users may log in, and none may act: .*a replica/m, 'also by the doctor';
like post($anna, 'token', 'community=G3&token=canary-three', $form, $here, $anna->{action})->{json}{error}, qr/read-only|recovery/, 'no token either';
$rig->sql('create table app.marker (a integer); insert into app.marker values (1)');
$rig->wait_until(sub { $rig->sql(q{select to_regclass('app.marker') is not null}, port => 5433) eq 't' }, 'the replica has it');
$rig->sql('select pg_wal_replay_pause()', port => 5433);
$rig->sql('insert into app.marker select generate_series(1, 1000)');
$rig->wait_until(sub { (ask($anna, 'api/overview')->{json}{replica_lag_s} // 0) > 0 }, 'a replica that replays no more falls behind');
pass 'which shows';
$rig->sql('select pg_wal_replay_resume()', port => 5433);
$rig->wait_until(sub { (ask($anna, 'api/overview')->{json}{replica_lag_s} // 1) == 0 }, 'it catches up');
$rig->pg_stop;
$rig->wait_until(sub { (ask($anna, 'api/overview')->{json}{replica_lag_s} // 0) > 0 }, 'a replica that is cut off is as old as what it has');
pass 'which shows, too';
$rig->standby_stop;
is ask($anna, 'api/events')->{status}, 503, 'without database';
is ask($anna, 'api/status')->{json}{status}, 'database unreachable', 'which the status says';
is post($anna, 'token', 'community=G4&token=canary-four', $form, $here, $anna->{action})->{status}, 503, 'no token is lost silently';
$rig->pg_start;
unlink "$dir/web.key";
$rig->stop((grep { $_->{name} eq 'web' } $rig->{processes}->@*)[0]{pid});
$rig->web;
is ask($anna, 'api/session')->{json}{user}, undef, 'another key ends all sessions';

# ---- canaries ----
my $seen = join '', map { $_->{seen}->@* } @browsers;
unlike $seen, qr/canary/, 'no answer holds a bot token';
unlike $seen, qr/\Q$web_key\E|\$y\$/, 'nor a key, nor a hash';
unlike $rig->read_file('log/candhook.log'), qr/canary|\Q$value\E/, 'nor does the log';
done_testing;
