# SPDX-License-Identifier: ISC
#
# scripts/install-packages: while apt works, no service starts and no cluster is made; afterwards all is as before,
# however it ends. apt-get, id and the tools that disable services are played by scripts below a root of its own.
use v5.36;
use Test::More;
use Cwd        ();
use File::Path ();
use File::Temp ();

my $top = Cwd::abs_path($ENV{top_srcdir} // __FILE__ =~ s{[^/]+$}{..}r);
my $root = File::Temp::tempdir('chi.XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $policy = "$root/usr/sbin/policy-rc.d";
my $conf = "$root/etc/postgresql-common/createcluster.conf";
my $dir = "$root/etc/postgresql-common/createcluster.d";

sub put ($path, $text, $mode = 0644) {
    File::Path::make_path($path =~ s{/[^/]+$}{}r);
    open my $file, '>', $path or die "$path: $!\n";
    print {$file} $text;
    close $file or die "$path: $!\n";
    chmod $mode, $path;
}

sub get ($path) {
    open my $file, '<', $path or return undef;
    local $/;
    return scalar <$file>;
}

# All files below the root but those that play a part, with what is in them.
sub state_of {
    my %state;
    my @open = ($root);
    while (defined(my $folder = shift @open)) {
        for my $path (glob "$folder/*") {
            next if $path =~ m{^\Q$root\E/(?:bin|log|seen|go)};
            -d $path ? push @open, $path : ($state{$path} = get($path));
            $state{$path} //= 'folder';
        }
    }
    return \%state;
}

sub fresh {
    File::Path::remove_tree($root, { keep_root => 1 });
    File::Path::make_path("$root/usr/sbin", "$root/etc");
    put("$root/bin/id", "#!/bin/sh\necho 0\n", 0755);
    put("$root/bin/dpkg-query", "#!/bin/sh\nexit 1\n", 0755);
    put("$root/bin/$_", qq(#!/bin/sh\necho "$_ \$*" >>$root/log\n), 0755) for qw(deb-systemd-helper update-rc.d systemctl);
    # apt-get: what it finds while it installs; `go` says how it ends.
    put("$root/bin/apt-get", <<"END", 0755);
#!/bin/sh
case " \$* " in
*" -s "*) exit 0 ;;
*" update "*) echo update >>$root/log; exit 0 ;;
esac
{ $policy; echo "policy=\$?"; grep -hs ^create_main_cluster $conf $dir/*; } >$root/seen 2>&1
mkdir -p $root/lib/systemd/system && touch $root/lib/systemd/system/nginx.service
echo "\$*" >>$root/log
case "\$(cat $root/go)" in
wait)
    trap 'echo interrupted >>$root/log; exit 100' INT
    echo up >$root/bin/up
    i=0
    while [ ! -e $root/bin/end ] && [ \$i -lt 300 ]; do sleep 0.1; i=\$((i + 1)); done
    ;;
fail) exit 100 ;;
esac
exit 0
END
    put("$root/go", 'work');
}

sub start (@packages) {
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;
    $ENV{CANDHOOK_TEST_ROOT} = $root;
    open STDOUT, '>>', "$root/log.out";
    open STDERR, '>&', \*STDOUT;
    exec 'bash', "$top/scripts/install-packages", @packages;
    die "exec: $!\n";
}

sub run (@packages) {
    my $pid = start(@packages);
    waitpid $pid, 0;
    return $? >> 8;
}

sub wait_for ($path) {
    for (1 .. 3000) {
        return 1 if -e $path;
        select undef, undef, undef, 0.01;
    }
    die "$path does not appear\n";
}

# ---- a machine without any of it ----
fresh();
my $before = state_of();
is run('nginx', 'curl'), 0, 'packages are installed';
like get("$root/seen"), qr/^policy=101$/m, 'meanwhile services are refused';
like get("$root/seen"), qr/^create_main_cluster = false$/m, 'and a cluster is';
like get("$root/log"), qr/--no-remove --no-install-recommends .* install nginx curl$/m, 'nothing is removed, nothing recommended comes';
like get("$root/log"), qr/^deb-systemd-helper disable nginx[.]service\nupdate-rc[.]d nginx disable$/m, 'the new service is switched off';
File::Path::remove_tree("$root/lib");
is_deeply state_of(), $before, 'afterwards nothing is left';

# ---- one with both files, of before the folder createcluster.d ----
fresh();
put($policy, "#!/bin/sh\nexit 0\n", 0755);
put($conf, "start_conf = 'manual'\n", 0640);
$before = state_of();
is run('nginx'), 0, 'installed on a machine with a policy and a configuration';
like get("$root/seen"), qr/^policy=101\ncreate_main_cluster = false\ncreate_main_cluster = false$/, 'both are in force meanwhile';
File::Path::remove_tree("$root/lib");
is_deeply state_of(), $before, 'and then as they were';
is sprintf('%o %o', (stat $policy)[2] & 07777, (stat $conf)[2] & 07777), '755 640', 'with their modes';

# ---- it fails ----
put("$root/go", 'fail');
is run('nginx'), 1, 'apt fails';
is scalar(() = get("$root/log") =~ /^update$/mg), 1, 'the lists were fetched anew, once';
File::Path::remove_tree("$root/lib");
is_deeply state_of(), $before, 'all is as before';

# ---- it is interrupted: apt is told, and waited for ----
for my $signal (qw(INT TERM)) {
    unlink "$root/bin/up";
    put("$root/go", 'wait');
    put("$root/log", '');
    my $pid = start('nginx');
    wait_for("$root/bin/up");
    kill $signal => $pid;
    waitpid $pid, 0;
    is $? >> 8, $signal eq 'INT' ? 130 : 143, "$signal ends it";
    like get("$root/log"), qr/^interrupted$/m, 'apt was told';
    like get("$root/log"), qr/^deb-systemd-helper disable nginx/m, 'what came along is switched off all the same';
    File::Path::remove_tree("$root/lib");
    is_deeply state_of(), $before, 'all is as before';
}

# ---- it is killed: the next run clears up ----
for my $with_files (0, 1) {
    fresh();
    if ($with_files) {
        put($policy, "#!/bin/sh\nexit 0\n", 0755);
        put($conf, "start_conf = 'manual'\n");
    }
    $before = state_of();
    put("$root/go", 'wait');
    my $pid = start('nginx');
    wait_for("$root/bin/up");
    kill KILL => $pid;
    waitpid $pid, 0;
    put("$root/bin/end", '');
    isnt get($policy), $before->{$policy}, 'a killed run leaves its policy';
    put("$root/go", 'work');
    is run('nginx'), 0, 'the next one works';
    File::Path::remove_tree("$root/lib");
    is_deeply state_of(), $before, 'and leaves all as it was before both';
}

# ---- not root ----
fresh();
unlink "$root/bin/id";
put("$root/bin/id", "#!/bin/sh\necho 1000\n", 0755);
is run('nginx'), 1, 'only root may';
is get("$root/seen"), undef, 'and apt is not called';

done_testing;
