# SPDX-License-Identifier: ISC
#
# Installing without root, by the commands of README's section about it: a plain user's home folder, a database as a
# host gives it, and an Apache that knows nothing of candhook but obeys the user's .htaccess and runs CGI.
use v5.36;
use Test::More;
use POSIX ();
use Rig;

my $rig  = Rig->new(programs => []);
$rig->make_folder('home');
my $home = $rig->make_folder('home/shop');
my %env  = (HOME => $home, CANDHOOK_CONF => undef, PATH => "$rig->{dir}/bin:$ENV{PATH}", EDITOR => 'editor');
$rig->cluster;

# The commands of the section: those that build, and those that set it up. Lines for cron are not for a shell.
my ($section) = $rig->read_file(Rig::source_path('README')) =~ /^Without root: shared hosting\n-+\n(.*?)\n\S[^\n]*\n---/ms;
my @commands = grep { !/^\*/ } $section =~ /^    (\S.*)$/mg;
my ($build, @setup) = @commands;
like $build, qr/^\.\/configure --prefix=\$HOME\/candhook /, 'README tells how to build';
cmp_ok scalar(@setup), '>', 5, 'and how to set it up';

# A copy of the sources, as they are in a distribution, since the user may not reach into the checkout.
{
    my $from = Rig::source_path('.');
    my @not = map { "--exclude=$_" } qw(./.git ./build ./_build ./_inst ./config.status ./config.h ./Makefile ./candhook ./candhook.fcgi
      *.o *.a .deps .dirstamp *.log *.trs);
    $rig->make_folder('source');
    pipe my $out, my $in or die "pipe: $!\n";
    my $packer = fork // die "fork: $!\n";
    if (!$packer) {
        open STDOUT, '>&', $in or die;
        exec 'tar', '-C', $from, '--mode=u+w', @not, '-cf', '-', '.' or POSIX::_exit(127);
    }
    close $in;
    my $unpacker = $rig->start({ in => $out, dir => "$rig->{dir}/source" }, qw(tar -xf - --no-same-owner));
    close $out;
    is $rig->wait_pid($unpacker, 120), 0, 'the sources are copied';
    $rig->wait_pid($packer, 10);
}

# As quick as it gets: nothing here asks what the compiler can do.
my ($status, $out, $err) = $rig->run({ dir => "$rig->{dir}/source", env => { %env, CFLAGS => '-O0', MAKEFLAGS => '-j2' }, seconds => 500 }, 'sh', '-c', $build);
is $status, 0, 'it builds and installs' or BAIL_OUT(substr "$out$err", -3000);
my @outside = grep { !m{^\Q$home\E/candhook(?:/|$)} } split /\n/, ($rig->run({}, 'find', $home, '-mindepth', '1'))[1];
is_deeply \@outside, [], 'and nothing lies outside of ~/candhook';

# ---- a host: a database of one's own and no right to make roles, CGI, the home folder's public_html ----
$rig->sql(q{create role shop login}, dbname => 'postgres');
$rig->sql(q{create database shop owner shop}, dbname => 'postgres');
$rig->apache(mount => 'none', modules => [qw(rewrite userdir cgid)], main => <<"END");
UserDir $rig->{dir}/home/*/public_html
<Directory "$rig->{dir}/home/*/public_html">
    AllowOverride Options FileInfo AuthConfig
    Require all granted
</Directory>
END
my $base = "http://127.0.0.1:$rig->{port}/~shop/candhook";

# What the person types into the editor.
$rig->write_file('bin/editor', <<"END", 0755);
#!/bin/sh
sed -i -e 's|^#database = .*|database = host=$rig->{dir} dbname=shop user=shop|' -e 's|^#base_url = .*|base_url = $base|' \\
    -e 's|^#log = .*|log = $home/candhook/candhook.log|' "\$1"
END

# A umask that lets the group write: many hosts have it, and suEXEC would refuse the folder then.
($status, $out, $err) = $rig->run({ env => \%env, dir => $home, seconds => 120 }, 'sh', '-c', join "\n", 'umask 002; set -e', @setup);
is $status, 0, 'README\'s commands set it up, and the doctor finds nothing wrong' or diag "$out$err";
note "$out$err";
my ($path) = $out =~ m{^http://127\.0\.0\.1:\d+(/~shop/candhook/\S+)$}m;
ok $path, 'the URL is printed';
like $err, qr/the user shop may make no roles, so there is no candhook_worker/, 'init says that there are no roles';
like $out, qr/^ok\s+outcome\s+unhandled/m, 'the probe has found its way to its outcome';
like $out, qr/^ok\s+large event\s.*answered with 200/m, 'so has one of more than 128 KiB';
like $out, qr/^note\s+spool\s+\S+ does not exist yet/m, 'before anything runs, a spool that is not there is nothing wrong';
for my $file (qw(public_html/candhook public_html/candhook/candhook.fcgi)) {
    is sprintf('%04o', (stat "$home/$file")[2] & 07777), '0755', "$file: nobody else may change it";
}
is sprintf('%04o', (stat "$home/candhook/$_")[2] & 077), '0000', "$_ is nobody else's to read" for qw(etc/candhook.conf etc/candhook.secrets var/lib/candhook/spool);

# ---- an event, with no daemon and no cron, and its handler's outcome ----
sub owned ($sql) { return $rig->sql($sql, user => 'shop', dbname => 'shop') }

owned(<<'END');
create function greet(event candhook.event, bot_token text) returns text language sql
    as $$ select 'hello ' || (event.payload ->> 'id') $$;
select candhook.add_handler('greet', 'MOIM', 'product.*', 'sql', 'greet');
END
sub mine { return grep { (readlink "/proc/$_/exe" // '') =~ m{^\Q$home/candhook\E} } keys %{ Rig::Process::process_table() } }

$rig->wait_until(sub { !mine() }, 'nothing of candhook runs');
is $rig->post($path, $rig->event)->{status}, 200, 'an event is taken';
$rig->wait_until(sub { owned(q{select count(*) from candhook.outcome where handler = 'greet'}) }, 'it has its outcome');
is owned(q{select result, detail from candhook.outcome where handler = 'greet'}), 'ok|hello CP:AK290DKFJD', 'and its handler has run';
$rig->wait_until(sub { !mine() }, 'nothing of candhook runs any more');
is $rig->post('/~shop/candhook/wrong', $rig->event)->{status}, 404, 'a wrong secret: 404';

# ---- what the net may see ----
for my $target ("$path/", '/~shop/candhook/candhook.fcgi', '/~shop/candhook/.htaccess', '/~shop/candhook/') {
    my $answer = $rig->post($target, '', method => 'GET', length => undef);
    is "$answer->{status} $answer->{body}", '404 ', 'GET ' . $target =~ s/\Q$path\E/PATH/r . ': 404, empty';
}
my ($secret) = $path =~ m{([^/]+)$};
for my $file (qw(.htaccess candhook.fcgi)) {
    my $text = $rig->read_file("$home/public_html/candhook/$file");
    unlike $text, qr/\@\w+\@|\Q$secret\E/, "no secret in $file";
}
done_testing;
