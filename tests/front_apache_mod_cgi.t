# SPDX-License-Identifier: ISC
#
# The shipped apache/cgi.conf, included as it is by the real Apache: mod_cgi under the prefork MPM: the suite that every mount passes.
use v5.36;
use Test::More;
use Rig;
use Conformance;

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
$rig->apache(mount => 'cgi.conf', mpm => 'prefork', modules => ['cgi']);

Conformance::run(
    $rig, $rig->apache_hooks,
    readme         => 'apache/README',
    column         => 'mod_cgi',
    kill_responder => sub { kill KILL => $rig->own_processes('candhook.fcgi') },
    guesses        => 200,
    expect         => { cut => 'dropped or kept', cutchunk => 'dropped or kept', invalid => 'error log', holding => 'a process each' }
);
done_testing;
