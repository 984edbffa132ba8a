# SPDX-License-Identifier: ISC
#
# The shipped nginx/fcgiwrap.conf, mounted as it is: candhook.fcgi as a CGI program of fcgiwrap. The suite that every mount
# passes, and what plain CGI promises: each event gets its first attempt without a daemon and without cron.
use v5.36;
use Test::More;
use Rig;
use Conformance;

plan skip_all => 'fcgiwrap is not installed' if !Rig->have('fcgiwrap');

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
my $fcgiwrap = $rig->fcgiwrap;
my %mount = (mount => 'fcgiwrap.conf');
my $upstream = $rig->read_file($rig->fill_shipped('nginx/upstream_fcgiwrap.conf', 'upstream_fcgiwrap.conf'));
$upstream =~ s{/run/fcgiwrap\.socket}{$rig->{socket}} or die;
$rig->nginx(mount => 'fcgiwrap.conf', http => $upstream);

Conformance::run(
    $rig, $rig->nginx_hooks,
    readme         => 'nginx/README',
    column         => 'fcgiwrap',
    load           => 100,
    kill_responder => sub {
        $rig->kill9($fcgiwrap);
        $fcgiwrap = $rig->fcgiwrap;
    }
);
done_testing;
