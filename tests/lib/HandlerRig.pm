# SPDX-License-Identifier: ISC
#
# A rig for the tests of handlers: a cluster, the schema, and a worker that runs. Events are recorded by SQL, as the
# recorder does it, so no front is needed.
#
#     my $rig = HandlerRig->new(conf key => value, ...);
#     $rig->program('greet', "#!/bin/sh\necho hello\n");       # a file in handler_dir
#     $rig->handler('greet', kind => 'exec', target => 'greet');   # for events of type greet, unless told otherwise
#     my $id = $rig->event_of('greet', payload => { id => 'CP:1' });
#     is_deeply $rig->settled('greet'), ['ok|hello'];
package HandlerRig;
use v5.36;
use parent 'Rig';

use JSON::PP    ();
use SqlRig      ();
use Time::HiRes ();

sub new ($class, %conf) {
    my $rig = Rig::new($class);
    $rig->cluster;
    $rig->conf(runners => 2, %conf);
    $rig->schema;
    $rig->sql($SqlRig::record);
    return $rig;
}

sub start_worker ($rig, $name = 'worker', %option) {
    my $pid = $rig->spawn($name, \%option, $rig->{dir} . '/bin/candhook', 'work');
    $rig->wait_until(sub { $rig->sql("select count(*) from pg_stat_activity where query = 'listen candhook' or application_name = 'candhook'") >= 3 },
        'the worker is connected');
    return $pid;
}

# Compiles a shared object of the text into handler_dir, by renaming, as one should.
sub compile ($rig, $name, $text) {
    my $dir = $rig->{dir};
    $rig->write_file('handler.c', $text);
    my @command = (split(' ', $ENV{CC} // 'cc'), '-shared', '-fPIC', '-I' . Rig::source_path('include'));
    $rig->make_folder('built', 0755) if !-d "$dir/built";
    system(@command, '-o', "$dir/built/$name", "$dir/handler.c") == 0 or die "cannot compile $name\n";
    $rig->handler_file($name, $rig->read_file("built/$name"));
}

sub handler_file ($rig, $name, $text, $mode = 0755) {
    $rig->write_file("handlers/.new", $text, $mode);
    rename "$rig->{dir}/handlers/.new", "$rig->{dir}/handlers/$name" or die "$name: $!\n";
}

# Stores a handler for the events of the type that is its name; columns override. First delays are short.
sub handler ($rig, $name, %column) {
    my %row = (name => $name, module => 'MOIM', type => $name, first_delay => '20 ms', %column);
    my @names = sort keys %row;
    my @values = map { "'" . $row{$_} =~ s/'/''/gr . "'" } @names;
    local $" = ', ';
    $rig->sql("insert into candhook.handler (@names) values (@values)");
}

# A new id of now, as the responder makes them.
sub new_id {
    my $ms = int(Time::HiRes::time() * 1000);
    my $hex = sprintf '%012x7%03x8%s', $ms, rand 4096, join '', map { sprintf '%x', rand 16 } 1 .. 15;
    return $hex =~ s/^(.{8})(.{4})(.{4})(.{4})(.{12})$/$1-$2-$3-$4-$5/r;
}

# Records events of a type, one for each payload (or one); members override. Returns their ids.
sub events_of ($rig, $type, $payloads, %member) {
    my (@ids, @rows);
    for my $payload (@$payloads) {
        push @ids, new_id();
        my $body = $rig->event(type => $type, payload => $payload, %member) =~ s/'/''/gr;
        push @rows, "('$ids[-1]'::uuid, '$body')";
    }
    local $" = ', ';
    $rig->sql("select count(*) from (select array_agg(id) ids, array_agg(body) bodies from (values @rows) v (id, body)) a, t.record(a.ids, a.bodies)");
    return @ids;
}

sub event_of ($rig, $type, %member) {
    my $payload = delete $member{payload} // { id => 'CP:1' };
    return ($rig->events_of($type, [$payload], %member))[0];
}

# result|detail of each attempt of a handler, in order.
sub results ($rig, $handler, $event = undef) {
    my $of = defined $event ? "and event_id = '$event'" : '';
    return [ split /\n/, $rig->sql("select result || '|' || replace(coalesce(detail, ''), E'\\n', ' ') from candhook.outcome
        where handler = '$handler' $of order by finished_at, attempt") ];
}

# Waits until a handler has finished so many events and has nothing left; returns results.
sub settled ($rig, $handler, $count = 1, $seconds = 60) {
    $rig->wait_until(
        sub {
            $rig->sql("select count(*) filter (where result <> 'retry') >= $count
                          and not exists (select from candhook.delivery d where d.handler = '$handler')
                         from candhook.outcome where handler = '$handler'") eq 't';
        },
        "$handler is settled",
        $seconds
    );
    return $rig->results($handler);
}

sub token ($rig, $token, $community = 'G00O7NKV9M') {
    $rig->sql("select candhook.set_bot_token('$community', '$token')");
}

1;
