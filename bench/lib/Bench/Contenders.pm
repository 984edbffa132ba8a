# SPDX-License-Identifier: ISC
#
# Who is measured, and how each is started. A contender is a row of the table below: its name, what people read, and a
# method that starts its servers and returns the URL's path (with the port in $bench->{port}). All processes that it starts
# by spawn are its own: they are what its CPU and memory are, and what ends with it.
package Bench::Contenders;
use v5.36;

use File::Path ();
use Rig::Front ();

# kind: candhook, peer (in the tables of schema peer), or ceiling (what it keeps is not counted). connections: when not 64.
# Behind mod_fcgid as many as it may start processes: a request that finds none free sleeps a whole second there.
our @contenders = (
    { name => 'candhook-keep',   kind => 'candhook', title => 'candhook, nginx keep_conn',      start => 'start_nginx', keep => 1 },
    { name => 'candhook-nokeep', kind => 'candhook', title => 'candhook, nginx, no keep_conn',  start => 'start_nginx' },
    { name => 'candhook-fcgid',  kind => 'candhook', title => 'candhook, Apache mod_fcgid (16)', start => 'start_fcgid',
        connections => 16 },
    { name => 'candhook-proxy',  kind => 'candhook', title => 'candhook, Apache proxy_fcgi',    start => 'start_proxy' },
    { name => 'candhook-cgi',    kind => 'candhook', title => 'candhook as CGI, nginx fcgiwrap', start => 'start_cgi' },
    { name => 'express-first',   kind => 'peer',     title => 'Express, answers first',         start => 'start_node',
        script => 'express.js', answer => 'first' },
    { name => 'express-commit',  kind => 'peer',     title => 'Express, answers after commit',  start => 'start_node',
        script => 'express.js', answer => 'commit' },
    { name => 'fastify',         kind => 'peer',     title => 'Fastify, after commit',          start => 'start_node',
        script => 'fastify.js', answer => 'commit' },
    { name => 'tuned',           kind => 'peer',     title => 'Fastify in batches, after commit', start => 'start_node',
        script => 'fastify_batches.js' },
    { name => 'tuned-nginx',     kind => 'peer',     title => 'the same, nginx',                start => 'start_node',
        script => 'fastify_batches.js', nginx => 1 },
    { name => 'php-fpm',         kind => 'peer',     title => 'PHP-FPM (16), nginx',            start => 'start_php' },
    { name => 'php-apache',      kind => 'peer',     title => 'PHP-FPM (16), Apache (16)',      start => 'start_php',
        apache => 1, connections => 16 },
    { name => 'flask',           kind => 'peer',     title => 'gunicorn (5), Flask, nginx',     start => 'start_flask' },
    { name => 'webhook',         kind => 'peer',     title => 'Debian webhook, a script',       start => 'start_webhook' },
    { name => 'stopped-keep',    kind => 'ceiling',  title => 'candhook, worker stopped',       start => 'start_nginx', keep => 1,
        no_worker => 1 },
    { name => 'nospool-keep',    kind => 'ceiling',  title => 'no spool, nginx keep_conn',      start => 'start_nginx', keep => 1,
        program => 'nospool' },
    { name => 'nospool-nokeep',  kind => 'ceiling',  title => 'no spool, nginx, no keep_conn',  start => 'start_nginx',
        program => 'nospool' },
    { name => 'stopped-fcgid',   kind => 'ceiling',  title => 'candhook, mod_fcgid, worker stopped', start => 'start_fcgid',
        no_worker => 1, connections => 16 },
    { name => 'nospool-fcgid',   kind => 'ceiling',  title => 'no spool, Apache mod_fcgid (16)', start => 'start_fcgid',
        program => 'nospool', connections => 16 },
    { name => 'stopped-proxy',   kind => 'ceiling',  title => 'candhook, proxy_fcgi, worker stopped', start => 'start_proxy',
        no_worker => 1 },
    { name => 'nospool-proxy',   kind => 'ceiling',  title => 'no spool, Apache proxy_fcgi',    start => 'start_proxy',
        program => 'nospool' },
    { name => 'nginx-204',       kind => 'ceiling',  title => 'nginx, return 204',              start => 'start_204' },
);

sub contender ($self, $name) {
    my ($found) = grep { $_->{name} eq $name } @contenders;
    return $found // die "there is no contender $name\n";
}

# Starts a contender. In the result: url, tables (of candhook or peer), servers (all of its processes), by name.
sub begin ($self, $name) {
    my $contender = $self->contender($name);
    my %before = map { $_->{pid} => 1 } @{ $self->{processes} };
    my $running = { %$contender, tables => $contender->{kind} eq 'peer' ? 'peer' : 'candhook' };
    my $method = $contender->{start};
    my $path = eval { $self->$method($contender) };
    my $error = $@;
    $running->{servers} = [ grep { !$before{ $_->{pid} } } @{ $self->{processes} } ];
    if (!defined $path) {
        $self->finish($running);
        die $error;
    }
    $running->{url} = "http://127.0.0.1:$self->{port}$path";
    return $running;
}

sub finish ($self, $running) {
    for my $server (reverse @{ $running->{servers} }) {
        next if !grep { $_->{pid} == $server->{pid} } @{ $self->{processes} };
        $self->stop($server->{pid}, $server->{name} eq 'worker' ? 'TERM' : $server->{signal} // 'TERM', 20);
        kill KILL => -$server->{pid};
    }
    for my $pid ($self->own_processes('candhook'), $self->own_processes('candhook.fcgi')) {
        kill KILL => $pid;
    }
}

sub server_pids ($self, $running, @names) {
    my %wanted = map { $_ => 1 } @names;
    return map { $_->{pid} } grep { !@names || $wanted{ $_->{name} } } @{ $running->{servers} };
}

# kill -9 of the program: everything of the contender but the front server and the database.
sub kill_program ($self, $running) {
    my @victims = $self->own_processes('candhook.fcgi');
    push @victims, $self->own_processes('candhook');
    push @victims, $self->pids_below(grep { $_ } map { $_->{pid} } grep { $_->{name} !~ /^(?:nginx|apache|fcgiwrap)$/ } @{ $running->{servers} });
    kill KILL => @victims;
    $self->wait_until(sub { !grep { $self->running($_) } @victims }, 'they are gone');
    my %gone = map { $_ => 1 } @victims;
    $self->forget($_) for @victims;
    $running->{servers} = [ grep { !$gone{ $_->{pid} } } @{ $running->{servers} } ];
}

# ---- candhook ----

sub start_worker ($self, $running = undef) {
    my $pid = $self->spawn('worker', $self->program('candhook'), 'work');
    push @{ $running->{servers} }, $self->{processes}[-1] if $running;
    return $pid;
}

# On a socket of its own; its worker is started here, too, so that it is a child of ours and not of the responder's monitor.
sub start_responder ($self, $contender) {
    my $program = $contender->{program} // 'candhook.fcgi';
    my $socket = $self->{socket} = "$self->{dir}/candhook.sock";
    my @options = $program eq 'candhook.fcgi' ? '--no-worker' : ();
    unlink $socket;
    $self->start_worker if $program eq 'candhook.fcgi' && !$contender->{no_worker};
    my $pid = $self->spawn('responder', $self->program($program), '--listen', $socket, @options);
    $self->wait_for_socket($pid, $socket);
    return $pid;
}

sub nginx_with ($self, $http, $server) {
    my $dir = $self->{dir};
    $self->make_folder($_) for 'nginx', map { "nginx/$_" } qw(body fastcgi proxy uwsgi scgi);
    return $self->with_port(
        'log/nginx.log',
        sub ($port) {
            $self->write_file('nginx/nginx.conf', <<"END");
daemon off;
worker_processes 2;
pid $dir/nginx/pid;
error_log $dir/log/nginx_error.log error;
events { worker_connections 2048; }
http {
    access_log off;
    # The load generator is not to send an event while nginx closes the connection.
    keepalive_timeout 2h;
    keepalive_requests 1000000;
    client_body_temp_path $dir/nginx/body;
    fastcgi_temp_path $dir/nginx/fastcgi;
    proxy_temp_path $dir/nginx/proxy;
    uwsgi_temp_path $dir/nginx/uwsgi;
    scgi_temp_path $dir/nginx/scgi;
    client_body_buffer_size 64k;
    $http
    server {
        listen 127.0.0.1:$port backlog=1024;
        $server
    }
}
END
            return $self->spawn('nginx', $self->nginx_command);
        }
    );
}

# The shipped configuration, unchanged but for what is to be compared.
sub shipped_nginx ($self, $socket, %change) {
    open my $in, '<', Rig::source_path('nginx/fastcgi.conf') or die "nginx/fastcgi.conf: $!\n";
    my $text = do { local $/; <$in> };
    $text =~ s/fastcgi_keep_conn on;/fastcgi_keep_conn off;/ or die "nginx/fastcgi.conf has no fastcgi_keep_conn\n" if !$change{keep};
    $text =~ s/(fastcgi_pass candhook;)/$change{more} $1/ if $change{more};
    $self->write_file('nginx/fastcgi.conf', $text) if $self->make_folder('nginx');
    my $keepalive = $change{keep} ? 'keepalive 32;' : '';
    $self->nginx_with("upstream candhook { server unix:$socket; $keepalive }", "include $self->{dir}/nginx/fastcgi.conf;");
    return $self->path;
}

sub start_nginx ($self, $contender) {
    $self->start_responder($contender);
    return $self->shipped_nginx($self->{socket}, keep => $contender->{keep});
}

sub start_cgi ($self, $contender) {
    my $socket = "$self->{dir}/fcgiwrap.sock";
    unlink $socket;
    $self->start_worker;
    my $pid = $self->spawn('fcgiwrap', Rig::Front::which('fcgiwrap'), '-c', 16, '-s', "unix:$socket");
    $self->wait_for_socket($pid, $socket);
    return $self->shipped_nginx($socket, more =>
          "fastcgi_param GATEWAY_INTERFACE CGI/1.1; fastcgi_param SCRIPT_FILENAME $self->{dir}/bin/candhook.fcgi;");
}

sub apache_with ($self, $modules, $text) {
    my $dir = $self->{dir};
    $self->make_folder($_) for qw(apache apache/fcgid apache/htdocs);
    my $load = join '', map { "LoadModule ${_}_module " . Rig::Front::apache_module($_) . "\n" }
      'mpm_event', qw(authz_core alias env setenvif), @$modules;
    return $self->with_port(
        'log/apache.log',
        sub ($port) {
            $self->write_file('apache/apache.conf', <<"END");
ServerRoot $dir/apache
ServerName localhost
Listen 127.0.0.1:$port
ListenBacklog 1024
PidFile $dir/apache/pid
DefaultRuntimeDir $dir/apache
$load
DocumentRoot $dir/apache/htdocs
<Directory />
    AllowOverride None
    Require all denied
</Directory>
MaxKeepAliveRequests 0
ErrorLog $dir/log/apache_error.log
LogLevel warn
$text
END
            return $self->spawn('apache', Rig::Front::which('apache2', 'httpd'), '-f', "$dir/apache/apache.conf", '-D', 'FOREGROUND');
        }
    );
}

# mod_fcgid starts the program itself. Its monitor finds our worker running and starts none.
sub start_fcgid ($self, $contender) {
    my $dir = $self->{dir};
    my $program = $self->program($contender->{program} // 'candhook.fcgi');
    $self->start_worker if !$contender->{program} && !$contender->{no_worker};
    if ($contender->{no_worker}) {
        $program = $self->write_file('bin/no-worker', "#!/bin/sh\nexec $program --no-worker\n", 0755);
    }
    $self->make_folder('apache');
    $self->copy_shipped(Rig::build_path('apache/mod_fcgid.conf'), 'apache/mod_fcgid.conf');
    $self->apache_with(['fcgid'], <<"END");
FcgidIPCDir $dir/apache/fcgid
FcgidProcessTableFile $dir/apache/fcgid/table
Define CANDHOOK_PROGRAM $program
Define CANDHOOK_CONF $dir/candhook.conf
Include $dir/apache/mod_fcgid.conf
END
    return $self->path;
}

sub start_proxy ($self, $contender) {
    $self->start_responder($contender);
    $self->apache_with([qw(proxy proxy_fcgi)], <<"END");
<Location "/candhook/">
    ProxyPass "unix:$self->{socket}|fcgi://localhost/candhook/"
    Require all granted
</Location>
END
    return $self->path;
}

sub start_204 ($self, $contender) {
    $self->nginx_with('', 'location / { return 204; }');
    return '/webhook';
}

# ---- the peers ----

sub peer_file ($self, $name) {
    $self->make_folder('peers');
    return $self->copy_shipped(Rig::source_path("bench/contenders/$name"), "peers/$name");
}

# node_modules lies beside the build, where the rig's user may not reach.
sub start_node ($self, $contender) {
    my $node = Rig::Front::which('node', 'nodejs');
    my $modules = Rig::build_path('bench/node/node_modules');
    my $script = $self->peer_file($contender->{script});
    -d "$modules/" . ($contender->{script} =~ s/(?:_batches)?[.]js$//r) or die "its npm packages are not installed\n";
    if (!-d "$self->{dir}/peers/node_modules") {
        system('cp', '-r', $modules, "$self->{dir}/peers/node_modules") == 0 or die "cannot copy $modules\n";
        system('chmod', '-R', 'a+rX', "$self->{dir}/peers");
        $self->own("$self->{dir}/peers");
    }
    $self->with_port(
        'log/node.log',
        sub ($port) {
            my %env = (PORT => $port, NODE_ENV => 'production', ANSWER => $contender->{answer} // 'commit', DATABASE => $self->database_url);
            return $self->spawn('node', { env => \%env }, $node, $script);
        }
    );
    $self->nginx_with("upstream peer { server 127.0.0.1:$self->{port}; keepalive 64; }",
        'location / { proxy_pass http://peer; proxy_http_version 1.1; proxy_set_header Connection ""; }') if $contender->{nginx};
    return '/webhook';
}

# As node's pg, libpq and psql all take it.
sub database_url ($self) {
    return "postgresql://postgres\@/candhook?host=$self->{dir}";
}

sub start_php ($self, $contender) {
    my $dir = $self->{dir};
    my ($program) = reverse sort glob '/usr/sbin/php-fpm[78]*';
    defined $program or die "php-fpm is not installed\n";
    my $script = $self->peer_file('event.php');
    unlink "$dir/php.sock";
    my $conf = $self->write_file('peers/php-fpm.conf', <<"END");
[global]
error_log = $dir/log/php-fpm.log
daemonize = no
[peer]
listen = $dir/php.sock
listen.backlog = 1024
pm = static
pm.max_children = 16
env[DATABASE] = "@{[ $self->database_url ]}"
END
    my $pid = $self->spawn('php-fpm', $program, '--nodaemonize', '--fpm-config', $conf);
    $self->wait_for_socket($pid, "$dir/php.sock");
    if ($contender->{apache}) {
        $self->apache_with([qw(proxy proxy_fcgi)], <<"END");
Alias /webhook $script
<Directory "$dir/peers">
    Require all granted
    SetHandler "proxy:unix:$dir/php.sock|fcgi://localhost"
</Directory>
END
        return '/webhook';
    }
    $self->nginx_with('', <<"END");
location / {
    fastcgi_param REQUEST_METHOD \$request_method;
    fastcgi_param REQUEST_URI \$request_uri;
    fastcgi_param CONTENT_TYPE \$content_type;
    fastcgi_param CONTENT_LENGTH \$content_length;
    fastcgi_param SCRIPT_FILENAME $script;
    fastcgi_pass unix:$dir/php.sock;
}
END
    return '/webhook';
}

sub start_flask ($self, $contender) {
    my $dir = $self->{dir};
    my $gunicorn = Rig::Front::which('gunicorn');
    $self->peer_file('app.py');
    unlink "$dir/flask.sock";
    my $pid = $self->spawn('gunicorn', { env => { DATABASE => $self->database_url } },
        $gunicorn, '--workers', 5, '--bind', "unix:$dir/flask.sock", '--chdir', "$dir/peers", '--log-level', 'warning', 'app:app');
    $self->wait_for_socket($pid, "$dir/flask.sock");
    $self->nginx_with('', "location / { proxy_pass http://unix:$dir/flask.sock; }");
    return '/webhook';
}

sub start_webhook ($self, $contender) {
    my $dir = $self->{dir};
    my $program = Rig::Front::which('webhook');
    my $script = $self->peer_file('webhook.sh');
    chmod 0755, $script;
    my $hooks = $self->write_file('peers/hooks.json', <<"END");
[{
    "id": "event",
    "execute-command": "$script",
    "include-command-output-in-response": true,
    "pass-arguments-to-command": [ { "source": "entire-payload" } ]
}]
END
    $self->with_port(
        'log/webhook.log',
        sub ($port) {
            my %env = (DATABASE => $self->database_url, PATH => Rig::Database::bindir() . ":$ENV{PATH}");
            return $self->spawn('webhook', { env => \%env }, $program, '-hooks', $hooks, '-ip', '127.0.0.1', '-port', $port);
        }
    );
    return '/hooks/event';
}

1;
