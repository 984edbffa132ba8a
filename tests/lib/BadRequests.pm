# SPDX-License-Identifier: ISC
#
# Requests that no front can serve, for finding out what it says of them in its logs. As texts: each is all that its sender sends.
package BadRequests;
use v5.36;

# Requests that fail before, at and behind the choice of a location. Each names a place below /candhook/, with the secret, or tries to;
# none has a body.
sub http1 ($path) {
    my $long   = 'x' x 70_000;
    my $host   = "Host: localhost\r\n";
    my $line   = "POST $path HTTP/1.1\r\n";
    my $end    = "Content-Length: 0\r\n\r\n";
    my @bad = (
        # a head that does not end, and a body that does not begin: the front waits in vain
        "POST $path", "POST $path HTTP/1.1\r", $line, $line . $host, "${line}${host}X: ", "${line}${host}Content-Length: 9\r\n\r\n",
        "${line}${host}Transfer-Encoding: chunked\r\n\r\n5", "${line}${host}Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        # request lines
        "GET $path\r\n", "POST $path\r\n\r\n", "POST  $path  HTTP/1.1\r\n$host$end", "POST $path HTTP/1.1 x\r\n$host$end", "$path\r\n\r\n",
        "POST $path?$long HTTP/1.1\r\n$host$end", "POST $path$long HTTP/1.1\r\n$host$end", "POST $path?$long",
        (map { "POST $path $_\r\n$host$end" } qw(HTTP/0.9 HTTP/1.2 HTTP/2.0 HTTP/3.0 HTTP/9.9 HTTP/1.x HTTP/11 HTTP/ HTPT/1.1 http/1.1)),
        (map { "POST $path$_ HTTP/1.1\r\n$host$end" } "%", '%zz', '%00', "\x01", "\x7f", "\xff", "\0", ' x', '#x', '\\x', '/../../..', '/./x', '%2f', '?%zz'),
        (map { "POST $_ HTTP/1.1\r\n$host$end" } substr($path, 1), "/..$path", "/x/../..$path", "/%2e%2e$path", "/%zz$path", "*$path", "?$path", "/candhook%2F" . $path =~ s{.*/}{}r,
            "http://localhost$path", "http://other$path", "http://[::1$path", "http://localhost:x$path", "https://user\@localhost$path", "x:$path"),
        # methods
        (map { "$_ $path HTTP/1.1\r\n$host$end" } qw(TRACE TRACK CONNECT PATCH PROPFIND MKCOL LOCK PURGE BREW post P@ST), "P\x01ST", 'X' x 9000),
        "CONNECT localhost:80$path HTTP/1.1\r\n$host\r\n",
        # headers
        "$line$end", "${line}Host:\r\n$end", "${line}${host}$host$end", (map { "${line}Host: $_\r\n$end" } 'a b', "a\x01b", '/', '..', 'a/b', '[::1', 'x' x 300, "localhost$path"),
        (map { "$line$host$_\r\n$end" } "Long: $long", "X$long: 1", 'no colon', ': no name', ' folded', "X : blank", "X\x01: 1", "X: \0", "X: a\rb", "X\xff: 1",
            'Expect: something', 'Upgrade: h2c', "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
            "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: %", 'Range: bytes=5-1,x', 'If-Match: x', 'Authorization: x', 'Content-Encoding: gzip',
            'Max-Forwards: x', 'TE: x', 'Trailer: x', "Referer-: $path"),
        $line . $host . join('', map { "X$_: x\r\n" } 1 .. 300) . $end, "$line$host" . "Cookie: $long\r\n" x 2 . $end,
        # lengths
        (map { "$line$host$_\r\n\r\n" } map({ "Content-Length: $_" } '-1', '+1', 'x', '1x', '', '1 1', '0x1', '9' x 30, 9_000_000_000), "Content-Length: 1\r\nContent-Length: 2",
            map({ "Transfer-Encoding: $_" } 'x', 'gzip, chunked', 'chunked, chunked', 'identity', '', 'chunked, x'), "Transfer-Encoding: chunked\r\nContent-Length: 5"),
        (map { "${line}${host}Transfer-Encoding: chunked\r\n\r\n$_\r\n" } 'x', '-1', '9' x 30, "5\r\nabcdefgh\r\n0", "0\r\nbad trailer", "5;$long", "0\r\nX: $long"),
        # what follows a request that was fine
        "$line$host$end$line", "$line$host${end}garbage $path\r\n\r\n", "GET /none HTTP/1.1\r\n$host\r\nBREW $path HTTP/9.9\r\n\r\n",
        # HTTP/2 where HTTP/1 is spoken, TLS where it is not
        "PRI $path HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03$path\r\n\r\n", "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n$line$host$end"
    );
    return @bad;
}

# The same over HTTP/2, frame by frame: header lists with the secret as the path, and then nonsense.
sub http2 ($path) {
    my $frame = sub ($type, $flags, $stream, $data) { return substr(pack('N', length $data), 1) . pack('CCN', $type, $flags, $stream) . $data };
    my $text  = sub ($text) { return pack('C', length $text) . $text };
    my $head  = "\x83\x86\x04" . $text->($path) . "\x01" . $text->('localhost');
    my $field = sub ($name, $value) { return "\0" . $text->($name) . $text->($value) };
    my $begin = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . $frame->(4, 0, 0, '');
    return map { $begin . $_ } (
        (map { $frame->(1, 5, 1, $_) } $head, $head . $field->(BAD => 'x'), $head . $field->('bad name', 'x'), $head . $field->(x => "\r\n"), $head . $field->(connection => 'x'),
            $head . $field->(te => 'x'), $head . $field->('content-length', '9'), $head . $field->('transfer-encoding', 'chunked'), $head . $field->(':bad', 'x'), $head . $head,
            "\x02" . $text->('TRACE') . substr($head, 1), "\x02" . $text->('BREW') . substr($head, 1), "\x02" . $text->('P ST') . substr($head, 1), substr($head, 0, -11), $head . "\xff\xff\xff\xff\xff",
            $head . $field->(x => 'x' x 100) x 200, "\x83\x86\x01" . $text->("localhost$path")),
        $frame->(1, 4, 1, $head), $frame->(1, 1, 1, $head), $frame->(1, 5, 2, $head), $frame->(1, 5, 0, $head), $frame->(1, 4, 1, $head) . $frame->(0, 1, 3, 'x'), $frame->(1, 4, 1, $head) . $frame->(3, 0, 1, "\0\0\0\x08"),
        $frame->(1, 4, 1, $head . $field->('content-length', '9')) . $frame->(0, 1, 1, 'x'), $frame->(1, 1, 1, substr $head, 0, 9) . $frame->(9, 4, 1, substr $head, 9), $frame->(1, 5, 1, $head) . 'nonsense' x 9
    );
}

1;
