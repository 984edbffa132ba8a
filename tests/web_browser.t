# SPDX-License-Identifier: ISC
#
# A real browser installs the App: Chromium goes the platform's documented way behind nginx and behind Apache's .htaccess. Its
# admin says no, then yes, then installs once more; the event that comes is handled with the bot token, by which the handler
# asks the API.
use v5.36;
use Test::More;
use Chromium;
use FastCGI;
use HandlerRig;
use Rig::Cand;

Chromium::program() // plan skip_all => 'chromium is not installed';
my $rig = HandlerRig->new;
my $dir = $rig->{dir};
my $pass = Rig::Cand->canpass($rig, client_id => 'my-app', community => 'G00O7NKV9M', redirect_uris => []);
my $api = Rig::Cand->api($rig);

sub settings {
    $rig->conf(
        runners       => 2,
        client_id     => 'my-app',
        redirect_uri  => "http://127.0.0.1:$rig->{port}/candhook-app/callback",
        authorize_url => $pass->url . '/oauth2/authorize',
        token_url     => $pass->url . '/oauth2/token',
        extra_scopes  => 'bot:MOIM:product:read',
        api_url       => $api->url
    );
    $pass->settings(redirect_uris => ["http://127.0.0.1:$rig->{port}/candhook-app/callback"]);
}
$rig->handler_file('look', qq{#!/bin/sh\nexec "$dir/bin/candhook" api GET "/products/CP:1"\n});
$rig->handler('product.created', kind => 'exec', target => 'look', needs_token => 'true');
my $chromium = Chromium->new($rig);
my $home = sub { return "http://127.0.0.1:$rig->{port}/candhook-app/install?community_id=G00O7NKV9M" };

my %fronts = (
    'nginx' => sub {
        $rig->web;
        my $upstream = $rig->read_file($rig->fill_shipped('nginx/upstream_web.conf', 'upstream.conf')) =~ s/unix:[^;]+/unix:$rig->{web_socket}/r;
        $rig->nginx(mount => 'web.conf', http => "map \$request \$candhook_logged { default 1; }\n$upstream");
        settings();
        $rig->stop((grep { $_->{name} eq 'web' } @{ $rig->{processes} })[0]{pid});
        $rig->web;
    },
    'Apache, .htaccess' => sub {
        $rig->apache(mount => 'web_htaccess', mpm => 'prefork', modules => ['cgi']);
        settings();
    }
);
my $token = '';
for my $front (sort keys %fronts) {
    $rig->{port} = 1;
    settings();
    $fronts{$front}->();
    $rig->wait_until(sub { eval { $rig->connect_front } }, 'the front listens');
    $chromium->go($home->());
    like $chromium->text, qr/An App asks.*bot:MOIM:product:read.*webhook:MOIM:product/s, "$front: the platform asks";
    $chromium->click('deny');
    like $chromium->text, qr/Not installed.*nothing has changed/s, "$front: an admin who says no";
    $chromium->follow;
    like $chromium->text, qr/An App asks/, "$front: begins again by the link of that page";
    $chromium->click('allow');
    like $chromium->text, qr/Installed.*on the community G00O7NKV9M/s, "$front: installed";
    my $now = $rig->sql(q{select token from candhook.bot_token where origin_community_id = 'G00O7NKV9M'});
    like $now, qr/^bot-token-\d+-of-G00O7NKV9M$/, "$front: the token is stored";
    isnt $now, $token, "$front: in place of the one before";
    $token = $now;
    unlike $chromium->evaluate('document.documentElement.outerHTML') . $chromium->evaluate('document.cookie'), qr/\Q$token\E|candhook-install/, "$front: no page and no script sees token or cookie";
    $chromium->loads(sub { $chromium->call('Page.reload') });
    like $chromium->text, qr/Begin again/, "$front: a reload does no harm";
    $chromium->go($home->());
    $chromium->click('allow');
    like $chromium->text, qr/Installed/, "$front: installed once more";
    $token = $rig->sql(q{select token from candhook.bot_token where origin_community_id = 'G00O7NKV9M'});
    isnt $token, $now, "$front: with another token";
}

# ---- what it was for ----
$api->tokens($token);
$rig->start_worker;
$rig->event_of('product.created');
is_deeply [ map { s/^ok\|.*CP:1.*/ok/r } @{ $rig->settled('product.created') } ], ['ok'], 'the event is handled, and the product is read with the token';
is(($api->requests(qr/products/))[0]{headers}{authorization}, "Bearer $token", 'by the community\'s bot token');
$chromium->end;
done_testing;
