# SPDX-License-Identifier: ISC
#
# candhook check-config: what it prints, and with which status it ends.
use v5.36;
use File::Temp qw(tempdir);
use Test::More;

my $program = ($ENV{top_builddir} // '.') . '/candhook';
my $dir = tempdir('ch.XXXXXX', TMPDIR => 1, CLEANUP => 1);
delete $ENV{DOCUMENT_ROOT};
$ENV{CANDHOOK_CONF} = "$dir/c.conf";

sub file ($name, $text, $mode = 0600) {
    unlink "$dir/$name";
    open my $out, '>', "$dir/$name" or die "$dir/$name: $!\n";
    print $out $text;
    close $out or die "$dir/$name: $!\n";
    chmod $mode, "$dir/$name" or die "$dir/$name: $!\n";
}

# Status, standard output, standard error.
sub run (@arguments) {
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        open STDOUT, '>', "$dir/out" or die;
        open STDERR, '>', "$dir/err" or die;
        exec $program, 'check-config', @arguments or die "$program: $!\n";
    }
    waitpid $pid, 0;
    my @text = map { local (@ARGV, $/) = "$dir/$_"; <> // '' } qw(out err);
    return ($? & 127 ? 128 + $? : $? >> 8, @text);
}

file 'c.conf', "[candhook]\ndatabase = host=/x password=hunter2\nurl_secrets = $dir/s\nmax_body = 65536\n";
file 's', "the-first-secret-of-all shop\nthe-second-secret-of-all\n";
my ($status, $out, $err) = run();
is $status, 0, 'a good configuration ends with 0';
is $err, '', 'and without an error';
like $out, qr/^# \Q$dir\E\/c\.conf\n/, 'the file is named';
like $out, qr/^database = \(set\)$/m, 'the database is set';
like $out, qr/^max_body = 64k$/m, 'a setting from the file';
like $out, qr/^log_level = info$/m, 'a default';
like $out, qr/^2 URL secrets: shop, \(no label\)\nok\n\z/m, 'how many secrets, their labels, and ok';
unlike $out, qr/hunter2|secret-of-all/, 'no password and no secret';

file 's', "the-first-secret-of-all\n";
like((run())[1], qr/^1 URL secret: \(no label\)$/m, 'one secret');

file 's', "short\n";
($status, $out, $err) = run();
is $status, 78, 'a bad secret ends with 78';
is $err, "candhook: $dir/s:1: a secret must have 16 to 255 characters\n", 'and says where';
unlike $out, qr/^ok$/m, 'and not ok';
file 's', "the-first-secret-of-all\n", 0644;
is((run())[0], 78, 'so do secrets that others can read');

file 'c.conf', "[candhook]\ndatabase = hunter2\nmax_bdy = 1\n";
($status, $out, $err) = run();
is $status, 78, 'an unknown key ends with 78';
like $err, qr/\Acandhook: \Q$dir\E\/c\.conf:3: unknown key max_bdy \(did you mean max_body\?\); the keys are: database, .*\n\z/, 'and says where';
is $out, '', 'and nothing else';
unlink "$dir/c.conf";
is((run())[0], 78, 'no file ends with 78');
is((run('extra'))[0], 64, 'an argument too many ends with 64');
($status, $out) = run('--help');
is $status, 0, '--help ends with 0';
like $out, qr/^Usage: candhook check-config/, 'and tells the usage';
done_testing;
