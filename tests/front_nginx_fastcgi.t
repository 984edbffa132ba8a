# SPDX-License-Identifier: ISC
#
# The shipped nginx/fastcgi.conf, mounted as it is before `candhook.fcgi --listen`: the suite that every mount passes.
use v5.36;
use Test::More;
use Rig;
use Conformance;

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
my $responder = $rig->responder;
$rig->nginx;

Conformance::run(
    $rig, $rig->nginx_hooks,
    readme         => 'nginx/README',
    column         => '--listen',
    kill_responder => sub {
        $rig->kill9($responder);
        $responder = $rig->responder;
    }
);
done_testing;
