# SPDX-License-Identifier: ISC
#
# The shipped apache/htaccess and its wrapper, copied as they are into the site, where Apache has CGI only: the suite that every mount passes.
use v5.36;
use Test::More;
use Rig;
use Conformance;

my $rig = Rig->new;
$rig->cluster;
$rig->conf;
$rig->schema;
$rig->apache(mount => 'htaccess', mpm => 'prefork', modules => ['cgi']);

Conformance::run(
    $rig, $rig->apache_hooks,
    readme         => 'apache/README',
    column         => 'htaccess, CGI',
    kill_responder => sub { kill KILL => $rig->own_processes('candhook.fcgi') },
    guesses        => 200,
    expect         => { cut => 'dropped or kept', cutchunk => 'dropped or kept', invalid => 'error log', holding => 'a process each', guessed => 'one each', logs => 'access log' }
);
done_testing;
