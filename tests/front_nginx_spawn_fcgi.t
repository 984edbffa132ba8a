# SPDX-License-Identifier: ISC
#
# The shipped nginx/fastcgi.conf, mounted as it is before a candhook.fcgi that spawn-fcgi started: the suite that every mount
# passes.
use v5.36;
use Test::More;
use Rig;
use Conformance;

plan skip_all => 'spawn-fcgi is not installed' if !Rig->have('spawn-fcgi');

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
my $responder = $rig->spawn_fcgi;
$rig->nginx;

Conformance::run(
    $rig, $rig->nginx_hooks,
    readme         => 'nginx/README',
    column         => 'spawn-fcgi',
    kill_responder => sub {
        $rig->kill9($responder);
        unlink $rig->{socket}; # spawn-fcgi binds no socket that is there
        $responder = $rig->spawn_fcgi;
    }
);
ok $rig->stop($responder), 'TERM ends it';
done_testing;
