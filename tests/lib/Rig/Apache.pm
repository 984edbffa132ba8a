# SPDX-License-Identifier: ISC
#
# The real Apache with a shipped file used unchanged, and a site with a page beside it.
package Rig::Apache;
use v5.36;

# The modules that a shipped file needs, beside those that every Apache has.
my %modules = (
    'mod_fcgid.conf'  => [qw(alias fcgid)],
    'proxy_fcgi.conf' => [qw(alias proxy proxy_fcgi buffer)],
    'cgi.conf'        => [qw(alias)],
    htaccess          => [qw(rewrite)],
    'web_fcgid.conf'  => [qw(alias fcgid)],
    'web_proxy.conf'  => [qw(alias proxy proxy_fcgi)],
    'web_cgi.conf'    => [qw(alias)],
    web_htaccess      => [qw(rewrite)],
    none              => []
);

# Apache with the shipped apache/mod_fcgid.conf, or with `mount`, another file of that folder: included by the server's
# configuration, but htaccess and web_htaccess, which lie with their wrappers in the folders candhook and candhook-app of the
# document root; `none` mounts nothing. Options: mpm => 'event' (default) or another, `modules` further ones, `main` further lines.
sub apache ($self, %option) {
    my $dir = $self->{dir};
    my $mpm = $option{mpm} // 'event';
    my $mount = $option{mount} // 'mod_fcgid.conf';
    my @modules = ("mpm_$mpm", qw(authz_core env), @{ $modules{$mount} }, @{ $option{modules} // [] });
    my $load = join '', map { "LoadModule ${_}_module " . Rig::Front::apache_module($_) . "\n" } @modules;

    $self->make_folder($_) for qw(apache apache/fcgid apache/htdocs);
    $self->write_file('apache/htdocs/page.txt', "a page of the site\n");
    # What the shipped file tells to write there; what a host has knows nothing of candhook.
    my ($unless) = $mount =~ /\.conf$/ ? $self->read_file(Rig::build_path("apache/$mount")) =~ /^# +CustomLog FILE combined (.+)$/m : '';
    my $include =
        $mount eq 'none'         ? ''
      : $mount eq 'htaccess'     ? $self->apache_folder
      : $mount eq 'web_htaccess' ? $self->apache_folder('apache/htdocs/candhook-app', 'web_htaccess', 'candhook-web.fcgi')
      :                            $self->apache_include($mount);
    $self->{apache} = $self->with_port(
        'log/apache.log',
        sub ($port) {
            $self->write_file('apache/apache.conf', <<"END");
ServerRoot $dir/apache
ServerName localhost
Listen 127.0.0.1:$port
PidFile $dir/apache/pid
DefaultRuntimeDir $dir/apache
$load
<IfModule mod_fcgid.c>
    FcgidIPCDir $dir/apache/fcgid
    FcgidProcessTableFile $dir/apache/fcgid/table
</IfModule>
<IfModule mpm_prefork_module>
    StartServers 60
    MinSpareServers 20
    MaxSpareServers 100
</IfModule>
DocumentRoot $dir/apache/htdocs
<Directory />
    AllowOverride None
    Require all denied
</Directory>
<Directory "$dir/apache/htdocs">
    AllowOverride Options FileInfo AuthConfig
    Require all granted
</Directory>
ErrorLog $dir/log/apache_error.log
LogLevel warn
LogFormat "%h %t \\"%r\\" %>s" short
CustomLog $dir/log/apache_access.log short $unless
$include
@{[ $option{main} // '' ]}
END
            return $self->apache_again;
        }
    );
    return $self->{apache};
}

# The lines that mount a file of the server's configuration.
sub apache_include ($self, $mount) {
    my $dir = $self->{dir};

    $self->copy_shipped(Rig::build_path("apache/$mount"), "apache/$mount");
    return <<"END";
Define CANDHOOK_PROGRAM @{[ $self->program('candhook.fcgi') ]}
Define CANDHOOK_CONF $dir/candhook.conf
Define CANDHOOK_SOCKET @{[ $self->{socket} // "$dir/candhook.sock" ]}
Define CANDHOOK_WEB_PROGRAM $dir/bin/candhook-web.fcgi
Define CANDHOOK_WEB_SOCKET @{[ $self->{web_socket} // "$dir/web.sock" ]}
Include $dir/apache/$mount
END
}

# What somebody without root puts into the document root; the wrapper is made as make makes it, for the rig's folders.
sub apache_folder ($self, $folder = 'apache/htdocs/candhook', $htaccess = 'htaccess', $program = 'candhook.fcgi') {
    my %place = (sysconfdir => $self->{dir}, libexecdir => "$self->{dir}/bin");
    my $wrapper = $self->read_file(Rig::source_path("apache/$program.in")) =~ s/\@(\w+)\@/$place{$1}/gr;

    $self->make_folder($folder, 0755);
    $self->copy_shipped(Rig::source_path("apache/$htaccess"), "$folder/.htaccess");
    $self->write_file("$folder/$program", $wrapper, 0755);
    return '';
}

# With the configuration and the port that it had before.
sub apache_again ($self) {
    return $self->{apache} = $self->spawn('apache', $self->apache_command('-D', 'FOREGROUND'));
}

sub apache_command ($self, @more) {
    return (Rig::Front::which('apache2', 'httpd'), '-f', "$self->{dir}/apache/apache.conf", @more);
}

# apachectl graceful, and waits until the new generation serves.
sub apache_graceful ($self) {
    my $times = sub { return scalar(() = $self->read_file('log/apache_error.log') =~ /resuming normal operations/g) };
    my $before = $times->();

    kill USR1 => $self->{apache};
    $self->wait_until(sub { $times->() > $before }, 'Apache has reloaded');
}

# The same in a hurry: it waits a second for what a sender owes; with HTTP/2, but under prefork, which has none.
sub apache_hasty ($self) {
    my $conf = $self->read_file('apache/apache.conf');
    my @modules = ('reqtimeout', $conf =~ /LoadModule mpm_prefork/ ? () : 'http2');
    my $load = join '', map { "LoadModule ${_}_module " . Rig::Front::apache_module($_) . "\n" } @modules;
    $self->{h2_port} = $self->{port} if @modules == 2;
    $conf =~ s/^(?=DocumentRoot)/${load}RequestReadTimeout header=1 body=1\nKeepAliveTimeout 1\nTimeout 1\n<IfModule mod_http2.c>\n    Protocols h2c http\/1.1\n<\/IfModule>\n/m;
    $self->write_file('apache/apache.conf', $conf);
    return $self->apache_again;
}

# What Conformance::run wants to know of Apache.
sub apache_hooks ($self) {
    my $start = sub {
        my $pid = $self->apache_again;
        $self->wait_until(sub { !$self->running($pid) || eval { $self->connect_front } }, 'Apache listens');
    };
    return (
        start   => $start,
        hasty   => sub { $self->apache_hasty; $self->wait_until(sub { eval { $self->connect_front } }, 'Apache listens') },
        stop    => sub { $self->stop($self->{apache}, 'WINCH', 30) },
        restart => sub { $self->stop($self->{apache}, 'TERM', 30); $start->() },
        reload  => sub { $self->apache_graceful }
    );
}

1;
