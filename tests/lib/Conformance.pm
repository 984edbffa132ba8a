# SPDX-License-Identifier: ISC
#
# One suite for every mount: the same requests, the same trouble, and a table in the front's README of what came of it.
#
#     my $rig = Rig->new;
#     $rig->cluster; $rig->conf; $rig->schema;               # max_body as it is by default
#     ... start the real front with the shipped file, unchanged, and a page GET /page.txt of the site ...
#     Conformance::run(
#         $rig,
#         readme => 'nginx/README', column => 'fcgiwrap',    # whose table, and which column of it
#         stop   => sub {...},  start => sub {...},          # the front: gracefully, until it is gone; and again
#         hasty  => sub {...},                               # starts it with timeouts of a second and, where it can, HTTP/2
#         reload => sub {...},                               # asks the front to reload, as its manual says
#         restart => sub {...},                              # ends it roughly and starts it again
#         kill_responder => sub {...},                       # kill -9 of what takes the events, and start it again where the
#                                                            # front does not; left out where there is none to kill: `-`
#         expect => { KEY => 'words' },                      # where a mount cannot keep the promise; see below
#         load => 200, at_once => 200, unanswered => 30,     # how much, and after how long a request counts as swallowed
#         guesses => 2000);                                  # so many wrong secrets
#
# Each check says what came of it in a few words, the strongest that are true first ('all 200', 'nothing lost'). It is good
# when the promise of @checks is among them, or instead of it what `expect` has for the check's key: then the README must
# name the remedy below its table. The words are the mount's cells in the table; a cell marked * is one of `expect`.
# Besides, and whatever a mount expects: what was answered 200 is recorded, nothing is recorded twice, what was refused is
# not recorded at all, and the secret is in no log of candhook's.
#
# run() fails when the README's table says something else. CANDHOOK_UPDATE_TABLES=1 writes what was seen into it instead. A
# new column begins as a line in the README: `What is sent or happens`, and the columns, each after two blanks or more; wide
# tables are told in several. Tests that want more of the front start it again: it is stopped when run() returns.
package Conformance;
use v5.36;
use parent qw(Strangers);

use Fcntl      qw(:flock SEEK_SET);
use IO::Select ();
use Test::More;

use BadRequests ();

my $max_body = 1 << 20;                     # of the programs, unless the configuration says otherwise
my $title    = 'What is sent or happens';
my $update   = $ENV{CANDHOOK_UPDATE_TABLES}; # now, since Rig->new forgets such variables

# Key, row of the table, promise, how it is found out. Those whose words are known only when all is recorded return a sub.
my @checks = (
    [ event     => 'an event',                                  '200',             \&check_event ],
    [ query     => 'with a query; with doubled slashes',        '200',             \&check_paths ],
    [ chunked   => 'in chunks, no length announced',            '200',             \&check_chunked ],
    [ slow      => 'slowly; another one meanwhile',             '200',             \&check_slow ],
    [ expect    => 'Expect: 100-continue',                      '100, 200',   \&check_expect ],
    [ keepalive => '200, 404, 200 on one connection',           'reused',          \&check_keepalive ],
    [ at        => 'max_body, and one byte less',               '200',             \&check_at ],
    [ above     => 'one byte more; that in chunks',             '413',             \&check_above ],
    [ far       => 'more than the front\'s own limit',          '413',             \&check_far ],
    [ empty     => '0 bytes, with and without a length',        '400',             \&check_empty ],
    [ other     => 'no JSON object',                            '400, kept',  \&check_other ],
    [ cut       => 'a body cut off half-way',                   'dropped',   \&check_cut ],
    [ cutchunk  => 'that in chunks',                            'dropped',   \&check_cut_chunked ],
    [ methods   => 'GET, PUT, DELETE, OPTIONS, HEAD',           '405',             \&check_methods ],
    [ wrong     => 'a wrong or guessed secret, any method',     '404',             \&check_wrong ],
    [ encoded   => 'the secret with encoded letters, slashes',  '404',             \&check_encoded ],
    [ unwritten => 'the spool cannot be written; can again',    '503, 200',   \&check_unwritten ],
    [ gone      => '20 senders leave before the answer',        'recorded once',   \&check_gone ],
    [ crowd     => '200 at once',                               '200',             \&check_crowd ],
    [ reload    => 'the front reloads under load',              'all 200',         \&check_reload ],
    [ restart   => 'it restarts under load',                    'nothing lost',    \&check_restart ],
    [ stop      => 'it stops under load, and starts',           'nothing lost',    \&check_stop ],
    [ killed    => 'the responder is killed under load',        'nothing lost',    \&check_killed ],
    [ flood     => 'kept of a stranger\'s 64 MiB',              'at most 2 MiB',   \&Strangers::check_flood ],
    [ guesses   => 'wrong secrets at full rate; events beside', '404; 200',        \&Strangers::check_guesses ],
    [ guessed   => 'lines that these leave in the logs',        'none',            \&Strangers::check_guess_lines ],
    [ slowly    => '40 strangers who never finish; events',     '200',             \&Strangers::check_slow_strangers ],
    [ holding   => 'what those hold of candhook',               'nothing',         \&Strangers::check_holding ],
    [ page      => 'the site\'s page through all of this',      'answered',        \&check_page ],
    [ bad       => 'bad requests with the secret in them',      'refused',         \&check_bad ],
    [ logs      => 'the secret in the front\'s logs',           'in none',         \&check_logs ],
    [ invalid   => 'that of an invalid path',                   'in none',         \&check_invalid_path ],
);

sub run ($rig, %mount) {
    my $self = bless {
        load      => 200,
        at_once   => 200,
        guesses   => 2000,
        expect    => {},
        %mount,
        rig       => $rig,
        must      => {},    # ids that were acknowledged
        may       => {},    # ids that were sent and not refused
        malformed => [],    # bodies that must be malformed
        perhaps   => {},    # bodies that may be
        page      => []
    }, __PACKAGE__;
    my (%seen, @later);

    for my $check (@checks) {
        my ($key, $row, $promise, $how) = @$check;
        my @words = $self->$how;
        ref $words[0] ? push @later, [ $check, $words[0] ] : ($seen{$row} = $self->judge($check, @words));
    }
    $self->settle;
    for my $one (@later) {
        my ($check, $how) = @$one;
        $seen{ $check->[1] } = $self->judge($check, $how->());
    }
    $self->compare(\%seen);
}

# One line of the test, and the words for the table.
sub judge ($self, $check, @words) {
    my ($key, $row, $promise) = @$check;
    my $expected = $self->{expect}{$key} // $promise;

    return '-' if "@words" eq '-'; # it does not apply
    my ($good) = grep { $_ eq $expected } @words;

    ok defined $good, "$row: $expected" or diag "it is: @words";
    my $said = $good // $words[0];
    return $said eq $promise ? $said : "$said *";
}

# ---- what is sent ----

# An event with an id of its own, which may be recorded from now on.
sub fresh ($self, $name, %payload) {
    my $id = sprintf '%s %04d', $name, ++$self->{count};
    $self->{may}{$id} = 1;
    return ($id, $self->{rig}->event(payload => { id => $id, %payload }));
}

# What the answer means for that id: 200, it must be recorded; a refusal, it must not.
sub note_answer ($self, $id, $status) {
    $self->{must}{$id} = 1 if $status == 200;
    delete $self->{may}{$id} if $status =~ /^4/;
    return $status;
}

sub post ($self, $target = $self->{rig}->path, $make = undef, %option) {
    my ($id, $body) = $make ? $make->() : $self->fresh('event');
    my $answer = $self->{rig}->post($target, $body, %option);
    fail "$answer->{status} has a body: $answer->{body}"
      if $answer->{status} =~ /^(?:200|40[045])$/ && $answer->{body} ne '' && !$option{page};
    $self->note_answer($id, $answer->{status});
    return $answer;
}

# An event of that length.
sub sized ($self, $length) {
    my ($id, $body) = $self->fresh('sized');
    return ($id, $body . ' ' x ($length - length $body));
}

sub in_chunks ($body, $size = 40) {
    return join '', (map { sprintf "%x\r\n%s\r\n", length $_, $_ } $body =~ /(.{1,$size})/gs), "0\r\n\r\n";
}

sub chunked_head ($self) {
    return join "\r\n", "POST @{[ $self->{rig}->path ]} HTTP/1.1", 'Host: localhost', 'Connection: close', 'Transfer-Encoding: chunked', '', '';
}

# Sends the pieces on a connection of their own; a piece that is a sub is called. Returns the connection.
sub send_pieces ($self, @pieces) {
    my $socket = $self->{rig}->connect_front;
    for my $piece (@pieces) {
        ref $piece ? $piece->($socket) : print {$socket} $piece;
        $socket->flush;
    }
    return $socket;
}

# One word when all are the same.
sub same (@words) {
    my %seen = map { $_ => 1 } @words;
    return keys %seen == 1 ? $words[0] : join ', ', @words;
}

# The end of an answer that begins with this text, or undef when it has not come yet.
sub answer_end ($text) {
    $text =~ /\r\n\r\n/ or return undef;
    my $end
      = $text =~ /^content-length: (\d+)\r$/im      ? qr/\A.*?\r\n\r\n.{$1}\z/s
      : $text =~ /^transfer-encoding: chunked\r$/im ? qr/\r\n0\r\n\r\n\z/
      :                                               qr/\r\n\r\n\z/;
    return $text =~ $end;
}

# Reads one answer of a connection that stays open: the status, or 0 when the front closed it.
sub read_kept ($socket) {
    my $text = '';
    my $more = sub {
        IO::Select->new($socket)->can_read(30) or die "no answer in 30 s, only: $text\n";
        return sysread $socket, $text, 65536, length $text;
    };
    while (!answer_end($text)) {
        $more->() or return 0;
    }
    my ($status) = $text =~ m{^HTTP/1\.1 (\d+)};
    return $text =~ /^connection: close\r$/im ? "$status, closed" : $status;
}

# ---- requests ----

sub check_event ($self) { return $self->post->{status} }

sub check_paths ($self) {
    my $rig = $self->{rig};
    return same(map { $self->post($_)->{status} } (map { $rig->path . $_ } '?a=b/c', '?--help'), $rig->path =~ s{/}{//}gr);
}

sub check_chunked ($self) {
    my ($id, $body) = $self->fresh('chunked');
    return $self->note_answer($id, $self->{rig}->answer($self->send_pieces($self->chunked_head . in_chunks($body)))->{status});
}

sub check_slow ($self) {
    my ($id, $body) = $self->fresh('slow');
    my ($head, $meanwhile) = $self->{rig}->request_text($self->{rig}->path, '', length => length $body);
    my $socket = $self->send_pieces(
        $head,
        substr($body, 0, 30),
        sub { $meanwhile = $self->post->{status} },
        substr($body, 30, 30),
        sub { $meanwhile = same($meanwhile, $self->post->{status}) },
        substr($body, 60)
    );
    return same($self->note_answer($id, $self->{rig}->answer($socket)->{status}), $meanwhile);
}

sub check_expect ($self) {
    my ($id, $body) = $self->fresh('expect');
    my $rig    = $self->{rig};
    my $before = '';
    my $socket = $self->send_pieces(
        $rig->request_text($rig->path, '', length => length $body, headers => ['Expect: 100-continue']),
        sub ($socket) {
            while ($before !~ /\r\n\r\n/) {
                IO::Select->new($socket)->can_read(10) or last;
                sysread $socket, $before, 1, length $before or last;
            }
        },
        $body
    );
    my $status = $self->note_answer($id, $rig->answer($socket)->{status});
    return $before =~ m{^HTTP/1\.1 (\d+)} ? "$1, $status" : "only $status";
}

sub check_keepalive ($self) {
    my $rig    = $self->{rig};
    my $socket = $rig->connect_front;
    my @got;
    for my $target ($rig->path, '/candhook/wrong', $rig->path) {
        my ($id, $body) = $self->fresh('kept');
        print {$socket} $rig->request_text($target, $body) =~ s/^Connection: close\r\n//mr;
        $socket->flush;
        push @got, read_kept($socket);
        $self->note_answer($id, $got[-1] =~ s/,.*//r);
        last if $got[-1] !~ /^\d+$/ || $got[-1] == 0;
    }
    return "@got" eq '200 404 200' ? 'reused' : "@got";
}

sub check_at ($self) {
    return same(map { my $length = $_; $self->post($self->{rig}->path, sub { $self->sized($length) })->{status} } $max_body, $max_body - 1);
}

sub check_above ($self) {
    my $plain = $self->post($self->{rig}->path, sub { $self->sized($max_body + 1) })->{status};
    my ($id, $body) = $self->sized($max_body + 1);
    my $socket = $self->send_pieces($self->chunked_head . in_chunks($body, 30000));
    return same($plain, $self->note_answer($id, $self->{rig}->answer($socket)->{status}));
}

# The front may answer, and close, before all is sent.
sub check_far ($self) {
    return $self->post($self->{rig}->path, sub { $self->sized(2 * $max_body + 100_000) })->{status};
}

sub check_empty ($self) {
    my $nothing = sub { return ('', '') };
    return same(map { $self->post($self->{rig}->path, $nothing, length => $_)->{status} } 0, undef);
}

sub check_other ($self) {
    my $body   = '["no object"]';
    my $status = $self->post($self->{rig}->path, sub { return ('', $body) })->{status};
    push @{ $self->{malformed} }, $body if $status == 400;
    return sub {
        return $self->is_malformed($body) ? "$status, kept" : $status;
    };
}

sub check_cut ($self) {
    my $body = '{"cut":"off';
    return $self->cut($body, $self->{rig}->request_text($self->{rig}->path, $body, length => 1000));
}

sub check_cut_chunked ($self) {
    my $body = '{"cut":"off in a chunk';
    return $self->cut($body, $self->chunked_head . in_chunks($body) =~ s/0\r\n\r\n\z//r);
}

sub cut ($self, $body, $request) {
    $self->{perhaps}{$body} = 1;
    my $status = $self->{rig}->answer($self->send_pieces($request, sub ($socket) { $socket->flush; shutdown $socket, 1 }))->{status};
    isnt $status, 200, "$body: not 200";
    return sub {
        return ($self->is_malformed($body) ? 'kept' : 'dropped', 'dropped or kept');
    };
}

sub check_methods ($self) {
    my $rig = $self->{rig};
    my @got;
    for my $method (qw(GET PUT DELETE OPTIONS HEAD)) {
        my $answer = $self->post($rig->path, $method =~ /P/ ? undef : sub { ('', '') }, method => $method);
        push @got, $answer->{status} . (($answer->{headers}{allow} // '') eq 'POST' ? '' : ' without Allow');
    }
    return same(@got);
}

sub check_wrong ($self) {
    my $secret  = $self->{rig}->secret;
    my $near    = substr($secret, 0, -1) . (substr($secret, -1) eq 'x' ? 'y' : 'x');
    my @targets = map { "/candhook/$_" } 'x' x length $secret, $near, substr($secret, 0, -1), "${secret}x", uc $secret, '', "$secret/",
      "$secret/x", "x?/$secret", "?$secret";
    my @got = map { $self->post($_)->{status} } @targets;
    push @got, map { $self->post($targets[0], sub { ('', '') }, method => $_)->{status} } qw(GET PUT DELETE OPTIONS HEAD);
    return same(@got);
}

sub check_encoded ($self) {
    my $secret = $self->{rig}->secret;
    my $letter = sprintf '%%%02x%s', ord $secret, substr $secret, 1;
    # Apache refuses %2F by itself, with a page of its own.
    return same(map { $self->post($_, undef, page => /%2F/ ? 1 : 0)->{status} } "/candhook/$letter", "/candhook%2F$secret", "/candhook/%2F$secret", "/candhook/$secret%2F");
}

sub check_unwritten ($self) {
    my $rig = $self->{rig};

    $self->settle;
    chmod 0500, "$rig->{dir}/spool" or die;
    $self->{kill_responder}->() if $self->{kill_responder}; # it has its segment open
    my $answer;
    # The front may send a request to one that is dead, before it has noticed, and says so with a 500 of its own.
    $rig->wait_until(sub { $answer = $self->post; $answer->{status} ne '500' }, 'the front has noticed');
    chmod 0700, "$rig->{dir}/spool" or die;
    like $answer->{headers}{'retry-after'}, qr/^\d+$/, '503 has Retry-After';
    return join ', ', $answer->{status}, $self->post->{status};
}

# ---- trouble ----

sub check_gone ($self) {
    my @ids = map {
        my ($id, $body) = $self->fresh('gone');
        close $self->send_pieces($self->{rig}->request_text($self->{rig}->path, $body));
        $id
    } 1 .. 20;
    return sub {
        # They may be on their way still: nobody was told when they arrive.
        my $all = sub { my %there = $self->recorded; return !grep { !$there{$_} } @ids };
        my $there = ($self->{expect}{gone} // '') eq 'at most once' ? $all->() : eval { $self->{rig}->wait_until($all, 'they are recorded') };
        return ($there ? 'recorded once' : (), 'at most once');
    };
}

sub check_crowd ($self) {
    return same(uniq($self->load('crowd', $self->{at_once}, $self->{at_once})));
}

sub check_reload ($self)  { return $self->trouble('reload') }
sub check_restart ($self) { return $self->trouble('restart') }

sub check_stop ($self) {
    my @words = $self->trouble('stop');
    $self->{start}->();
    is $self->post->{status}, 200, 'and goes on when it is started';
    return @words;
}

sub check_killed ($self) {
    return '-' if !$self->{kill_responder};
    return $self->trouble('kill_responder');
}

# Sends the load, with the trouble in the middle of it. That nothing is lost is found out at the end, for all at once.
sub trouble ($self, $what) {
    my @status = $self->load(
        $what,
        $self->{load},
        20,
        answered => [
            int $self->{load} / 4,
            sub {
                $self->{$what}->();
                push @{ $self->{page} }, $self->page if $what ne 'stop';
            }
        ]
    );
    note "$what: ", join ', ', map { my $one = $_; "$one: " . grep { $_ eq $one } @status } uniq(@status);
    cmp_ok scalar(grep { $_ == 200 } @status), '>=', $self->{load} / 4, "$what: those before it are taken";
    is $self->post->{status}, 200, "$what: it goes on" if $what ne 'stop';
    return ((grep { $_ != 200 } @status) ? () : 'all 200', 'nothing lost');
}

sub load ($self, $name, $count, $at_a_time, %option) {
    my @events = map { [ $self->fresh($name) ] } 1 .. $count;
    $option{unanswered} = $self->{unanswered} if $self->{unanswered};
    my @status = $self->{rig}->post_many($self->{rig}->path, [ map { $_->[1] } @events ], $at_a_time, %option);
    $self->note_answer($events[$_][0], $status[$_]) for 0 .. $#events;
    return @status;
}

sub uniq (@words) {
    my %seen;
    return grep { !$seen{$_}++ } @words;
}

# ---- the site, and its logs ----

# The site is never frozen: its page comes within 10 s, whatever happens to the front.
sub page ($self) {
    my $rig    = $self->{rig};
    my $socket = $rig->connect_front;
    print {$socket} $rig->request_text('/page.txt', '', method => 'GET', length => undef);
    $socket->flush;
    my $answer = eval { $rig->answer($socket, 10) } // return 'frozen';
    return $answer->{status} == 200 ? 'answered' : $answer->{status};
}

sub check_page ($self) { return same(@{ $self->{page} }, $self->page) }

# All at once, and until the front has closed each connection: it has timeouts of a second now. What HTTP/2 answers is not read.
sub check_bad ($self) {
    my $rig = $self->{rig};
    return sub {
        my (@seen, @taken);
        $self->{stop}->();
        $self->{hasty}->();
        my $send = sub ($port, $text) {
            local $rig->{port} = $port;
            return [ $text, $self->send_pieces($text) ];
        };
        my @open = map { $send->($rig->{port}, $_) } BadRequests::http1($rig->path);
        push @open, map { $send->($rig->{h2_port}, $_) } BadRequests::http2($rig->path) if $rig->{h2_port};
        for my $one (@open) {
            my ($text, $socket) = @$one;
            my ($status) = (eval { $rig->answer($socket) } // { status => 'none' })->{status} =~ /^(none|\d+)$/;
            $status //= 0;
            push @seen, $status;
            push @taken, sprintf '%s: %s', $status, substr($text, 0, 70) =~ s/[^ -~]/?/gr
              if $status =~ /200|none/ && $text !~ /^TRACE /; # which Apache answers itself, to its sender
        }
        note scalar(@seen), ' bad requests, answered ', join ' ', sort(uniq(@seen));
        return @taken ? join '; ', @taken : 'refused';
    };
}

# The files that the front wrote: its logs, and whatever is in its folder. It writes its logs after it has answered, so it ends first.
sub check_logs ($self) {
    return sub {
        my $rig = $self->{rig};
        my (%there, $page);
        $self->{stop}->();
        for my $log (split /\n/, ($rig->run({}, 'find', (grep { -d } map { "$rig->{dir}/$_" } qw(log nginx apache)), '-type', 'f'))[1]) {
            my $text = $rig->read_file($log);
            my ($name) = $log =~ m{([^/]+?)(?:\.log)?$};
            my @lines = grep { index($_, $rig->secret) >= 0 } split /\n/, $text;
            my @invalid = grep { /AH10244: invalid URI path/ } @lines;
            $page = 1 if $text =~ m{GET /page\.txt };
            $self->{invalid_logged} = 1 if @invalid;
            ok !@lines, "no secret in $name" if $name !~ /^(?:nginx|apache)_/;
            $there{ $name =~ s/.*_//r } = 1 if @lines > @invalid;
            note "in $name: ", substr($_, 0, 200) =~ s/[^ -~]/?/gr for @lines;
        }
        ok $page, 'the front logs the site\'s page';
        my @logs = map { "$_ log" } sort keys %there;
        return @logs ? join ', ', @logs : 'in none';
    };
}

# What Apache says of it before it looks at any <Location>.
sub check_invalid_path ($self) {
    return sub { return $self->{invalid_logged} ? 'error log' : 'in none' };
}

# ---- what is recorded ----

sub recorded ($self) {
    my %times;
    $times{$_}++ for split /\n/, $self->{rig}->sql(q{select payload ->> 'id' from candhook.event});
    return %times;
}

sub is_malformed ($self, $body) {
    return $self->{rig}->sql(sprintf q{select count(*) from candhook.malformed where body = '\x%s'}, unpack 'H*', $body) > 0;
}

# Waits until all that was acknowledged is recorded, and looks at the rest.
sub settle ($self) {
    my (%times, @missing);
    eval {
        $self->{rig}->wait_until(
            sub {
                %times = $self->recorded;
                @missing = grep { !$times{$_} } sort keys %{ $self->{must} };
                return !@missing && $self->{rig}->sql('select count(*) from candhook.malformed') >= @{ $self->{malformed} };
            },
            'all is recorded', 60
        );
    };
    is_deeply \@missing, [], scalar(keys %{ $self->{must} }) . ' events were acknowledged and are recorded';
    is_deeply [ grep { $times{$_} > 1 } sort keys %times ], [], 'none twice';
    is_deeply [ grep { !$self->{may}{$_} } sort keys %times ], [], 'and none that was refused';
    my %wanted = map { unpack('H*', $_) => 1 } @{ $self->{malformed} }, keys %{ $self->{perhaps} };
    is_deeply [ grep { !$wanted{$_} } split /\n/, $self->{rig}->sql(q{select encode(body, 'hex') from candhook.malformed}) ], [],
      'nothing else is malformed';
}

# ---- the table ----

sub compare ($self, $seen) {
    my $path   = Rig::source_path($self->{readme});
    my @rows   = map { $_->[1] } @checks;
    my $column = $self->{column};

    if ($update) {
        return diag "$self->{readme} stays as it is: not all is good" if !Test::More->builder->is_passing;
        open my $file, '+<:raw', $path or die "cannot write $path: $!\n";
        flock $file, LOCK_EX;
        my $text = join '', <$file>;
        my $new  = with_column($text, $column, \@rows, $seen);
        seek $file, 0, SEEK_SET;
        print {$file} $new;
        truncate $file, length $new;
        return close $file;
    }
    my %said = %{ (table($self->{rig}->read_file($path), $column))[1]{$column} // {} };
    is_deeply \%said, $seen, "$self->{readme} says the same of $column"
      or diag "renew it: CANDHOOK_UPDATE_TABLES=1 make check TESTS='tests/front_*.t', in the source's folder";
}

# The table of a README that has the column: the text before it, {column => {row => words}}, the columns in order, the text
# behind it. A README may have several tables, so that none is too wide.
sub table ($text, $column) {
    while ($text =~ /^(\Q$title\E[^\n]*\n)(?:-+\n)?((?:[^\n]+\n)*)/gm) {
        my ($from, $to, $head, $lines) = ($-[0], $+[0], $1, $2);
        chomp $head;
        my (undef, @columns) = split / {2,}/, $head;
        next if !grep { $_ eq $column } @columns;
        my %cells;
        for my $line (split /\n/, $lines) {
            my ($row, @words) = split / {2,}/, $line;
            $cells{ $columns[$_] }{$row} = $words[$_] // '?' for 0 .. $#columns;
        }
        return (substr($text, 0, $from), \%cells, \@columns, substr $text, $to);
    }
    die "the README has no line \"$title\" with the column \"$column\", two blanks between columns: write it\n";
}

sub with_column ($text, $column, $rows, $seen) {
    my ($before, $cells, $columns, $after) = table($text, $column);
    $cells->{$column} = $seen;
    my @lines = ([ $title, @$columns ], map { my $row = $_; [ $row, map { $cells->{$_}{$row} // '?' } @$columns ] } @$rows);
    my @width;
    for my $line (@lines) {
        for my $i (0 .. $#$line) {
            $width[$i] = length $line->[$i] if length $line->[$i] > ($width[$i] // 0);
        }
    }
    my @text = map {
        my $line = $_;
        join('  ', map { sprintf '%-*s', $width[$_], $line->[$_] } 0 .. $#$line) =~ s/ +$//r . "\n"
    } @lines;
    my $rule = 2 * $#width;
    $rule += $_ for @width;
    splice @text, 1, 0, '-' x $rule . "\n";
    return join '', $before, @text, $after;
}

1;
