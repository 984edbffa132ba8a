# SPDX-License-Identifier: ISC
#
# The shipped apache/proxy_fcgi.conf, included as it is by the real Apache, before candhook.fcgi --listen: the suite that every mount passes.
use v5.36;
use Test::More;
use Rig;
use Conformance;

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
my $responder = $rig->responder;
$rig->apache(mount => 'proxy_fcgi.conf');

Conformance::run(
    $rig, $rig->apache_hooks,
    readme => 'apache/README',
    column => 'proxy_fcgi',
    expect => { invalid => 'error log', chunked => '411', above => '413, 411' },
    kill_responder => sub {
        $rig->kill9($responder);
        $responder = $rig->responder;
    }
);
done_testing;
