# SPDX-License-Identifier: ISC
#
# A community installs the App in the browser: nginx, candhook-web.fcgi, CANpass, the database; and all that can go wrong on
# the way: an admin who says no, forged and repeated states and codes, a platform that is silent or hostile, a database that
# is away. Nothing of codes, verifiers, tokens and secrets is found in what was written.
use v5.36;
use Test::More;
use POSIX ();
use Browser;
use Rig;
use Rig::Cand;

my $rig = Rig->new;
my $dir = $rig->{dir};
$rig->have('nginx') or plan skip_all => 'nginx is not installed';
$rig->cluster(log_statement => 'all');    # so that a token in a statement would be found
my $pass = Rig::Cand->canpass($rig, client_id => 'my-app', community => 'G00O7NKV9M', redirect_uris => []);
my $secret = 'client-secret-' . Rig::random_word(12);
$rig->write_file('client.secret', "$secret\n");

sub settings (%more) {
    $rig->conf(
        client_id     => 'my-app',
        redirect_uri  => "http://127.0.0.1:$rig->{port}/candhook-app/callback",
        authorize_url => $pass->url . '/oauth2/authorize',
        token_url     => $pass->url . '/oauth2/token',
        extra_scopes  => 'bot:MOIM:product:read bot:MOIM:members:read',
        web_database  => $rig->conninfo(user => 'my_web'),
        %more
    );
}

$rig->{port} = 1;
settings();
$rig->schema;
$rig->sql(q{create table public.seen (said text); grant insert on public.seen to public;
    create function public.greet(event candhook.event, bot_token text) returns text language plpgsql as $$
    begin insert into public.seen values (bot_token); return null; end $$;
    select candhook.add_handler('greet', 'MOIM', 'product.created', 'sql', 'public.greet', needs_token => true);
    select candhook.add_handler('hello', 'MOIM', 'member.joined', 'sql', 'public.greet')});
# Its user in the database stores tokens, and can do nothing else.
$rig->sql('create role my_web login; grant candhook_web to my_web');
my $web;

sub start_web {
    $web = $rig->web;
}
start_web();
my $upstream = $rig->read_file($rig->fill_shipped('nginx/upstream_web.conf', 'upstream_web.conf')) =~ s/unix:[^;]+/unix:$rig->{web_socket}/r;
$rig->nginx(mount => 'web.conf', http => "map \$request \$candhook_logged { default 1; }\n$upstream");

sub restart_web (%more) {
    $rig->stop($web) or fail 'TERM ends candhook-web.fcgi';
    settings(%more);
    start_web();
}
$pass->settings(redirect_uris => ["http://127.0.0.1:$rig->{port}/candhook-app/callback"]);
restart_web();

sub stored ($community = 'G00O7NKV9M') { return $rig->sql("select token from candhook.bot_token where origin_community_id = '$community'") }
sub log_count ($pattern) { return scalar(() = $rig->read_file('log/candhook.log') =~ /$pattern/g) }

# The canaries: all that nobody may find anywhere.
my %canary = ($secret => 'the client secret');
my @browsers;

sub browser {
    push @browsers, Browser->new($rig);
    return $browsers[-1];
}

# To the platform's page, with what came with it.
sub begin ($browser, $query = '') {
    my $page = $browser->get("/candhook-app/install$query");
    $canary{ (split /\./)[1] } = 'a verifier' for values %{ $browser->{cookies} };
    return $page;
}

# The name of the cookie that belongs to an address with a state.
sub cookie_of ($url) { return sprintf 'candhook-install-%x', 15 & ord +($url =~ /state=([\w-])/)[0] }

# ---- it goes well ----
$rig->candhook_ok('work', '--once');
$rig->responder(args => ['--no-worker']);
my $browser = browser();
my $begun = $browser->fetch('/candhook-app/install?community_id=G00O7NKV9M');
is $begun->{status}, 302, 'install redirects';
my ($query) = $begun->{headers}{location} =~ /^\Q@{[$pass->url]}\E\/oauth2\/authorize\?(.*)/;
my %ask = map { map { s/%([0-9A-Fa-f]{2})/chr hex $1/ger } split /=/, $_, 2 } split /&/, $query;
is $ask{response_type} . ' ' . $ask{client_id} . ' ' . $ask{code_challenge_method} . ' ' . $ask{community_id}, 'code my-app S256 G00O7NKV9M', 'to the platform';
is $ask{scope}, 'bot:MOIM:members:read bot:MOIM:product:read webhook:MOIM:members webhook:MOIM:product', 'with the scopes of the handlers and of the setting';
like $begun->{headers}{'set-cookie'}, qr/^candhook-install-[0-9a-f]=\S+; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax$/, 'and a cookie, which http cannot have as __Host-';
my $page = begin($browser);
like $page->{body}, qr/An App asks.*webhook:MOIM:product/, "the platform's page is there";
my $taken = cookie_of($browser->link_of($page, 'allow'));
$page = $browser->click($page, 'allow');
is $page->{status}, 200, 'installed';
like $page->{body}, qr/installed on the community G00O7NKV9M.*bot:MOIM:product:read/s, 'the page tells the community and its scopes';
like stored(), qr/^bot-token-\d+-of-G00O7NKV9M$/, 'the bot token is stored';
$canary{ stored() } = 'a bot token';
is scalar(keys %{ $browser->{cookies} }), $begun->{headers}{'set-cookie'} =~ /^\Q$taken\E=/ ? 0 : 1, 'the cookie is taken back, and the one of another try stays';
is $page->{headers}{'referrer-policy'} . '|' . $page->{headers}{'cache-control'} . '|' . $page->{headers}{'x-content-type-options'}, 'no-referrer|no-store|nosniff', 'no Referer, no cache';
like $page->{headers}{'content-security-policy'}, qr/default-src 'none'.*frame-ancestors 'none'/, 'no script, no frame';
my $used = $page->{url};
$canary{ ($used =~ /code=(\w+)/)[0] } = 'a code';
is $rig->sql('select count(*) from candhook.bot_token'), 1, 'one token';

# ---- what was held goes on, and a re-installation replaces the token ----
$rig->sql(q{delete from candhook.bot_token});
my $fcgi = do { require FastCGI; FastCGI->new($rig->{socket}) };
$fcgi->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path }, body => $rig->event, keep => 1);
is $fcgi->answer->{status}, 200, 'an event comes';
$rig->candhook_ok('work', '--once');
is $rig->sql('select count(*) from candhook.delivery where held'), 1, 'it is held for the token';
$page = $browser->click(begin($browser), 'allow');
like $page->{body}, qr/1 event that waited for this can be handled now/, 'the page tells what goes on';
$rig->candhook_ok('work', '--once');
is $rig->sql('select said from public.seen'), stored(), 'the event is handled with the token';
my $first = stored();
$page = $browser->click(begin($browser), 'allow');
isnt stored(), $first, 'installed again: the token is another one';
is $rig->sql('select count(*) from candhook.bot_token'), 1, 'in place of the first';
$canary{$_} = 'a bot token' for $first, stored();
$page = $browser->click(begin($browser, '?community_id=GANOTHER'), 'allow');
like stored('GANOTHER'), qr/of-GANOTHER/, 'another community has its own';
$canary{ stored('GANOTHER') } = 'a bot token';
$rig->sql('alter function candhook_internal.held_count rename to held_away');
my $kept = stored('GANOTHER');
$page = $browser->click(begin($browser, '?community_id=GANOTHER'), 'allow');
is $page->{status}, 200, 'where what waits cannot be counted the App is installed, too';
isnt stored('GANOTHER'), $kept, 'and the token stored';
unlike $page->{body}, qr/can be handled now/, 'the page does without';
$canary{ stored('GANOTHER') } = 'a bot token';
$rig->sql('alter function candhook_internal.held_away rename to held_count');

# ---- nobody is let in who did not begin ----
my $requests = $pass->count(qr/token/);
my $good = $browser->fetch($browser->link_of(begin($browser), 'allow'))->{headers}{location};
$canary{ ($good =~ /code=(\w+)/)[0] } = 'a code';
my %strange = (
    'without a cookie'        => sub { browser()->get($good) },
    "with another's cookie"   => sub { my $other = browser(); begin($other); $other->{cookies} = { cookie_of($good) => values %{ $other->{cookies} } }; $other->get($good) },
    'with a forged cookie'    => sub { my $other = browser(); $other->{cookies}{ cookie_of($good) } = join '.', ($good =~ /state=([\w-]+)/)[0], 'v' x 43, '', time + 600, 'x' x 43; $other->get($good) },
    'without a state'         => sub { $browser->get($good =~ s/&state=[\w-]+//r) },
    'with two states'         => sub { $browser->get("$good&state=x") },
    'with another state'      => sub { $browser->get($good =~ s/(state=)(.)/$1 . ($2 eq 'A' ? 'B' : 'A')/er) },
    'with another end of the state' => sub { $browser->get($good =~ s/(state=[\w-]{12})[\w-]{4}/$1----/r) },
    'with a cookie of yesterday' => sub { my $other = browser(); $other->{cookies} = { %{ $browser->{cookies} } }; $other->{cookies}{ cookie_of($good) } =~ s/\.(\d+)\./'.' . ($1 - 90000) . '.'/e; $other->get($good) },
    'without a code'          => sub { $browser->get($good =~ s/code=\w+&?//r) }
);
for my $what (sort keys %strange) {
    $page = $strange{$what}->();
    is $page->{status}, 400, "a callback $what";
    like $page->{body}, qr/Begin again.*href="install"/s, 'has a page that says so';
}
is $pass->count(qr/token/), $requests, 'no code was exchanged for them';
is $browser->get($good)->{status}, 200, 'the one who began gets in';
my $one = $browser->link_of(begin($browser, '?community_id=GONE'), 'allow');
my $two;
do { $two = $browser->link_of(begin($browser, '?community_id=GTWO'), 'allow') } while cookie_of($two) eq cookie_of($one);
is $browser->get($_)->{status}, 200, 'and may begin for two communities at a time' for $one, $two;
$canary{ stored($_) } = 'a bot token' for qw(GONE GTWO);
$rig->sql(q{delete from candhook.bot_token where origin_community_id in ('GONE', 'GTWO')});
$page = $browser->click(begin($browser, '?community_id=G/%26%22'), 'deny');
like $page->{body}, qr{href="install\?community_id=G%2F%26%22"}, 'who said no is led to the same community again';
$page = $browser->get($used);
is $page->{status}, 400, 'not by an address of before';
my $again = browser();
my $code = $again->fetch($again->link_of(begin($again), 'allow'))->{headers}{location};
my %cookies = %{ $again->{cookies} };
is $again->get($code)->{status}, 200, 'a code';
$again->{cookies} = \%cookies;
$page = $again->get($code);
is $page->{status} . ' ' . ($page->{body} =~ /Too late, or used already.*installed only if a page said/s ? 'told' : $page->{body}), '400 told', 'is taken once';

# ---- those who say no, and platforms in trouble ----
my $before = stored();
$page = $browser->click(begin($browser), 'deny');
is $page->{status} . ($page->{body} =~ /You did not grant/ ? ' told' : ''), '403 told', 'an admin who says no';
$pass->settings(scopes => 'webhook:MOIM:product');
$page = $browser->click(begin($browser), 'allow');
is $page->{status} . ($page->{body} =~ /no bot: scope was granted/ ? ' told' : ''), '403 told', 'no bot: scope was granted';
$pass->settings(scopes => undef);
my @answers = (
    [ 'is silent'               => 502, qr/does not answer/,    path => '^/oauth2/token', raw => '' ],
    [ 'is too slow'             => 502, qr/does not answer/,    path => '^/oauth2/token', status => 200, delay => 11 ],
    [ 'is in trouble'           => 502, qr/does not answer/,    path => '^/oauth2/token', status => 503 ],
    [ 'is overrun'              => 502, qr/does not answer/,    path => '^/oauth2/token', status => 429 ],
    [ 'knows no such client'    => 502, qr/platform refused/i,  path => '^/oauth2/token', status => 401, body => '{"error":"invalid_client"}' ],
    [ 'answers a page'          => 502, qr/platform refused/i,  path => '^/oauth2/token', status => 200, body => '<html>' ],
    [ 'answers a list'          => 502, qr/platform refused/i,  path => '^/oauth2/token', status => 200, body => '["bot_access_token"]' ],
    [ 'answers far too much'    => 502, qr/platform refused/i,  path => '^/oauth2/token', status => 200, body => '{"a":1} ', repeat => 100_000 ],
    [ 'has a number as token'   => 502, qr/platform refused/i,  path => '^/oauth2/token', status => 200, body => '{"community_id":"G1","bot_access_token":5}' ],
    [ 'has an object as token'  => 502, qr/platform refused/i,  path => '^/oauth2/token', status => 200, body => '{"community_id":"G1","bot_access_token":{"a":"b"}}' ],
    [ 'has an empty token'      => 502, qr/platform refused/i,  path => '^/oauth2/token', status => 200, body => '{"community_id":"G1","bot_access_token":""}' ],
    [ 'has a token with a line' => 502, qr/platform refused/i,  path => '^/oauth2/token', status => 200, body => '{"community_id":"G1","bot_access_token":"a\nb"}' ],
    [ 'has no community'        => 502, qr/platform refused/i,  path => '^/oauth2/token', status => 200, body => '{"bot_access_token":"x"}' ],
    [ 'has a community of control characters' => 502, qr/platform refused/i, path => '^/oauth2/token', status => 200, body => '{"community_id":"G1\u0007","bot_access_token":"x"}' ],
    [ 'has a community that is long' => 502, qr/platform refused/i, path => '^/oauth2/token', status => 200, body => '{"community_id":"' . 'G' x 300 . '","bot_access_token":"x"}' ],
    [ 'redirects'               => 502, qr/platform refused/i,  path => '^/oauth2/token', status => 302, headers => { Location => $pass->url . '/elsewhere' } ]
);
for my $case (@answers) {
    my ($what, $status, $text, %rule) = @$case;
    my $waits = begin($browser);
    $pass->on(\%rule);
    $page = $browser->click($waits, 'allow');
    $pass->on;
    is $page->{status}, $status, "a platform that $what";
    like $page->{body}, $text, 'is told';
    unlike $page->{body}, qr/<html>|\x07|invalid_client/, 'in our own words';
}
for my $error ('server_error', 'invalid_scope') {
    my ($cookie) = do { begin($browser); values %{ $browser->{cookies} } };
    $page = $browser->get("/candhook-app/callback?error=$error&state=" . (split /\./, $cookie)[0]);
    is $page->{status} . ($page->{body} =~ /did not take the App/ ? ' told' : ''), '502 told', "a platform that says $error";
}
my $refused = begin($browser);
$rig->sql('revoke candhook_web from my_web');
$page = $browser->click($refused, 'allow');
is $page->{status} . ($page->{body} =~ /did not take the token/ ? ' told' : ''), '503 told', 'a database that refuses';
$rig->sql('grant candhook_web to my_web');
is stored(), $before, 'none of it changed the token';
is $rig->sql('select count(*) from candhook.bot_token'), 2, 'or stored another';
my $ends = begin($browser);
$pass->on({ path => '^/oauth2/token', status => 200, body => '{"community_id":"GENDS","bot_access_token":"bot-token-that-ends","bot_expires_in":3600}' });
$page = $browser->click($ends, 'allow');
$pass->on;
is $page->{status}, 200, 'a token that ends';
is $rig->sql(q{select expires_at between now() + interval '50 minutes' and now() + interval '1 hour' from candhook.bot_token where origin_community_id = 'GENDS'}), 't', 'ends when it says';
$canary{'bot-token-that-ends'} = 'a bot token';
is $pass->count(qr/elsewhere/), 0, 'no redirection of the token URL is followed';

# ---- what others put into our addresses ----
for my $evil ("%0d%0aX-Evil:%20yes", '<script>', '%00', '%zz', 'G%e9', '"><img src=x>', 'x' x 5000) {
    for my $name (qw(community_id redirect_uri client_id scope state)) {
        my $page = $browser->fetch("/candhook-app/install?$name=" . $evil =~ s/ /%20/gr);
        next if $page->{status} == 414 || $page->{status} == 400;
        is $page->{status}, 302, "install?$name=" . substr($evil, 0, 20);
        like $page->{headers}{location}, qr/^\Q@{[$pass->url]}\E\/oauth2\/authorize\?/, 'leads to the platform and nowhere else';
        unlike $page->{head}, qr/X-Evil/, 'no header comes of it';
    }
    $page = $browser->fetch('/candhook-app/callback?error=' . ($evil =~ s/ /%20/gr) . '&state=x');
    unlike $page->{head} . $page->{body}, qr/X-Evil|<script>|<img/, 'nor anything in a page';
}
is $browser->fetch('/candhook-app/install', method => $_)->{status}, 405, "$_ is refused" for qw(POST PUT DELETE);
is $browser->fetch('/candhook-app/install', method => 'HEAD')->{status}, 302, 'HEAD is as good as GET';
is $browser->fetch("/candhook-app/$_")->{status}, 404, "there is no $_" for '', 'other', 'installx', 'callback/';

# ---- a database that is away ----
my $waiting = $browser->link_of(begin($browser), 'allow');
$rig->pg_stop;
$page = $browser->get('/candhook-app/install');
is $page->{status}, 503, 'without the database nobody can begin';
like $page->{body}, qr/Nothing has changed/, 'and is told so';
my $child = fork // die "fork: $!\n";
if (!$child) {
    my $page = $browser->get($waiting);
    $rig->write_file('late', $page->{status});
    POSIX::_exit(0);
}
$rig->wait_until(sub { my @all = $pass->requests(qr/token/); $all[-1]{finished} && @all > $requests + 5 && $all[-1]{status} == 200 }, 'the code is exchanged meanwhile');
$rig->pg_start;
waitpid $child, 0;
is $rig->read_file('late'), 200, 'the token waited for the database';
isnt stored(), $before, 'and is stored';
$canary{$_} = 'a bot token' for $before, stored();

# ---- a database that is there and does not take it ----
sub waits_for_database ($until, $after, $what) {
    my $url = $browser->link_of(begin($browser), 'allow');
    my $before = stored();
    unlink "$dir/late";
    my $child = fork // die "fork: $!\n";
    if (!$child) {
        my $page = $browser->get($url);
        $rig->write_file('late', $page->{status});
        POSIX::_exit(0);
    }
    eval { $rig->wait_until($until, $what); 1 } or diag $@;
    $after->();
    waitpid $child, 0;
    is $rig->read_file('late'), 200, "the token waited: $what";
    isnt stored(), $before, 'and is stored';
    $canary{ stored() } = 'a bot token';
}
my $locker = $rig->psql_session;
my $timeouts = sub { scalar(() = $rig->read_file('log/postgres.log') =~ /canceling statement due to statement timeout/g) };
my $timed_out = $timeouts->();
$locker->query('begin; lock table candhook.bot_token in share row exclusive mode;');
waits_for_database(sub { $timeouts->() > $timed_out }, sub { $locker->query('commit;') }, 'somebody locks the table');
my $read_only = sub { scalar(() = $rig->read_file('log/postgres.log') =~ /cannot execute COPY FROM in a read-only transaction/g) };
$rig->sql('alter role my_web set default_transaction_read_only = on');
waits_for_database(sub { $read_only->() > 0 }, sub { $rig->sql('alter role my_web reset default_transaction_read_only') }, 'a standby becomes the primary');

# ---- https ----
restart_web(redirect_uri => 'https://app.example/candhook-app/callback');
like $browser->fetch('/candhook-app/install')->{headers}{'set-cookie'}, qr/^__Host-candhook-install-[0-9a-f]=\S+; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax; Secure$/,
  'over https the cookie can come from this host alone';

# ---- a confidential client ----
for my $basic ('no', 'yes') {
    $pass->settings(client_secret => $secret);
    restart_web(client_secret => "$dir/client.secret", client_secret_basic => $basic);
    is $browser->click(begin($browser), 'allow')->{status}, 200, $basic eq 'yes' ? 'the client secret goes by HTTP Basic' : 'the client secret goes in the form';
    my ($last) = reverse $pass->requests(qr/token/);
    is scalar($last->{body} =~ /\Q$secret\E/), $basic eq 'yes' ? '' : 1, 'and not twice';
    $canary{ stored() } = 'a bot token';
}
chmod 0644, "$dir/client.secret";
my ($status, undef, $err) = $rig->run({}, $rig->program('candhook-web.fcgi'), '--listen', "$dir/other.sock");
is $status, 78, 'a client secret that others may read is refused';
like $rig->read_file('log/candhook.log'), qr/client\.secret has mode 0644.*chmod 600/, 'with the remedy';
my (undef, $out) = $rig->run({ env => { GATEWAY_INTERFACE => 'CGI/1.1', REQUEST_METHOD => 'GET' } }, $rig->program('candhook-web.fcgi'));
like $out, qr/\AStatus: 503 /, 'by CGI that is an answer';
chmod 0600, "$dir/client.secret";
($status, undef, $err) = $rig->run({}, $rig->program('candhook-web.fcgi'));
is $status, 64, 'started by nobody: 64';
like $err, qr/--listen is not given/, 'and it says so';
is sprintf('%o', (stat "$dir/web.key")[2] & 07777), '600', 'the key of the cookies is nobody else\'s';
restart_web(client_id => undef, client_secret => undef);
$pass->settings(client_secret => undef);
$page = $browser->get('/candhook-app/install');
is $page->{status} . ($page->{body} =~ /client_id and redirect_uri/ ? ' told' : ''), '503 told', 'without its settings it says what is missing';
is $browser->get('/candhook-app/callback')->{status}, 503, 'for the way back, too';

# ---- nothing was written down ----
$rig->stop($web);
$canary{$_} = 'the key' for grep { length } $rig->read_file('web.key');
my %written = map { $_ => $rig->read_file($_ =~ s{^\Q$dir\E/}{}r) } grep { -f } glob "$dir/log/*";
for my $canary (sort keys %canary) {
    length $canary > 15 or next;
    is join(' ', grep { index($written{$_}, $canary) >= 0 } sort keys %written), '', "$canary{$canary} is in no log";
    # Its own way alone: codes in the address, tokens nowhere.
    my @pages = grep { index(($_ =~ /\r\n\r\n(.*)/s)[0] // '', $canary) >= 0 } map { @{ $_->{seen} } } @browsers;
    is scalar @pages, 0, '... and in no page' if $canary{$canary} ne 'a code';
}
cmp_ok scalar keys %canary, '>', 20, 'there was much to look for';
done_testing;
