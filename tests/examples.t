# SPDX-License-Identifier: ISC
#
# The examples do what they say: installed as their first lines tell, on events that came in by HTTP; and the points are
# awarded once, in whatever order and however simultaneously the votes are handled.
use v5.36;
use Test::More;
use Rig;
use Rig::Cand;

my $rig = Rig->new;
my $origin = 'G00O7NKV9M';
my $token = 'secret-bot-token-0123456789';

sub install_sql ($name) {
    open my $file, '<:raw', Rig::source_path("examples/sql/$name") or die "$name: $!\n";
    local $/;
    my $text = <$file>;
    return $rig->sql($text);
}

sub outcomes ($handler) {
    return $rig->sql("select result || ': ' || coalesce(detail, '') from candhook.outcome where handler = '$handler' order by finished_at");
}

# ---- installed as told ----
$rig->cluster;
my $api = Rig::Cand->api($rig, tokens => [$token]);
$rig->conf(api_url => $api->url);
$rig->schema;
install_sql($_) for qw(product_created.sql product_voted_points.sql);
$rig->make_folder('handlers');
open my $object, '<:raw', Rig::build_path('examples/c/product_created.so') or die "product_created.so: $!\n";
$rig->write_file('handlers/product_created.so', do { local $/; <$object> }, 0755);
$rig->sql(<<'END');
insert into candhook.handler (name, module, type, kind, target, needs_token)
values ('look at product', 'MOIM', 'product.created', 'c', 'product_created.so:product_created', true);
update points.setting set votes = 7, points = 50;
END
install_sql($_) for qw(product_created.sql product_voted_points.sql);
is $rig->sql('select votes from points.setting'), 7, 'installed again, they keep what was set';

# ---- one event, three handlers ----
$rig->responder;
$rig->nginx;
is $rig->post($rig->path, $rig->event)->{status}, 200, 'a product is created';
$rig->wait_until(
    sub { $rig->sql('select count(*) from candhook.recent where result = $$held$$') == 2 },
    'the handlers that need a token are held'
);
is outcomes('store product'), '', 'without a token nothing is stored';
$rig->candhook_ok('token', 'set', $origin, { stdin => "$token\n" });
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.outcome') == 3 }, 'all three have an outcome');
is outcomes('store product'), 'ok: stored product CP:AK290DKFJD', 'the sql handler stores it';
is $rig->sql('select origin_community_id, id, community_id, author_id from app.product'),
  "$origin|CP:AK290DKFJD|G0IZUDWCL|UAKDIJ23KE", 'in its table';
is outcomes('look at product'), "ok: product CP:AK290DKFJD of UAKDIJ23KE in $origin, attempt 1", 'the c handler sees it';
is outcomes('points: author'), 'ok: 0 of 7 votes', 'and the points know its author';

is $rig->post($rig->path, $rig->event)->{status}, 200, 'the same comes again';
is $rig->post($rig->path, $rig->event(payload => {}))->{status}, 200, 'and one without an id';
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.outcome') == 9 }, 'they are handled');
is outcomes('store product'), <<'END' =~ s/\n$//r, 'it is stored once';
ok: stored product CP:AK290DKFJD
ok: knew product CP:AK290DKFJD
ok: names no product: nothing to store
END
like outcomes('look at product'), qr/^failed: the payload has no id$/m, 'the c handler refuses one without an id';

# ---- the documentation's example, by HTTP ----
sub vote ($voter, $voted, $product = 'CP:1') {
    return $rig->event(
        type    => 'product.voted',
        context => { originCommunityId => $origin, communityId => 'G0IZUDWCL', profileId => $voter },
        payload => { id => $product, voted => $voted ? \1 : \0 }
    );
}

$rig->sql('update points.setting set votes = 3');
my $count = $rig->sql('select count(*) from candhook.outcome');
my @bodies = ((map { vote($_, 1) } qw(V1 V1 V2 V3 V4)), vote('V5', 0));
is_deeply [ $rig->post_many($rig->path, \@bodies) ], [ (200) x @bodies ], 'votes come before the product';
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.outcome') == $count + @bodies }, 'they are handled');
is $rig->sql('select count(*) from points.vote where voted'), 4, 'one vote a voter, none of one who took it back';
is $rig->sql('select count(*) from points.award'), 0, 'nobody is awarded while the author is unknown';
$rig->post($rig->path, $rig->event(payload => { id => 'CP:1' }));
$rig->wait_until(sub { $rig->sql('select count(*) from points.award') == 1 }, 'the author is awarded');
is $rig->sql('select * from points.balance'), "$origin|UAKDIJ23KE|50|1", 'with the points that were set';
is outcomes('points: author') =~ s/.*\n//sr, 'ok: 4 votes: UAKDIJ23KE gets 50 points', 'which the outcome says';

$rig->wait_until(sub { $rig->sql('select count(*) from candhook.delivery') == 0 }, 'nothing is under way');
$count = $rig->sql('select count(*) from candhook.outcome');
@bodies = ((map { vote($_, 0) } qw(V1 V2 V3)), (map { vote($_, 1) } qw(V1 V2 V3 V6 V7)));
$rig->post($rig->path, $_) for @bodies;
$rig->wait_until(sub { $rig->sql('select count(*) from candhook.outcome') == $count + @bodies }, 'more votes are handled');
is $rig->sql('select count(*), sum(points) from points.award'), '1|50', 'votes withdrawn and given again award nothing more';
is $rig->sql("select count(*) from candhook.outcome where result not in ('ok') and handler <> 'look at product'"), 0,
  'no handler failed';
unlike $rig->sql('select coalesce(string_agg(detail, $$ $$), $$$$) from candhook.outcome'), qr/\Q$token/, 'no outcome shows the token';

# ---- a program, and a web service ----
open my $script, '<:raw', Rig::source_path('examples/exec/product_created.sh') or die "product_created.sh: $!\n";
# The programs of the rig are not where they are installed.
$rig->write_file('handlers/product_created.sh', (do { local $/; <$script> }) =~ s/^set -u$/set -u\nPATH=$rig->{dir}\/bin:\$PATH/mr, 0755);
$rig->sql(q{select candhook.add_handler('ask for product', 'MOIM', 'product.created', 'exec', 'product_created.sh', needs_token => true)});
$rig->post($rig->path, $rig->event(payload => { id => 'CP:77' }));
$rig->wait_until(sub { outcomes('ask for product') }, 'the script has run');
like outcomes('ask for product'), qr/^ok: product CP:77 in $origin, attempt 1: \d+ bytes$/, 'the script asks the API';
SKIP: {
    skip 'node is not installed', 1 if !$rig->have('node');
    open my $module, '<:raw', Rig::source_path('examples/http/webhook.mjs') or die "webhook.mjs: $!\n";
    $rig->write_file('webhook.mjs', do { local $/; <$module> });
    my $pid = $rig->spawn('node', { env => { PORT => 0, CAND_API => $api->url } }, 'node', "$rig->{dir}/webhook.mjs");
    $rig->wait_until(sub { $rig->read_file('log/node.log') =~ /listening on port \d+/ }, 'the service listens');
    my ($port) = $rig->read_file('log/node.log') =~ /listening on port (\d+)/;
    $rig->sql(qq{select candhook.add_handler('web service', 'MOIM', 'product.created', 'http', 'http://localhost:$port/webhook', needs_token => true)});
    $rig->post($rig->path, $rig->event(payload => { id => 'CP:78' }));
    $rig->wait_until(sub { outcomes('web service') }, 'the service was asked');
    like outcomes('web service'), qr/^ok: HTTP 200 OK: product CP:78, event [0-9a-f-]{36}$/, 'the service asks the API';
    $rig->stop($pid);
}

# ---- in any order, at the same moment: the functions themselves, under the role they run under ----
sub event_row ($n, $type, $profile, $payload) {
    my $id = sprintf '018bcfe5-6800-7000-8000-%012d', $n;
    return "row('$id', candhook.received_at('$id'), 'MOIM', '$type', '$origin', null, null, '$profile', '$payload', null)::candhook.event";
}

sub voted ($n, $product, $voter, $voted) {
    return 'select points.product_voted('
      . event_row($n, 'product.voted', $voter, qq({"id":"$product","voted":$voted})) . ', null);';
}

sub created ($n, $product, $author) {
    return 'select points.product_created(' . event_row($n, 'product.created', $author, qq({"id":"$product"})) . ', null);';
}

sub wait_for_waiting ($sessions) {
    $rig->wait_until(sub { $rig->sql('select count(*) from pg_locks where not granted') == $sessions }, "$sessions wait");
}

my $as = "set role candhook_handler;\n";
is $rig->sql($as . voted(9, 'CP:2', 'V1', 'false') . voted(8, 'CP:2', 'V1', 'true')), "0 of 3 votes\n0 of 3 votes",
  'an older vote that is handled later changes nothing';
is $rig->sql($as . voted(10, 'CP:2', 'V1', 'true')), '1 of 3 votes', 'a newer one does';
is $rig->sql($as . created(11, 'CP:2', 'A') . created(12, 'CP:2', 'B')), "1 of 3 votes\n1 of 3 votes", 'two say who the author is';
is $rig->sql("select author_id from points.product where product_id = 'CP:2'"), 'A', 'the first is believed';
like $rig->sql($as . voted(13, 'CP:2', 'V1', '"yes"')), qr/^names no product/, 'a vote that is no boolean is no vote';
like $rig->sql($as . 'select points.product_voted(' . event_row(14, 'product.voted', 'V1', '{}') . ', null);'), qr/^names no product/,
  'nor is one without a product';

$rig->sql($as . voted(15, 'CP:2', 'V2', 'true'));
my ($one, $two, $three) = map { $rig->psql_session } 1 .. 3;
$_->query($as) for $one, $two, $three;
is $one->query('begin; ' . voted(16, 'CP:2', 'V3', 'true')), '3 votes: A gets 50 points', 'the deciding vote';
$two->async(voted(17, 'CP:2', 'V4', 'true'));
wait_for_waiting(1);
$three->async(voted(18, 'CP:2', 'V5', 'true'));
wait_for_waiting(2);
$one->query('rollback;');
is_deeply [ sort $two->result, $three->result ], [ '3 votes: A gets 50 points', '4 votes; A has had the points' ],
  'when it is undone, whoever comes next decides, and the other knows';
is $rig->sql("select count(*) from points.award where product_id = 'CP:2'"), 1, 'there is one award';

# Two votes of which either alone does not suffice, at the same moment.
$rig->sql($as . created(20, 'CP:3', 'A') . voted(21, 'CP:3', 'V1', 'true'));
is $one->query('begin; ' . voted(22, 'CP:3', 'V2', 'true')), '2 of 3 votes', 'one vote, not committed';
$two->async(voted(23, 'CP:3', 'V3', 'true'));
wait_for_waiting(1);
$one->query('commit;');
is $two->result, '3 votes: A gets 50 points', 'and then sees it';
$_->close for $one, $two, $three;

done_testing;
