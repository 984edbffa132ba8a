# SPDX-License-Identifier: ISC
#
# The real nginx with a shipped configuration included unchanged, and a site with a page beside it.
package Rig::Nginx;
use v5.36;

# nginx with the shipped nginx/fastcgi.conf before the responder's socket, or with `mount`, another file of that folder.
# `http` and `server` are further lines; `http` instead of the shipped nginx/upstream.conf.
sub nginx ($self, %option) {
    my $dir = $self->{dir};
    my $socket = $option{socket} // $self->{socket} // "$dir/candhook.sock";
    my $mount = $option{mount} // 'fastcgi.conf';
    my $http = $option{http} // $self->read_file($self->fill_shipped('nginx/upstream.conf', 'upstream.conf')) =~ s/unix:[^;]+/unix:$socket/r;

    $self->make_folder($_) for 'nginx', map { "nginx/$_" } qw(body fastcgi proxy uwsgi scgi html);
    $self->copy_shipped(Rig::source_path("nginx/$mount"), "nginx/$mount");
    $self->write_file('nginx/html/page.txt', "a page of the site\n");
    $self->{nginx} = $self->with_port(
        'log/nginx.log',
        sub ($port) {
            $self->write_file('nginx/nginx.conf', <<"END");
daemon off;
worker_processes 2;
pid $dir/nginx/pid;
error_log $dir/log/nginx_error.log notice;
events { worker_connections 1024; }
http {
    access_log $dir/log/nginx_access.log combined if=\$candhook_logged;
    lingering_timeout 1s; # how long nginx's end waits for clients that do not close
    client_body_temp_path $dir/nginx/body;
    fastcgi_temp_path $dir/nginx/fastcgi;
    proxy_temp_path $dir/nginx/proxy;
    uwsgi_temp_path $dir/nginx/uwsgi;
    scgi_temp_path $dir/nginx/scgi;
    $http
    server {
        listen 127.0.0.1:$port;
        root $dir/nginx/html;
        include $dir/nginx/$mount;
        @{[ $option{server} // '' ]}
    }
}
END
            return $self->nginx_again;
        }
    );
    return $self->{nginx};
}

# With the configuration and the port that it had before.
sub nginx_again ($self) {
    return $self->{nginx} = $self->spawn('nginx', $self->nginx_command);
}

sub nginx_command ($self, @more) {
    my $dir = $self->{dir};
    return (Rig::Front::which('nginx'), '-p', "$dir/nginx", '-e', "$dir/log/nginx.log", '-c', "$dir/nginx/nginx.conf", @more);
}

# The same in a hurry: it waits a second for what a sender owes, and has a second port, for HTTP/2.
sub nginx_hasty ($self) {
    my $conf = $self->read_file('nginx/nginx.conf') =~ s/(?=client_body_temp_path)/client_header_timeout 1s; client_body_timeout 1s; keepalive_timeout 1s;\n    /r;
    my $site = $self->{port};
    $self->with_port(
        'log/nginx.log',
        sub ($port) {
            $self->write_file('nginx/nginx.conf', $conf =~ s/(?=root )/listen 127.0.0.1:$port http2;\n        /r);
            return $self->nginx_again;
        }
    );
    ($self->{h2_port}, $self->{port}) = ($self->{port}, $site);
    return $self->{nginx};
}

# What Conformance::run wants to know of nginx.
sub nginx_hooks ($self) {
    my $start = sub {
        my $pid = $self->nginx_again;
        $self->wait_until(sub { !$self->running($pid) || eval { $self->connect_front } }, 'nginx listens');
    };
    return (
        start   => $start,
        hasty   => sub { $self->nginx_hasty },
        stop    => sub { $self->stop($self->{nginx}, 'QUIT') },
        restart => sub { $self->stop($self->{nginx}); $start->() },
        reload  => sub {
            my ($status, undef, $err) = $self->run({}, $self->nginx_command('-s', 'reload'));
            $status == 0 or die "nginx -s reload: $err\n";
        }
    );
}

1;
