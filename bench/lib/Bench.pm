# SPDX-License-Identifier: ISC
#
# The rig of the tests, as the benchmark uses it: a private cluster that syncs as a real one does, the programs built for
# release, and the load generator.
#
#     my $bench = Bench->new;             # build: top_builddir in the environment, as for the tests
#     $bench->database;
#     my $running = $bench->begin('candhook-keep');            # a contender, with all of its servers
#     my $load = $bench->load($running->{url}, seconds => 3, prefix => 'a');
#     $bench->wait_done($running, 'a', $load->{acknowledged}); # until nothing is left to do
#     $bench->finish($running);
#
# Bench::Contenders starts and ends them, Bench::Load sends, Bench::Usage reads CPU and memory, Bench::Count asks the database.
package Bench;
use v5.36;
use parent qw(Rig Bench::Contenders Bench::Load Bench::Usage Bench::Count);

use Bench::Contenders ();
use Bench::Count      ();
use Bench::Load       ();
use Bench::Usage      ();

our $communities = 100;

# The settings of the cluster that are not PostgreSQL's own. synchronous_commit and fsync are, and are said nevertheless.
our %setting = (
    fsync                  => 'on',
    synchronous_commit     => 'on',
    shared_buffers         => '256MB',
    max_wal_size           => '4GB',
    checkpoint_timeout     => '30min',
    max_connections        => 120,
    track_commit_timestamp => 'on',
);

sub new ($class, %option) {
    my $self = $class->SUPER::new(%option);
    $self->install_program(Rig::build_path("bench/$_")) for grep { -x Rig::build_path("bench/$_") } qw(load nospool ceiling);
    $self->make_folder('acknowledged');
    return $self;
}

# The cluster, candhook's schema with a handler that looks at the token, and the peers' tables. More settings can be given.
sub database ($self, %more) {
    $self->cluster(%setting, %more);
    $self->conf(log_level => 'warning');
    $self->schema;
    $self->schema_contents;
    open my $in, '<', Rig::source_path('bench/contenders/peer.sql') or die "peer.sql: $!\n";
    $self->sql(do { local $/; <$in> });
    $self->sql("insert into peer.bot_token select 'G' || lpad(i::text, 9, '0'), 'token-' || i from generate_series(1, $communities) i");
}

sub schema_contents ($self, %member) {
    $self->sql(<<"END", %member);
create schema app;
grant usage on schema app to public;
create function app.look(event candhook.event, bot_token text) returns text language plpgsql as \$\$
begin
    if bot_token is null then
        raise exception 'no token';
    end if;
    return 'ok';
end \$\$;
insert into candhook.bot_token (origin_community_id, token)
select 'G' || lpad(i::text, 9, '0'), 'token-' || i from generate_series(1, $communities) i;
select candhook.add_handler('look', 'MOIM', 'product.created', 'sql', 'app.look', needs_token => true);
END
}

# The session that watches (Bench::Count) ends with the database.
sub pg_stop ($self) {
    $self->SUPER::pg_stop;
    my $watch = delete $self->{watch} or return;
    $watch->close;
}

# Everything as before the first event: call it while nothing runs but the database.
sub clear ($self) {
    $self->sql('truncate candhook.event, candhook.outcome, candhook.delivery, candhook.malformed, candhook_internal.spool_position, '
          . 'peer.event, peer.outcome');
    $self->sql('checkpoint');
    File::Path::remove_tree("$self->{dir}/spool");
}

1;
