# SPDX-License-Identifier: ISC
#
# A browser as far as links go: it keeps cookies of the site, follows redirections, and remembers everything that it was sent.
#
#     my $browser = Browser->new($rig);                   # at the front's port
#     my $page = $browser->get('/candhook-app/install');      # a path of the front, or a whole URL; redirections are followed
#     $page = $browser->click($page, 'allow');            # the link with this id
#     $page->{status}, $page->{url}, $page->{body}, $page->{headers}{'content-security-policy'}
package Browser;
use v5.36;

use IO::Socket::INET ();

sub new ($class, $rig) { return bless { rig => $rig, cookies => {}, seen => [] }, $class }

sub origin ($self) { return "http://127.0.0.1:$self->{rig}{port}" }

# One request, no redirection followed. Options: method, body, cookies => 0 (none are sent), headers => [lines].
sub fetch ($self, $url, %option) {
    $url = $self->origin . $url if $url =~ m{^/};
    my ($host, $port, $target) = $url =~ m{^http://([\d.]+):(\d+)(/[^#]*)} or die "not a URL of this machine: $url\n";
    my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 30) or die "cannot connect to $host:$port: $!\n";
    my $cookies = join '; ', map { "$_=$self->{cookies}{$_}" } sort keys %{ $self->{cookies} };
    my @lines = (($option{method} // 'GET') . " $target HTTP/1.1", "Host: $host:$port", 'Connection: close', @{ $option{headers} // [] });
    push @lines, "Cookie: $cookies" if length $cookies && ($option{cookies} // 1) && "$host:$port" eq "127.0.0.1:$self->{rig}{port}";
    push @lines, 'Content-Length: ' . length $option{body} if defined $option{body};
    print {$socket} join("\r\n", @lines, '', $option{body} // '');
    my $text = do { local $/; <$socket> } // '';
    push @{ $self->{seen} }, $text;
    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my ($status) = ($head // '') =~ m{^HTTP/1\.1 (\d+)};
    my %headers = map { /^([^:]+):\s*(.*?)\s*$/ ? (lc $1 => $2) : () } split /\r\n/, $head // '';
    if (my ($name, $value, $rest) = ($headers{'set-cookie'} // '') =~ /^([^=]+)=([^;]*)(.*)/) {
        $rest =~ /Max-Age=0/ ? delete $self->{cookies}{$name} : ($self->{cookies}{$name} = $value);
    }
    return { status => $status // 0, url => $url, headers => \%headers, head => $head, body => $body // '' };
}

sub get ($self, $url, %option) {
    for (1 .. 10) {
        my $page = $self->fetch($url, %option);
        return $page if $page->{status} != 302;
        $url = $page->{headers}{location};
        $url = resolve($page, $url);
    }
    die "too many redirections\n";
}

# A link of a page, whole.
sub resolve ($page, $href) {
    return $href =~ m{^http} ? $href : $href =~ m{^/} ? ($page->{url} =~ m{^(http://[^/]+)})[0] . $href : $page->{url} =~ s{[^/]*(?:\?.*)?$}{}r . $href;
}

# The address behind the link with an id, or, without one, behind the first link.
sub link_of ($self, $page, $id = undef) {
    my ($href) = $page->{body} =~ (defined $id ? qr/<a id="$id" href="([^"]*)"/ : qr/<a [^>]*href="([^"]*)"/) or die "no such link: $page->{body}\n";
    $href =~ s/&#(\d+);/chr $1/ge;
    return resolve($page, $href);
}

sub click ($self, $page, $id = undef) { return $self->get($self->link_of($page, $id)) }

1;
