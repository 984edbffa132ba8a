# SPDX-License-Identifier: ISC
#
# People use the console: Chromium behind nginx, and behind Apache's .htaccess. Every screen, in light, dark and narrow; what is
# done is done in the database; whatever an event, a handler or an error has in its fields is shown as text; nothing is asked
# of another host. AXE=FILE has each screen examined by axe-core, too (make check-axe); EVENTS=1000000 among so many.
use v5.36;
use Test::More;
binmode $_, ':utf8' for map { Test::More->builder->$_ } qw(output failure_output);
use Chromium;
use ConsoleRig;

Chromium::program() // plan skip_all => 'chromium is not installed';
my $rig = ConsoleRig->new;
$rig->have('nginx') or plan skip_all => 'nginx is not installed';
my $axe = $ENV{AXE} ? do { open my $file, '<:raw', $ENV{AXE} or die "$ENV{AXE}: $!\n"; local $/; <$file> } : undef;
my $events = $ENV{EVENTS} || 2000;
$rig->generate($events);

# ---- a stranger's ideas of a name ----
my @hostile = (q{<img src=x onerror="window.pwned=1">}, q{"><script>window.pwned=1</script>}, q{javascript:window.pwned=1}, q{'-window.pwned-'}, q{&lt;b onmouseover=pwned&gt;}, qq{\xe2\x80\xaedesrever});
for my $n (0 .. $#hostile) {
    my $text = $hostile[$n] =~ s/'/''/gr;
    $rig->sql(<<"SQL");
        insert into candhook.event (id, received_at, module, type, origin_community_id, user_id, community_id, profile_id, payload)
        select i, candhook.received_at(i), '$text', '$text', '$text', '$text', '$text', '$text', jsonb_build_object('id', '$text'::text, '$text', '$text'::text)
          from (select ('019ab1c2-d3e4-7000-8000-00000000000$n')::uuid as i) x;
        insert into candhook.handler (name, module, type, kind, target, enabled) values ('$text', '$text', '$text', 'http', 'https://mirror.example/$n?"<b>', false);
        insert into candhook.outcome (event_id, received_at, handler, attempt, result, detail, started_at, finished_at)
        select i, candhook.received_at(i), h, a, r, '$text', now(), now() from (select ('019ab1c2-d3e4-7000-8000-00000000000$n')::uuid as i) x,
               (values ('$text', 1, 'failed'), ('', 0, 'unhandled')) o (h, a, r);
        insert into candhook.delivery (event_id, received_at, handler, origin_community_id, held)
        select i, candhook.received_at(i), '$text', '$text', true from (select ('019ab1c2-d3e4-7000-8000-00000000000$n')::uuid as i) x;
        insert into candhook.malformed select i, candhook.received_at(i), convert_to('$text', 'UTF8'), '$text' from (select ('019ab1c2-d3e4-7000-8000-00000000001$n')::uuid as i) x;
        select candhook.set_bot_token('token of $text', 'canary-of-$n');
        select candhook_internal.web_note('$text', '$text', '$text', 1);
SQL
}

my $chromium = Chromium->new($rig)->watch;
my $js = sub ($expression) { $chromium->evaluate($expression) };

# Nothing that came in a value has become part of the page.
sub is_harmless ($where) {
    is $js->(q{window.pwned === undefined && !document.querySelector('[onerror], [onmouseover], main script, main iframe, main img, a[href^="javascript:"]')}), 1, "$where: what values hold is text";
}

# WCAG 2.1: contrast of each text with what is behind it, names of what can be used, and no page that is wider than the window.
my $examine = <<'JS';
(() => {
    const faults = [];
    const parse = (colour) => { const c = colour.match(/[\d.]+/g).map(Number); return c.length < 4 ? [...c, 1] : c; };
    const behind = (node) => { let under = [255, 255, 255]; const path = []; for (let n = node; n; n = n.parentElement) path.unshift(n);
        for (const n of path) { const [r, g, b, a] = parse(getComputedStyle(n).backgroundColor); under = under.map((u, i) => u * (1 - a) + [r, g, b][i] * a); } return under; };
    const light = (rgb) => { const [r, g, b] = rgb.map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const canvas = getComputedStyle(document.documentElement).backgroundColor;
    for (const node of document.querySelectorAll('body *')) {
        const style = getComputedStyle(node), text = [...node.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join('').trim();
        if (!node.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) continue;
        if (text && !node.matches('option, noscript') && style.clipPath === 'none') {
            const [r, g, b] = parse(style.color), pair = [light([r, g, b]), light(behind(node))].sort((x, y) => y - x);
            const ratio = (pair[0] + 0.05) / (pair[1] + 0.05), large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
            if (ratio < (large ? 3 : 4.5)) faults.push(`contrast ${ratio.toFixed(2)}: ${node.localName}.${node.className} ${text.slice(0, 30)}`);
        }
        if (node.matches('input, select, textarea') && !node.labels?.length && !node.ariaLabel) faults.push(`no label: ${node.id}`);
        if (node.matches('button, a[href]') && !node.textContent.trim() && !node.ariaLabel) faults.push(`no name: ${node.outerHTML.slice(0, 60)}`);
    }
    if (document.documentElement.scrollWidth > innerWidth) faults.push(`wider than the window: ${document.documentElement.scrollWidth}`);
    if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
    const ids = [...document.querySelectorAll('[id]')].map((n) => n.id);
    if (new Set(ids).size !== ids.length) faults.push(`an id twice: ${ids.filter((id, i) => ids.indexOf(id) !== i)}`);
    return faults.join('\n');
})()
JS

sub is_accessible ($where) {
    for my $look ([ light => width => 1280 ], [ dark => width => 1280, dark => 1 ], [ narrow => width => 360, height => 740 ], [ 'at 200 %' => width => 640, height => 450, scale => 2 ]) {
        my ($name, %look) = @$look;
        $chromium->look(%look);
        $chromium->wait_until("matchMedia('(prefers-color-scheme: " . ($look{dark} ? 'dark' : 'light') . ")').matches && innerWidth === $look{width}");
        # The plot follows the window's size a moment later.
        eval { $chromium->wait_until(q{document.documentElement.scrollWidth <= innerWidth}, 5) };
        is $js->($examine), '', "$where, $name: everybody can read and use it";
        next if !$axe;
        $js->($axe) if !$js->('!!window.axe');
        my $found = $chromium->call('Runtime.evaluate', { awaitPromise => JSON::PP::true(), returnByValue => JSON::PP::true(),
            expression => q{axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }).then((r) => r.violations.map((v) => v.id + ': ' + v.nodes.map((n) => n.html.slice(0, 100)).slice(0, 3).join(' | ')).join('\n'))} });
        is $found->{result}{value}, '', "$where, $name: axe-core finds nothing";
    }
    $chromium->look;
}

# To a screen, and waits until it is drawn.
sub go ($hash, $selector) {
    $js->("location.hash = '$hash'");
    return $chromium->wait_until("document.querySelector('#content').dataset.shown === '$hash'")->wait_for($selector);
}
sub content { return $js->(q{document.querySelector('#content').innerText}) }
sub confirm ($selector) {
    $js->(q{document.querySelector('#note').textContent = ''});
    $chromium->tap($selector)->wait_for('dialog[open]');
    my $asked = $js->(q{document.querySelector('dialog').innerText});
    $chromium->tap('dialog [data-choice=yes]')->wait_until(q{!document.querySelector('dialog') && document.querySelector('#note').textContent});
    return $asked;
}
sub log_in ($name, $password = $ConsoleRig::password) {
    $chromium->type('#login-name', $name)->type('#login-password', $password)->tap('#login-button');
    return $chromium;
}

my %fronts = (nginx => sub { $rig->nginx_front }, 'Apache, .htaccess' => sub { $rig->htaccess_front });
for my $front (reverse sort keys %fronts) {
    $fronts{$front}->();
    $chromium->go($rig->console)->wait_for('#login-name');
    log_in('anna', 'a wrong password')->wait_until(q{document.querySelector('#trouble').textContent.includes('no user of this name')});
    pass "$front: a wrong password is told";
    log_in('anna')->wait_for('#judgement');
    is $js->(q{document.querySelector('#user').textContent}), 'anna', "$front: logged in";
    $chromium->wait_until(q{document.querySelector('#note').textContent === '1 log-in failed since the last one that succeeded.'});
    pass "$front: and she is told that one has failed";
    like $js->('document.cookie'), qr/^$/, "$front: no script sees the cookie";
    like content(), qr/Work does not go on.*no worker runs/s, "$front: the overview, where deliveries have waited for long";
    go('#/events?type=product.created', '#content tbody tr');
    is $js->(q{document.querySelectorAll('#content tbody tr').length}), 50, "$front: events";
    $chromium->tap('#logout')->wait_for('#login-name');
    pass "$front: logged out";
    $rig->sql('truncate candhook.audit') if $front eq 'nginx';
}
$rig->nginx_front;
$chromium->go($rig->console)->wait_for('#login-name');
is_accessible('log-in');
log_in('anna')->wait_for('#judgement');

# ---- the overview ----
is $js->(q{document.querySelector('#judgement').dataset.status}), 'stalled', 'it tells that work is stalled';
ok $js->(q{!!document.querySelector('canvas')}) || !$js->('!!window.Chart'), 'a plot, where Chart.js was there';
like $js->(q{document.querySelector('[data-waiting=held]').innerText}), qr/^\d+\s+held/, 'what is held';
$chromium->tap('#hours-24')->wait_until(q{document.querySelector('#hours-24').getAttribute('aria-current')});
like content(), qr/a bar is 10 minutes/, 'a day';
my $legend = $js->(q{document.querySelector('.legend').innerText});
$js->(q{document.querySelector('.legend').dataset.old = 1});
$chromium->tap('#refresh')->wait_until(q{!document.querySelector('.legend').dataset.old});
is $js->(q{document.querySelector('.legend').innerText}), $legend, 'the newest steps, counted again, fit to the others';
is_harmless('overview');
is_accessible('overview');
$rig->sql('update candhook.handler set enabled = false');
$chromium->tap('#refresh')->wait_until(q{document.querySelector('#judgement').dataset.status === 'healthy'});
pass 'refreshed: nothing that could run waits';
$rig->sql(q{update candhook.handler set enabled = true where name in ('greet', 'mirror', 'mail')});

# ---- events, by filters that the address keeps ----
go('#/events', '#content tbody tr');
is $js->(q{document.querySelector('h1').textContent + document.title + document.activeElement.id}), "EventsEvents \x{2013} candhookheading", 'the heading, the title and the focus tell where one is';
$chromium->type('#filter-type', 'product.*')->type('#filter-handler', 'mirror')->evaluate(q{document.querySelector('#filter-result').value = 'failed'});
$chromium->tap('#filter-apply')->wait_until(q{location.hash.includes('handler=mirror') && [...document.querySelectorAll('#content tbody tr')].every((row) => row.innerText.includes('failed'))});
is $js->('location.hash'), '#/events?type=product.*&handler=mirror&result=failed', 'filters are in the address';
my $count = $js->(q{document.querySelectorAll('#content tbody tr').length});
is $count, 50, 'a page of those that failed';
$chromium->tap('[data-act=older]')->wait_until(q{document.querySelectorAll('#content tbody tr').length > 50});
is $js->(q{document.querySelectorAll('#content tbody tr').length}), $events == 2000 ? 60 : 100, 'and older ones';
go('#/events?id=019ab1c2-d3e4-7000-8000-000000000000', '#content tbody tr');
is $js->(q{document.querySelectorAll('#content tbody tr').length}), 1, 'one by its id';
go('#/events?object=' . q{%3Cimg%20src%3Dx%20onerror%3D%22window.pwned%3D1%22%3E}, '#content tbody tr');
like content(), qr/<img src=x onerror="window\.pwned=1">/, 'an odd object is found, and shown as it is';
is_harmless('events');
go('#/events?since=nonsense', '#trouble p');
like $js->(q{document.querySelector('#trouble').textContent}), qr/since is no time.*2026-01-31T12:00:00Z/, 'a filter that is wrong is explained';
go('#/events', '#content tbody tr');
is_accessible('events');

# ---- one event ----
for my $n (0 .. $#hostile) {
    go("#/event/019ab1c2-d3e4-7000-8000-00000000000$n", '.life');
    $chromium->tap('#show-body')->wait_for('#body');
    utf8::decode(my $text = $hostile[$n]);
    ok index(content() . $js->(q{document.querySelector('#body').textContent}), $text) >= 0, "as it is: $hostile[$n]";
    is_harmless("event $n");
}
is $rig->sql(q{select count(*) from candhook.audit where who = 'anna' and what = 'look at body'}), scalar @hostile, 'each look is noted';
my $id = $rig->sql(q{select o.event_id from candhook.outcome o where o.handler = 'mirror' and o.result = 'failed' order by o.received_at desc limit 1});
go("#/event/$id", '.life');
like content(), qr/received.*ok greet.*failed mirror.*HTTP (?:410|422) for order/s, 'its life';
is_accessible('event');
like confirm('#replay-all'), qr/2 handlers run again/, 'replay tells how many, first';
is $rig->sql(qq{select count(*) from candhook.delivery where event_id = '$id'}), 2, 'and does it';
like content(), qr/mirror/, 'which shows';
confirm(q{.life [data-act=give_up][data-handler=mirror]});
is $rig->sql(qq{select string_agg(handler, ',') from candhook.delivery where event_id = '$id'}), 'greet', 'given up for one';
$js->(q{document.querySelector('input[value=old]').click()});
confirm('#replay-chosen');
is $rig->sql(qq{select string_agg(handler, ',' order by handler) from candhook.delivery where event_id = '$id'}), 'greet,old', 'replayed to one that is chosen';
go('#/event/019ab1c2-d3e4-7000-8000-000000000999', '#trouble p');
like $js->(q{document.querySelector('#trouble').textContent}), qr/there is no event 019ab1c2/, 'an event that is not there';

# ---- handlers ----
go('#/handlers', '#content tbody tr');
like content(), qr/mirror.*MOIM/s, 'handlers';
is_harmless('handlers');
is_accessible('handlers');
$chromium->tap('[data-act=disable][data-handler=mirror]')->wait_for('dialog[open]');
is_harmless('a question');
$chromium->press('Escape')->wait_until(q{!document.querySelector('dialog')});
is $rig->sql(q{select enabled from candhook.handler where name = 'mirror'}), 't', 'who closes the question does nothing';
like confirm('[data-act=disable][data-handler=mirror]'), qr/\d+ unfinished deliver/, 'pause tells what is concerned';
is $rig->sql(q{select enabled from candhook.handler where name = 'mirror'}), 'f', 'paused';
$chromium->wait_for('[data-act=enable][data-handler=mirror]');
confirm('[data-act=enable][data-handler=mirror]');
is $rig->sql(q{select enabled from candhook.handler where name = 'mirror'}), 't', 'going on';
confirm('[data-act=give_up][data-handler=mail]');
is $rig->sql(q{select count(*) from candhook.delivery where handler = 'mail'}), 0, 'all of a handler given up';

# ---- failures ----
go('#/failures', '#content tbody tr');
like content(), qr/mirror.*HTTP # for order #/s, 'failures in groups';
is_harmless('failures');
is_accessible('failures');
my $failed = $rig->sql(q{select count(*) from candhook.failed where handler = 'mirror' and detail ~ '^HTTP'});
cmp_ok $failed, '>', 50, 'many are of one group';
$js->(q{[...document.querySelectorAll('#content tbody tr')].find((row) => row.innerText.includes('HTTP #')).querySelector('[data-act=retry]').id = 'retry-group'});
like confirm('#retry-group') =~ s{,}{}gr, qr/\Q$failed\E failed deliver/, 'the retry of a group tells how many';
is $rig->sql(q{select string_agg(detail, ',') from candhook.failed where handler = 'mirror'}), 'given up by my_web', 'they are retried, and no other';

# ---- the others ----
go('#/malformed', '#content tbody tr');
like content(), qr/line 1, column 17: the object does not end/, 'malformed bodies, with the fault';
$chromium->tap('[data-act=body]')->wait_for('#body');
is_harmless('a malformed body');
$chromium->tap('dialog [data-choice=cancel]')->wait_until(q{!document.querySelector('dialog')});
is_accessible('malformed');
go('#/unhandled', '#content tbody tr');
like content(), qr/question\.asked.*select candhook\.add_handler\('question\.asked', 'MOIM', 'question\.asked'/s, 'types without a handler, and what to type';
is_harmless('unhandled');
is_accessible('unhandled');
go('#/tokens', '#content tbody tr');
like content(), qr/G1.*valid.*bot:MOIM:product:read.*G2.*revoked/s, 'tokens';
is $js->(q{[...document.querySelectorAll('#content a')].find((link) => link.href.endsWith('community_id=G2')).href}), 'https://app.example/candhook-app/install?community_id=G2', 'with the link to install';
is_harmless('tokens');
$chromium->type('#token-community', 'G77')->type('#token-token', 'canary-that-was-typed')->tap('#token-store');
$chromium->wait_until(q{document.querySelector('#note').textContent.includes('G77')});
is $rig->sql(q{select token || how from candhook.bot_token where origin_community_id = 'G77'}), 'canary-that-was-typedconsole', 'a token is stored';
is $js->(q{document.querySelector('#token-token').value}), '', 'and forgotten by the page';
unlike $js->('document.documentElement.outerHTML'), qr/canary/, 'no page holds a token';
is_accessible('tokens');
go('#/audit', '#content tbody tr');
like content(), qr/anna.*store token.*G77.*anna.*retry.*handler mirror/s, 'the audit';
is_harmless('audit');
is_accessible('audit');

# ---- the keyboard alone ----
$chromium->go($rig->console)->wait_for('#judgement');
$chromium->press('Tab');
is $js->('document.activeElement.id'), 'skip', 'the first stop leads to the content';
$chromium->press('Tab')->press('Tab')->press('Enter')->wait_until(q{location.hash.startsWith('#/events')});
pass 'the next ones to the screens';
$chromium->press('Tab');
isnt $js->(q{getComputedStyle(document.activeElement).outlineStyle}), 'none', 'the focus is seen';

# ---- a session that ends, a server that is away, a user who may only look ----
go('#/handlers', '#content tbody tr');
$rig->candhook_ok('web-user', 'add', 'anna', '--replace', { stdin => "another-password\n" });
$chromium->tap('#refresh')->wait_for('#login-name');
like $chromium->text, qr/session has ended/, 'a session that has ended is told';
log_in('rita')->wait_until(q{document.querySelector('#content tbody tr') && document.querySelector('#user').textContent === 'rita'});
is $js->('location.hash'), '#/handlers', 'and one is back where one was';
is $js->(q{document.querySelectorAll('[data-act=disable], [data-act=enable], [data-act=retry], [data-act=give_up]').length}), 0, 'who may only look has no buttons to act';
go('#/tokens', '#content tbody tr');
is $js->(q{!!document.querySelector('#token-form')}), 0, 'nor a form for tokens';
$rig->pg_stop;
$chromium->tap('#refresh')->wait_until(q{document.querySelector('#trouble').textContent.includes('may be old')});
like content(), qr/G77/, 'without database it keeps what it had, and says so';
go('#/overview', '#judgement');
like content(), qr/The database cannot be reached/, 'and the overview tells';
$rig->pg_start;

my @requests = $chromium->requests;
cmp_ok scalar @requests, '>', 100, 'the browser has asked for much';
is join(' ', grep { !m{^http://127\.0\.0\.1:\d+/} && !m{^data:image/} } @requests), '', 'and of no other host';
is join("\n", grep { !/Failed to load resource/ } $chromium->complaints), '', 'it has not complained about a script, or the policy';
$chromium->end;
done_testing;
