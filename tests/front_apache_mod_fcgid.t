# SPDX-License-Identifier: ISC
#
# The shipped apache/mod_fcgid.conf, included as it is by the real Apache under the event MPM: the suite that every mount passes.
use v5.36;
use Test::More;
use Rig;
use Conformance;

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
$rig->apache(mount => 'mod_fcgid.conf');

Conformance::run(
    $rig, $rig->apache_hooks,
    readme         => 'apache/README',
    column         => 'mod_fcgid',
    kill_responder => sub { kill KILL => $rig->own_processes('candhook.fcgi') },
    expect         => { invalid => 'error log', far => '500', gone => 'at most once', reload => 'nothing lost' },
    unanswered     => 20
);
done_testing;
