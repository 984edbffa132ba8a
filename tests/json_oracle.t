# SPDX-License-Identifier: ISC
#
# Thousands of bodies that are JSON, nearly JSON or no JSON at all (NastyJson), in one batch through the real recorder. Two
# others judge them, too: PostgreSQL's jsonb, and Node's JSON.parse. What both of them and the documented shape allow is an
# event, and the value that comes back is the one that Node reads, to the last digit of each number. All else is malformed,
# and nothing keeps its neighbours from being recorded. The seed is printed; SEED=7 and COUNT=100000 may be given.
use v5.36;
use Test::More;
use FastCGI;
use NastyJson;
use Rig;

my $seed = $ENV{SEED} || (time ^ $$ << 12) & 0x7fffffff;
my $count = $ENV{COUNT} || 2000;
my $rig = Rig->new;
my $dir = $rig->{dir};
my $nasty = NastyJson->new(seed => $seed, samples => [ map { $rig->read_file($_) } glob Rig::source_path('src/event/fixtures/*.json') ]);
note "SEED=$seed COUNT=$count";
$rig->cluster;
$rig->conf(max_body => 1_000_000, log_level => 'error');
$rig->schema;
$rig->responder(args => ['--no-worker']);

# ---- all lie in the spool before anybody records; ids are in the order of the posts ----
my (@bodies, %answers);
my $fcgi = FastCGI->new($rig->{socket});
for my $n (1 .. $count) {
    push @bodies, my $body = $nasty->body;
    $fcgi->request(params => { REQUEST_METHOD => 'POST', REQUEST_URI => $rig->path, CONTENT_LENGTH => length $body, DOCUMENT_ROOT => "$dir/nginx" }, body => $body, keep => 1);
    $answers{ $fcgi->answer->{status} // 'none' }++;
}
is_deeply [ grep { !/^(?:200|400)$/ } keys %answers ], [], 'each is answered with 200 or 400';
$rig->candhook_ok('work', '--once', { seconds => 300 });

# ---- what became of each, and what PostgreSQL says of it ----
$rig->write_file('bodies', join '', map { $_ + 1 . "\t\\\\x" . unpack('H*', $bodies[$_]) . "\n" } 0 .. $#bodies);
$rig->sql(<<"END");
create table given (n integer, body bytea);
copy given from '$dir/bodies';
create function doc(body bytea) returns jsonb language plpgsql as \$\$
    begin
        return convert_from(case when substr(body, 1, 3) = '\\xefbbbf' then substr(body, 4) else body end, 'UTF8')::jsonb;
    exception when data_exception or program_limit_exceeded then
        return null;
    end \$\$;
create function is_word(value jsonb) returns boolean language sql as
    \$\$ select coalesce(jsonb_typeof(value) = 'string' and octet_length(value #>> '{}') between 1 and 255, false) \$\$;
create function is_id(value jsonb) returns boolean language sql as
    \$\$ select value is null or jsonb_typeof(value) = 'null' or (jsonb_typeof(value) = 'string' and octet_length(value #>> '{}') <= 255) \$\$;
create table judged as
with recorded as (
    select row_number() over (order by id) as n, x.*
      from (select id, candhook.body(e) as doc, null as reason, null::bytea as body from candhook.event e
            union all select id, null, m.reason, m.body from candhook.malformed m) x
), asked as (select g.n, g.body, doc(g.body) as doc from given g)
select a.n, r.n is not null as recorded, r.reason, r.doc as ours, a.doc as theirs, r.reason is not null and r.body is distinct from a.body as changed,
       coalesce(jsonb_typeof(a.doc) = 'object' and is_word(a.doc -> 'module') and is_word(a.doc -> 'type')
                and jsonb_typeof(a.doc -> 'context') = 'object' and jsonb_typeof(a.doc -> 'payload') = 'object'
                and is_id(a.doc -> 'context' -> 'originCommunityId') and is_id(a.doc -> 'context' -> 'userId')
                and is_id(a.doc -> 'context' -> 'communityId') and is_id(a.doc -> 'context' -> 'profileId'), false) as wanted
  from asked a left join recorded r using (n);
copy (select n, encode(convert_to(ours::text, 'UTF8'), 'hex') from judged where recorded and reason is null order by n) to '$dir/events';
END
$rig->own("$dir/events") if -e "$dir/events" && !$>;

# Tells of the bodies of these numbers, the first few.
sub is_none ($numbers, $what) {
    my @numbers = split /\n/, $numbers;
    is scalar @numbers, 0, $what or diag "SEED=$seed COUNT=$count\n", map { "$_: " . substr($bodies[ (split /\t/)[0] - 1 ] =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger, 0, 2000) . "\n" } @numbers[ 0 .. ($#numbers > 2 ? 2 : $#numbers) ];
}

is $rig->sql('select count(*) from candhook.event') + $rig->sql('select count(*) from candhook.malformed'), $count, 'each is an event or malformed';
is_none($rig->sql('select n from judged where not recorded order by n'), 'none is missing');
is_none($rig->sql('select n from judged where changed order by n'), 'of a malformed one every byte is kept');
is_none($rig->sql('select n from judged where reason is null and not wanted order by n'), 'PostgreSQL reads every event');
is_none($rig->sql('select n from judged where reason is null and ours is distinct from theirs order by n'), 'as the same value');
# What we bound and jsonb does not.
my @bounded = map { [ split /\t/ ] } split /\n/, $rig->sql(q{select n || E'\t' || reason from judged where reason is not null and wanted order by n});
is_none(join("\n", map { join "\t", @$_ } grep { !($_->[1] =~ /exponent beyond/ && $bodies[ $_->[0] - 1 ] =~ /e[+-]?0*(?:40[1-9]|4[1-9]\d|[5-9]\d\d|[1-9]\d{3})/i)
    && !($_->[1] =~ /nested more than/ && ($bodies[ $_->[0] - 1 ] =~ tr/{[//) > 1000) } @bounded), 'and nothing else that it reads is refused');
my $events = $rig->sql('select count(*) from candhook.event');
cmp_ok $events, '>', $count / 5, "many are events ($events)";
cmp_ok $count - $events, '>', $count / 10, 'and many are not';

# ---- what Node says of the events ----
SKIP: {
    skip 'node is not installed', 1 if !$rig->have('node');
    my $judge = $rig->write_file('judge.js', <<'END');
const fs = require('fs');
const [bodies, events] = process.argv.slice(2).map((path) => new Map(fs.readFileSync(path, 'latin1').split('\n').filter((line) => line)
    .map((line) => line.split('\t')).map(([n, hex]) => [n, Buffer.from(hex.replace(/^\\\\x/, ''), 'hex')])));
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
// The exact value of a number: its digits without zeros at both ends, and the power of ten.
function exact(number) {
    const [, sign, whole, part = '', power = '0'] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number);
    const digits = (whole + part).replace(/^0+/, '');
    const short = digits.replace(/0+$/, '');
    return short === '' ? '0' : sign + short + 'e' + (BigInt(power) - BigInt(part.length) + BigInt(digits.length - short.length));
}
// Every number is made a text that begins with #, every text and name begins with $: JSON.parse reads no number.
function read(text) {
    JSON.parse(text);
    return sorted(JSON.parse(text.replace(/"((?:[^"\\]|\\.)*)"|-?\d[-+.\deE]*/g, (all, string) => string === undefined ? `"#${exact(all)}"` : `"$${string}"`)));
}
// In the order of the names. Without recursion nothing is lost of deep ones: their depth is bounded.
function sorted(value) {
    if (Array.isArray(value)) return '[' + value.map(sorted).join(',') + ']';
    if (value === null || typeof value !== 'object') return JSON.stringify(value);
    return '{' + Object.keys(value).sort().map((name) => JSON.stringify(name) + ':' + sorted(value[name])).join(',') + '}';
}
for (const [n, ours] of events) {
    try {
        const text = decoder.decode(bodies.get(n)).replace(/^\ufeff/, '');
        if (read(text) !== read(decoder.decode(ours))) console.log(n);
    } catch (error) {
        console.log(n + '\t' + error.message.replace(/\s+/g, ' ').slice(0, 200));
    }
}
END
    my ($status, $out, $err) = $rig->run({ seconds => 300 }, 'node', '--stack-size=4000', $judge, "$dir/bodies", "$dir/events");
    is $status, 0, 'Node judges' or diag $err;
    is_none($out, 'Node reads every event as the same value');
}
done_testing;
