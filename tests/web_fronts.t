# SPDX-License-Identifier: ISC
#
# candhook-web.fcgi behind each front that has a shipped file, mounted as it is: a community installs the App, an admin says
# no, monitors ask, a user of the console logs in and acts, and a code reaches no log of the front but where the host's own log shows every path.
use v5.36;
use Test::More;
use Browser;
use Rig;
use Rig::Cand;

# Name, what is needed, and how program and front are started; `logs` where the front's access log has the codes.
my @fronts = (
    { name => 'nginx/web.conf', needs => 'nginx', web => sub ($rig) { $rig->web }, start => sub ($rig) {
            my $upstream = $rig->read_file($rig->fill_shipped('nginx/upstream_web.conf', 'upstream.conf')) =~ s/unix:[^;]+/unix:$rig->{web_socket}/r;
            $rig->nginx(mount => 'web.conf', http => "map \$request \$candhook_logged { default 1; }\n$upstream");
        } },
    { name => 'nginx/web.conf, systemd', needs => 'nginx', web => sub ($rig) {
            $rig->{web_socket} = "$rig->{dir}/activated.sock";
            my ($program, @words) = split / /, ($rig->read_file($rig->fill_shipped('systemd/candhook-web.service', 'unit')) =~ /^ExecStart=(.+)$/m)[0];
            is $program, $rig->program('candhook-web.fcgi'), 'candhook-web.service runs candhook-web.fcgi';
            $rig->socket_activated(name => 'web', program => 'candhook-web.fcgi', socket => $rig->{web_socket}, args => \@words);
        }, start => sub ($rig) {
            my $upstream = $rig->read_file($rig->fill_shipped('nginx/upstream_web.conf', 'upstream.conf')) =~ s/unix:[^;]+/unix:$rig->{web_socket}/r;
            $rig->nginx(mount => 'web.conf', http => "map \$request \$candhook_logged { default 1; }\n$upstream");
        } },
    { name => 'nginx/web_fcgiwrap.conf', needs => 'fcgiwrap', start => sub ($rig) {
            $rig->fcgiwrap;
            my $upstream = $rig->read_file($rig->fill_shipped('nginx/upstream_web_fcgiwrap.conf', 'upstream.conf')) =~ s{/run/fcgiwrap\.socket}{$rig->{socket}}r;
            $rig->nginx(mount => 'web_fcgiwrap.conf', http => "map \$request \$candhook_logged { default 1; }\n$upstream");
        } },
    { name => 'apache/web_fcgid.conf', start => sub ($rig) { $rig->apache(mount => 'web_fcgid.conf') } },
    { name => 'apache/web_proxy.conf', web => sub ($rig) { $rig->web }, start => sub ($rig) { $rig->apache(mount => 'web_proxy.conf') } },
    { name => 'apache/web_cgi.conf, mod_cgid', start => sub ($rig) { $rig->apache(mount => 'web_cgi.conf', modules => ['cgid']) } },
    { name => 'apache/web_cgi.conf, mod_cgi', start => sub ($rig) { $rig->apache(mount => 'web_cgi.conf', mpm => 'prefork', modules => ['cgi']) } },
    { name => 'apache/web_htaccess, mod_fcgid', logs => 1, start => sub ($rig) { $rig->apache(mount => 'web_htaccess', modules => ['fcgid']) } },
    { name => 'apache/web_htaccess, CGI', logs => 1, start => sub ($rig) { $rig->apache(mount => 'web_htaccess', mpm => 'prefork', modules => ['cgi']) } },
);

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
$rig->candhook_ok('work', '--once');
$rig->write_file('metrics.token', "a-token-for-metrics\n");
$rig->candhook_ok('web-user', 'add', 'anna', { stdin => "correct-horse\n" });
$rig->sql(q{select candhook.add_handler('hook', 'MOIM', '*', 'http', 'http://127.0.0.1:1/hook')});
my $pass = Rig::Cand->canpass($rig, client_id => 'my-app', community => 'G1', redirect_uris => []);

for my $front (@fronts) {
    next if $front->{needs} && !$rig->have($front->{needs});
    my %before = map { $_->{pid} => 1 } @{ $rig->{processes} };
    my $settings = sub { $rig->conf(client_id => 'my-app', authorize_url => $pass->url . '/oauth2/authorize', token_url => $pass->url . '/oauth2/token',
            metrics_token => "$rig->{dir}/metrics.token", extra_scopes => 'bot:MOIM:product:read', redirect_uri => "http://127.0.0.1:$rig->{port}/candhook-app/callback") };
    $rig->{port} //= 1;
    $settings->();
    $front->{web}->($rig) if $front->{web};
    $front->{start}->($rig);
    $settings->();    # by now the port is known
    # What was started before it was, is started again, if it does not read the configuration for each request.
    if ($front->{web}) {
        my ($web) = grep { $_->{name} eq 'web' } @{ $rig->{processes} };
        $rig->stop($web->{pid});
        $front->{web}->($rig);
    }
    $pass->settings(redirect_uris => ["http://127.0.0.1:$rig->{port}/candhook-app/callback"]);
    $rig->wait_until(sub { eval { $rig->connect_front } }, 'the front listens');
    $rig->sql('delete from candhook.bot_token');

    my $browser = Browser->new($rig);
    my $page = $browser->get('/candhook-app/install');
    my $allow = $browser->fetch($browser->link_of($page, 'allow'))->{headers}{location};
    my ($code) = $allow =~ /code=(\w+)/;
    $page = $browser->get($allow);
    is $page->{status}, 200, "$front->{name}: installed" or diag $page->{body};
    like $page->{body}, qr/installed on the community G1/, "$front->{name}: the page says so";
    is $rig->sql('select count(*) from candhook.bot_token'), 1, "$front->{name}: the token is stored";
    is $page->{headers}{'referrer-policy'}, 'no-referrer', "$front->{name}: its headers come through";
    $page = $browser->click($browser->get('/candhook-app/install'), 'deny');
    is $page->{status} . ($page->{body} =~ /You did not grant/ ? ' told' : ''), '403 told', "$front->{name}: an admin who says no has our page";
    is $browser->get('/candhook-app/nothing')->{status}, 404, "$front->{name}: other paths are not found";
    is $browser->get("/candhook-app/$_")->{status}, 200, "$front->{name}: monitors have $_" for 'health', 'health?ready';
    $page = $browser->get('/candhook-app/metrics', headers => ['Authorization: Bearer a-token-for-metrics']);
    is $page->{status} . ' ' . $page->{headers}{'content-type'}, '200 application/openmetrics-text; version=1.0.0; charset=utf-8', "$front->{name}: Prometheus has metrics";
    is $browser->get('/candhook-app/metrics', headers => ['Authorization: Bearer another'])->{status}, 401, "$front->{name}: with the right token only";

    my @post = (method => 'POST', headers => ["Origin: http://127.0.0.1:$rig->{port}", 'Content-Type: application/x-www-form-urlencoded']);
    is $browser->get('/candhook-app/console')->{headers}{'content-type'}, 'text/html; charset=utf-8', "$front->{name}: the console's page";
    $page = $browser->fetch('/candhook-app/console/api/login', @post, body => 'name=anna&password=correct-horse');
    is $page->{status}, 200, "$front->{name}: a user logs in" or diag $page->{body};
    my ($action) = $page->{body} =~ /"action":"([\w-]+)"/;
    my $enabled = $rig->sql('select enabled from candhook.handler');
    $post[3][1] = 'Content-Type: application/json';
    push $post[3]->@*, "X-Candhook-Action: $action";
    my $act = sub (%option) { $browser->fetch('/candhook-app/console/api/act', @post, body => '{"do":"' . ($enabled eq 't' ? 'disable' : 'enable') . '","handler":"hook"}', %option) };
    is $act->(headers => [ 'Origin: http://evil.example', $post[3]->@[ 1, 2 ] ])->{status}, 403, "$front->{name}: nothing is done for another site";
    is $act->(headers => [ $post[3]->@*, 'Sec-Fetch-Site: cross-site' ])->{status}, 403, "$front->{name}: nor when the browser says so";
    is $act->()->{status}, 200, "$front->{name}: and acts";
    isnt $rig->sql('select enabled from candhook.handler'), $enabled, "$front->{name}: it is done";
    is $browser->fetch('/candhook-app/console/api/events?type=product.*')->{status}, 200, "$front->{name}: events";

    my @servers = grep { !$before{ $_->{pid} } } @{ $rig->{processes} };
    for my $server (reverse @servers) {
        $rig->stop($server->{pid}, $server->{name} eq 'nginx' ? 'QUIT' : 'TERM', 30);
    }
    delete $rig->{web_socket};
    my @logs = grep { index($rig->read_file(s{^\Q$rig->{dir}\E/}{}r), $code) >= 0 } glob "$rig->{dir}/log/*";
    is scalar @logs, $front->{logs} ? 1 : 0, "$front->{name}: " . ($front->{logs} ? "the host's access log has the code, and no other" : 'no log has the code') or diag "@logs";
    unlink glob "$rig->{dir}/log/{nginx,apache}*";
}
done_testing;
