# SPDX-License-Identifier: ISC
#
# A real browser: Chromium without a window, driven through its debugging pipe (Chrome DevTools Protocol: JSON texts that end
# with a NUL, on descriptors 3 and 4).
#
#     my $chromium = Chromium->new($rig) or plan skip_all => 'chromium is not installed';
#     $chromium->go('http://127.0.0.1:8080/candhook-app/install');     # waits until the page has loaded, redirections too
#     $chromium->click('allow');                          # the element with this id, and waits for the next page
#     $chromium->text; $chromium->url;                    # what people see, and the address
#     $chromium->evaluate('document.referrer');           # a value
#     $chromium->wait_for('#events tr');                  # until there is such an element; tap and type wait for theirs
#     $chromium->tap('#login-button'); $chromium->type('#login-name', 'anna');
#     $chromium->look(dark => 1, width => 360);           # how it looks from now on; picture($file) takes a PNG
#     $chromium->watch; $chromium->requests; $chromium->complaints;   # what it asked for since, and what it complained about
package Chromium;
use v5.36;

use Fcntl      qw(F_DUPFD);
use IO::Select ();
use JSON::PP   ();
use POSIX      ();

my $json = JSON::PP->new->utf8->allow_nonref;

sub program {
    for my $name (qw(chromium chromium-browser)) {
        -x "$_/$name" and return "$_/$name" for qw(/usr/bin /usr/local/bin);
    }
    return undef;
}

sub new ($class, $rig) {
    my $program = program() // return undef;
    my $self = bless { rig => $rig, buffer => '', number => 0, events => [] }, $class;
    $rig->make_folder($_) for 'chromium', 'chromium/home';
    pipe my $their_in, $self->{to} or die "pipe: $!\n";
    pipe $self->{from}, my $their_out or die "pipe: $!\n";
    binmode $_, ':raw' for $self->{to}, $self->{from};
    $self->{to}->autoflush(1);
    # A small perl gives the pipe's ends the numbers that Chromium wants; here they are above those.
    local $^F = 1023;
    my ($in, $out) = map { fcntl $_, F_DUPFD, 10 } $their_in, $their_out;
    $self->{pid} = $rig->spawn('chromium', { env => { HOME => "$rig->{dir}/chromium/home" } },
        $^X, '-MPOSIX', '-e', 'POSIX::dup2(shift, 3); POSIX::dup2(shift, 4); exec @ARGV', $in, $out, $program,
        '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--no-proxy-server', '--remote-debugging-pipe', "--user-data-dir=$rig->{dir}/chromium/profile", 'about:blank');
    POSIX::close($_) for $in, $out;
    close $_ for $their_in, $their_out;
    my ($page) = grep { $_->{type} eq 'page' } @{ $self->call('Target.getTargets')->{targetInfos} };
    $self->{session} = $self->call('Target.attachToTarget', { targetId => $page->{targetId}, flatten => JSON::PP::true })->{sessionId};
    $self->call('Page.enable');
    return $self;
}

# The next message; events are kept.
sub receive ($self, $seconds = 60) {
    my $end = Rig::Process::now() + $seconds;
    while ($self->{buffer} !~ /\0/) {
        my $left = $end - Rig::Process::now();
        die "chromium says nothing\n" if $left <= 0 || !IO::Select->new($self->{from})->can_read($left);
        sysread $self->{from}, $self->{buffer}, 65536, length $self->{buffer} or die "chromium has ended\n";
    }
    $self->{buffer} =~ s/^(.*?)\0//s;
    my $message = $json->decode($1);
    push @{ $self->{events} }, $message if $message->{method};
    push @{ $self->{watched} }, $message if $self->{watched} && ($message->{method} // '') =~ /^(?:Network\.requestWillBeSent|Log\.entryAdded|Runtime\.exceptionThrown)$/;
    return $message;
}

sub call ($self, $method, $parameters = {}) {
    my $number = ++$self->{number};
    my %message = (id => $number, method => $method, params => $parameters, $self->{session} ? (sessionId => $self->{session}) : ());
    print { $self->{to} } $json->encode(\%message) . "\0";
    while (1) {
        my $answer = $self->receive;
        next if ($answer->{id} // 0) != $number;
        die "$method: $answer->{error}{message}\n" if $answer->{error};
        return $answer->{result};
    }
}

# Does something, and waits until a page has loaded after it.
sub loads ($self, $work) {
    $self->{events} = [];
    $work->();
    until (grep { $_->{method} eq 'Page.loadEventFired' } @{ $self->{events} }) { $self->receive }
    return $self;
}

sub go ($self, $url) {
    return $self->loads(sub { $self->call('Page.navigate', { url => $url }) });
}

sub evaluate ($self, $expression) {
    my $result = $self->call('Runtime.evaluate', { expression => $expression, returnByValue => JSON::PP::true });
    die "$expression: $result->{exceptionDetails}{text}\n" if $result->{exceptionDetails};
    return $result->{result}{value};
}

sub click ($self, $id) {
    return $self->loads(sub { $self->evaluate("document.getElementById('$id').click()") });
}

# The first link of a page of ours.
sub follow ($self) {
    return $self->loads(sub { $self->evaluate(q{document.querySelector('main a').click()}) });
}

# Waits until the expression is true, or there is an element of a selector.
sub wait_until ($self, $expression, $seconds = 60) {
    my $end = Rig::Process::now() + $seconds;
    until ($self->evaluate("!!($expression)")) {
        die "it never came: $expression\n" . $self->text . "\n" if Rig::Process::now() > $end;
        select undef, undef, undef, 0.01;
    }
    return $self;
}
sub find ($selector) { return 'document.querySelector(' . $json->encode($selector) . ')' }
sub wait_for ($self, $selector) { return $self->wait_until(find($selector)) }

# A click that loads no other page.
sub tap ($self, $selector) {
    $self->wait_for($selector)->evaluate(find($selector) . '.click()');
    return $self;
}

# Text, as from a keyboard, in place of what an input has.
sub type ($self, $selector, $text) {
    $self->wait_for($selector)->evaluate('{ const input = ' . find($selector) . '; input.focus(); input.select(); }');
    $self->call('Input.insertText', { text => $text });
    return $self;
}

sub press ($self, $key) {
    $self->call('Input.dispatchKeyEvent', { type => $_, key => $key, code => $key, windowsVirtualKeyCode => { Tab => 9, Enter => 13, Escape => 27 }->{$key}, $key eq 'Enter' && $_ eq 'keyDown' ? (text => "\r") : () }) for qw(keyDown keyUp);
    return $self;
}

sub look ($self, %option) {
    $self->call('Emulation.setEmulatedMedia', { features => [ { name => 'prefers-color-scheme', value => $option{dark} ? 'dark' : 'light' } ] });
    $self->call('Emulation.setDeviceMetricsOverride', { width => $option{width} // 1280, height => $option{height} // 900, deviceScaleFactor => $option{scale} // 1, mobile => JSON::PP::false });
    return $self;
}

sub picture ($self, $file) {
    require MIME::Base64;
    open my $to, '>:raw', $file or die "$file: $!\n";
    print {$to} MIME::Base64::decode_base64($self->call('Page.captureScreenshot', { format => 'png' })->{data});
    close $to or die "$file: $!\n";
    return $self;
}

sub watch ($self) {
    $self->{watched} = [];
    $self->call("$_.enable") for qw(Network Log Runtime);
    return $self;
}
sub watched ($self, $method) { return map { $_->{params} } grep { $_->{method} eq $method } @{ $self->{watched} } }
sub requests ($self) { return map { $_->{request}{url} } $self->watched('Network.requestWillBeSent') }
sub complaints ($self) {
    return ((map { $_->{entry}{text} } $self->watched('Log.entryAdded')), map { $_->{exceptionDetails}{text} } $self->watched('Runtime.exceptionThrown'));
}

sub text ($self) { return $self->evaluate('document.body.innerText') }
sub url ($self) { return $self->evaluate('location.href') }

sub end ($self) {
    close $self->{to};
    $self->{rig}->stop($self->{pid});
}

1;
