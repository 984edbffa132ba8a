# SPDX-License-Identifier: ISC
#
# The shipped apache/htaccess and its wrapper, copied as they are into the site, where Apache has mod_fcgid: the suite that every mount passes.
use v5.36;
use Test::More;
use Rig;
use Conformance;

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
$rig->apache(mount => 'htaccess', modules => ['fcgid']);

Conformance::run(
    $rig, $rig->apache_hooks,
    readme         => 'apache/README',
    column         => 'htaccess, fcgid',
    kill_responder => sub { kill KILL => $rig->own_processes('candhook.fcgi') },
    expect         => { invalid => 'error log', at => '500', above => '500', far => '500', gone => 'at most once', reload => 'nothing lost', guessed => 'one each', logs => 'access log' },
    unanswered     => 20
);
done_testing;
