// SPDX-License-Identifier: ISC
// The screens other than the overview. console.js tells what a screen is.
import { actButton, canAct, get, getBody, post, session, workButton } from './api.js';
import {
    code, count, dialog, dim, el, empty, facts, field, fold, link, localTime, number, outside, route, section, size, span, state,
    table, tableRow, time, warning,
} from './dom.js';

/* An input that holds what the address says, so that what differs is what the person has typed. */
const input = (name, value = '', attributes = {}) =>
    el('input', { name, value, autocomplete: 'off', spellcheck: 'false', ...attributes });

/* Times are typed local and stand in the address in UTC. What no browser understands, PostgreSQL may: it stays a text. */
function timeInput(name, value = '') {
    const date = new Date(value);
    if (value && Number.isNaN(date.getTime()))
        return input(name, value);
    return input(name, value && localTime(date).slice(0, 16), { type: 'datetime-local', 'data-given': value });
}

/* A time that nobody has touched keeps the seconds that its input does not show. */
function timeOf(node) {
    if (node.type !== 'datetime-local' || node.value === '')
        return node.value;
    return node.value === node.defaultValue ? node.dataset.given : new Date(node.value).toISOString();
}

/* A form whose values become the query of the screen. */
function filterForm(screen, query, fields) {
    const inputs = fields.map(([name, label, make = input]) => [name, label, make(name, query[name])]);
    const apply = (submit) => {
        submit.preventDefault();
        const values = Object.fromEntries(inputs.map(([name, , node]) => [name, timeOf(node).trim()]));
        location.hash = route(screen, values);
    };
    const form = el('form', { id: 'filter', class: 'filter', onsubmit: apply },
        inputs.map(([name, label, node]) => field(`filter-${name}`, label, node)),
        el('p', { class: 'buttons' }, el('button', { id: 'filter-apply', class: 'main' }, 'Show'), ' ',
            el('a', { id: 'filter-clear', href: route(screen) }, 'Clear')));
    const open = fields.some(([name]) => query[name]) || matchMedia('(min-width: 50rem)').matches;
    return el('details', { class: 'filters', open }, el('summary', null, 'Filter'), form);
}

const OLDER = { 'data-act': 'older', 'data-key': 'older' };

/* A table that older rows can be added to. The page then stops refreshing: fresh rows would push the old ones away.
   spec: name (of the API), field (of the answer), caption, columns, query, none (words for an empty table). */
function growingTable(visit, data, spec) {
    const rows = data[spec.field];
    const grid = table(spec.caption, spec.columns, rows);
    const foot = el('p', { class: 'older' });
    const drawFoot = ({ next, looked_back_to: back }) => foot.replaceChildren(...[
        back && el('span', null, 'No more found among the events back to ', time(back), '. '),
        next && workButton(visit, back ? 'Look further' : 'Older', OLDER, () => older(next)),
        !next && grid.querySelector('tbody tr') && el('span', { class: 'dim' }, 'This is all there is.'),
    ].filter(Boolean));
    const older = async (before) => {
        visit.held = 'older ones were asked for';
        const answer = await get(spec.name, { ...spec.query, before });
        grid.querySelector('tbody').append(...answer[spec.field].map((row) => tableRow(spec.columns, row)));
        grid.hidden = !grid.querySelector('tbody tr');
        none.hidden = !grid.hidden || Boolean(answer.looked_back_to);
        drawFoot(answer);
        visit.say(`${count(answer[spec.field].length, 'row')} more.`);
    };
    const none = empty(spec.none);
    grid.hidden = rows.length === 0;
    none.hidden = rows.length > 0 || Boolean(data.looked_back_to);
    drawFoot(data);
    return [grid, none, foot];
}

const detail = (text) => el('pre', { class: 'detail' }, text);

/* Where the clipboard is closed to the page, the text is selected for the person to copy. */
const copyButton = (visit, node) => workButton(visit, 'Copy', { 'data-act': 'copy', class: 'small' }, async () => {
    try {
        await navigator.clipboard.writeText(node.textContent);
        visit.say('Copied.');
    } catch {
        getSelection().selectAllChildren(node);
        visit.say('Selected. Copy it with the keyboard.');
    }
});

/* Events. */

const RESULTS = ['ok', 'retry', 'failed', 'unhandled', 'unfinished', 'due', 'running', 'put off', 'held', 'paused'];

const resultInput = (name, value) => el('select', { name },
    ['', ...RESULTS].map((result) => el('option', { value: result, selected: result === value }, result || 'any')));

const FILTERS = [
    ['since', 'Since', timeInput], ['until', 'Until', timeInput], ['module', 'Module'], ['type', 'Type, or product.*'],
    ['community', 'Community'], ['user', 'User or profile'], ['object', 'Object id'], ['handler', 'Handler'],
    ['result', 'Result', resultInput], ['id', 'Event id'],
];

const resultOf = ({ handler, result, attempt }) => el('li', null, state(result), ' ', handler && outside(handler),
    attempt > 1 && ` (attempt ${attempt})`);

const EVENT_COLUMNS = [
    ['Received', (row) => link(time(row.received_at), 'event', {}, row.id), 'head'],
    ['Module and type', (row) => [outside(row.module), ' ', outside(row.type)]],
    ['Community', (row) => [outside(row.community ?? row.origin_community), row.origin_community && row.community
        && row.origin_community !== row.community && [' from ', outside(row.origin_community)]]],
    ['User', (row) => outside(row.user ?? row.profile)],
    ['Object', (row) => outside(row.object)],
    ['Results', (row) => (row.results.length > 0 ? el('ul', null, row.results.map(resultOf)) : '–')],
];

export const events = {
    title: 'Events',
    above: ({ query }) => filterForm('events', query, FILTERS),
    load: ({ query }) => get('events', query),
    draw: (data, visit) => growingTable(visit, data, { name: 'events', field: 'events', caption: 'Events, newest first',
        columns: EVENT_COLUMNS, query: visit.query, none: Object.values(visit.query).some(Boolean)
            ? 'No event is like this. Widen the filter.'
            : 'No event is recorded yet. candhook doctor --probe sends one through the public URL and follows it.' }),
};

/* One event. */

export const event = {
    title: 'Event',
    load: ({ id }) => get('event', { id }),
    draw: (data, visit) => (data.malformed
        ? el('p', null, 'This was no event, but a ', link('malformed body', 'malformed'), '. Its text can be shown below.')
        : [identity(data), life(data, visit), canAct() && replay(data, visit)]),

    /* Below what is refreshed, so that a body once shown stays, and is asked for once. */
    below(visit) {
        const place = el('div', null, workButton(visit, 'Show the body', { id: 'show-body' }, async () => {
            place.replaceChildren(bodyText(await getBody(visit.id)));
        }), dim('This is recorded in the audit.'));
        return section('Body', place);
    },
};

/* A body as text, a malformed one with what is wrong with it. */
const bodyText = (answer) => el('div', null, answer.reason && el('p', null, outside(answer.reason)),
    el('pre', { id: 'body', role: 'region', tabindex: '0', 'aria-label': 'The body' },
        answer.text));

function identity(data) {
    const known = (name, value, filter) => value && [name, link(outside(value), 'events', { [filter]: value })];
    return facts(
        ['Event', code(data.id)],
        ['Received', time(data.received_at)],
        ['Module and type', [link(outside(data.module), 'events', { module: data.module }), ' ',
            link(outside(data.type), 'events', { module: data.module, type: data.type })]],
        known('Origin community', data.origin_community, 'community'),
        known('Community', data.community, 'community'),
        known('User', data.user, 'user'),
        known('Profile', data.profile, 'user'),
        known('Object', data.object, 'object'),
        ['Body', size(data.body_bytes)]);
}

function life(data, visit) {
    const start = new Date(data.received_at);
    const since = (at) => at && new Date(at) > start && el('span', { class: 'dim' }, ` +${span((new Date(at) - start) / 1000)}`);
    const when = ({ at, what }) => (at ? [what === 'waiting' && 'due ', time(at), since(at)] : 'not yet due');
    return section('Life', el('ol', { class: 'life' }, data.life.map((step) => el('li', { 'data-what': step.what },
        el('p', { class: 'when' }, when(step)),
        el('div', null, step.what === 'received' ? state('received') : lifeStep(step, data, visit))))));
}

function lifeStep(step, data, visit) {
    const took = step.took_ms ?? null;
    const about = [step.attempt && `attempt ${step.attempt}`, took !== null && `took ${span(took / 1000)}`,
        step.worker && ['by ', outside(step.worker)]].filter(Boolean);
    return [
        el('p', null, state(step.result ?? step.what), ' ', step.handler && el('b', null, outside(step.handler)),
            step.what === 'unhandled' && 'no handler matched ', about.map((fact) => [' · ', fact])),
        step.detail && detail(step.detail),
        step.what === 'waiting' && canAct() && el('p', null, actButton(visit, 'Give up',
            { do: 'give_up', handler: step.handler, id: data.id }, { class: 'danger small' })),
    ];
}

function replay(data, visit) {
    const known = [...data.handlers].sort((a, b) => b.matches - a.matches);
    const ticks = known.map(({ name }) =>
        el('input', { type: 'checkbox', name: 'replay', value: name, 'data-key': `tick ${name}` }));
    const box = ({ enabled, matches }, tick) => el('li', null, el('label', null, tick, ' ', outside(tick.value),
        !enabled && [' ', state('paused')], !matches && el('span', { class: 'dim' }, ' (made for other events)')));
    const someChosen = () => {
        const names = ticks.filter((tick) => tick.checked).map((tick) => tick.value);
        if (names.length > 0)
            return { do: 'replay', id: data.id, handlers: names };
        visit.say('Tick the handlers first.');
        return null;
    };
    if (known.length === 0)
        return section('Run handlers again', empty('There is no handler. candhook.add_handler makes one, in psql.'));
    return section('Run handlers again',
        el('fieldset', null, el('legend', null, 'Handlers'), el('ul', null, known.map((handler, i) => box(handler, ticks[i])))),
        el('p', { class: 'buttons' },
            actButton(visit, 'Replay to all that match', { do: 'replay', id: data.id }, { id: 'replay-all' }), ' ',
            actButton(visit, 'Replay to the ticked ones', someChosen, { id: 'replay-chosen', 'data-act': 'replay' })));
}

/* Handlers. */

const hourAndDay = (name) => (row) => [el('span', { class: 'hour' }, number(row[`${name}_1h`])), ' ',
    el('span', { class: 'day' }, number(row[`${name}_24h`]))];

const handlerColumns = (visit) => [
    ['Handler', (row) => [el('b', null, outside(row.name)), handlerSettings(row)], 'head'],
    ['State', (row) => state(row.enabled ? 'on' : 'paused')],
    ['Last ok', (row) => time(row.last_ok)],
    ['Last failed', (row) => time(row.last_failed)],
    ['ok', hourAndDay('ok'), 'number'],
    ['retry', hourAndDay('retry'), 'number'],
    ['failed', hourAndDay('failed'), 'number'],
    ['Unfinished', (row) => [number(row.unfinished), row.oldest_unfinished_s !== null && row.unfinished > 0
        && el('div', { class: 'dim' }, `oldest ${span(row.oldest_unfinished_s)}`)], 'number'],
    ['Held', (row) => (row.held > 0 ? link(number(row.held), 'tokens') : number(row.held)), 'number'],
    ['Actions', (row) => el('div', { class: 'buttons' }, link('events', 'events', { handler: row.name }), ' ',
        link('failures', 'failures', { handler: row.name }), canAct() && handlerActions(row, visit))],
];

const handlerSettings = (row) => [
    dim(outside(row.module), ' ', outside(row.type), ', ', row.kind, ' ', outside(row.target)),
    dim([row.needs_token && 'needs a token', `timeout ${row.timeout}`, `${row.max_attempts} attempts`,
        row.concurrency && `${row.concurrency} at a time`, row.ordered_by && `ordered by ${row.ordered_by}`]
        .filter(Boolean).join(', ')),
];

const handlerActions = ({ name, enabled, unfinished }, visit) => [
    ' ', actButton(visit, enabled ? 'Pause' : 'Go on', { do: enabled ? 'disable' : 'enable', handler: name },
        { class: 'small', 'data-key': `switch ${name}` }),
    ' ', actButton(visit, 'Retry failed', { do: 'retry', handler: name }, { class: 'small' }),
    unfinished > 0 && [' ', actButton(visit, 'Give up', { do: 'give_up', handler: name }, { class: 'small danger' })],
];

export const handlers = {
    title: 'Handlers',
    load: () => get('handlers'),
    draw: (data, visit) => (data.handlers.length === 0
        ? empty('There is no handler. candhook.add_handler makes one, in psql. ', link('Types that need one', 'unhandled'))
        : [dim('Of ok, retry and failed, the bold number is of the last hour, the other of the last day. So is the last ok.'),
            data.partial && warning('There were more outcomes than can be counted here: the numbers are of the newest.'),
            data.deliveries_partial && warning('More wait than are counted here: these are the first 100,000.'),
            table('Handlers', handlerColumns(visit), data.handlers, 'handlers')]),
};

/* Failures. */

const failureColumns = (visit) => [
    ['Handler', (row) => outside(row.handler), 'head'],
    ['Error', (row) => [detail(row.error), row.example?.detail && row.example.detail !== row.error
        && fold(`example ${row.handler} ${row.error}`, 'The last one in full', detail(row.example.detail))]],
    ['Failed', (row) => number(row.failures), 'number'],
    ['First', (row) => time(row.first)],
    ['Last', (row) => [time(row.last), el('div', { class: 'dim' }, outside(row.event))]],
    ['Actions', (row) => el('div', { class: 'buttons' }, row.example && link('example', 'event', {}, row.example.id), ' ',
        row.known ? canAct() && retryGroup(row, visit) : dim('the handler is gone'))],
];

const retryGroup = ({ handler, error }, visit) =>
    actButton(visit, 'Retry', { do: 'retry', handler, error }, { class: 'small' });

export const failures = {
    title: 'Failures',
    above: ({ query }) => filterForm('failures', query, [['handler', 'Handler'], ['since', 'Since', timeInput]]),
    load: ({ query }) => get('failures', query),
    draw: (data, visit) => [
        data.partial && warning('There were more than can be shown here: these are of the newest 10,000 failures.'),
        data.groups.length > 0 ? table('Failures, in groups of the same error', failureColumns(visit), data.groups)
            : empty(state('ok', 'Nothing failed for good.')),
    ],
};

/* Malformed bodies. */

function showMalformed(visit, id) {
    const marks = { class: 'small', 'data-act': 'body', 'data-id': id, 'data-key': id };
    return workButton(visit, 'Show the body', marks,
        async () => dialog('Malformed body', bodyText(await getBody(id)), [['', 'Close']]));
}

export const malformed = {
    title: 'Malformed',
    load: () => get('malformed'),
    draw: (data, visit) => [
        dim('Bodies that were no event, kept byte for byte. Who shows one is recorded in the audit.'),
        growingTable(visit, data, { name: 'malformed', field: 'malformed', caption: 'Malformed bodies, newest first', columns: [
            ['Received', (row) => time(row.received_at), 'head'],
            ['Reason', (row) => outside(row.reason)],
            ['Size', (row) => size(row.bytes), 'number'],
            ['Body', (row) => showMalformed(visit, row.id)],
        ], none: state('ok', 'None. Every body was an event.') }),
    ],
};

/* Types without a handler. */

const statementCell = (visit) => (row) => {
    const text = code(row.statement);
    return el('div', { class: 'statement' }, text, ' ', copyButton(visit, text));
};

const unhandledColumns = (visit) => [
    ['Module and type', ({ module, type }) => [outside(module), ' ', link(outside(type), 'events', { module, type })], 'head'],
    ['Events', (row) => number(row.events), 'number'],
    ['First', (row) => time(row.first)],
    ['Last', (row) => time(row.last)],
    ['Statement', statementCell(visit)],
];

export const unhandled = {
    title: 'Unhandled',
    load: () => get('unhandled'),
    draw: (data, visit) => [
        data.partial && warning('There were more than can be counted here: the counts are of the newest.'),
        data.types.length === 0 ? empty(state('ok', 'Every event that came had a handler.')) : [
            dim('What arrives and has no handler. The statement, run in psql, makes one: put in its name and target.'),
            table('Types without a handler', unhandledColumns(visit), data.types)],
    ],
};

/* Tokens. */

/* Where an admin of the community installs the App again. */
function installLink(community) {
    if (!session.install_url || !community || !/^https?:/.test(session.install_url))
        return '–';
    const href = `${session.install_url}?${new URLSearchParams({ community_id: community })}`;
    return el('a', { href, target: '_blank', rel: 'noopener noreferrer' }, 'install');
}

const TOKEN_COLUMNS = [
    ['Community', (row) => outside(row.community), 'head'],
    ['State', (row) => [state(row.state), row.how && [' ', outside(row.how)]]],
    ['Stored', (row) => time(row.stored_at)],
    ['Ends', (row) => (row.expires_at ? time(row.expires_at) : 'never')],
    ['Scopes', (row) => (row.scopes ? outside(row.scopes.join(' ')) : 'not told')],
    ['Held for it', (row) => number(row.waiting), 'number'],
    ['For its admin', (row) => installLink(row.community)],
];

const MISSING_COLUMNS = [
    ['Community', (row) => (row.community ? outside(row.community) : 'not named in the event'), 'head'],
    ['State', () => state('missing')],
    ['Held for it', (row) => number(row.waiting), 'number'],
    ['For its admin', (row) => installLink(row.community)],
];

export const tokens = {
    title: 'Tokens',
    load: () => get('tokens'),
    draw: ({ tokens: stored, missing }) => [
        missing.length > 0 && section('Missing',
            el('p', null, 'Deliveries are held until these communities install the App, or you store their token.'),
            table('Communities without a token', MISSING_COLUMNS, missing)),
        section('Stored', stored.length > 0 ? table('Tokens', TOKEN_COLUMNS, stored)
            : empty('No token is stored. A community that installs the App brings one.')),
    ],
    below: (visit) => canAct() && tokenForm(visit),
};

/* Write only: what is stored is never shown again, and the field forgets it whatever becomes of it. */
function tokenForm(visit) {
    const community = input('community', '', { required: true });
    const token = input('token', '', { type: 'password', autocomplete: 'new-password', required: true });
    const store = async (submit) => {
        submit.preventDefault();
        const fields = { community: community.value.trim(), token: token.value };
        token.value = '';
        try {
            const { stored } = await post('token', fields);
            visit.say(`The token of ${stored} is stored. What was held for it goes on.`);
            community.value = '';
            await visit.refresh();
        } catch (error) {
            visit.fail(error);
        }
    };
    return section('Store a token', el('form', { id: 'token-form', class: 'narrow', onsubmit: store },
        field('token-community', 'Community id', community), field('token-token', 'Bot token', token),
        el('p', null, el('button', { id: 'token-store', class: 'main' }, 'Store'))));
}

/* Audit. */

const AUDIT_COLUMNS = [
    ['When', (row) => time(row.at), 'head'],
    ['Who', (row) => outside(row.who)],
    ['What', (row) => outside(row.what)],
    ['Detail', (row) => outside(row.detail)],
    ['Concerned', (row) => number(row.concerned), 'number'],
];

export const audit = {
    title: 'Audit',
    load: () => get('audit'),
    draw: (data, visit) => growingTable(visit, data, { name: 'audit', field: 'audit', caption: 'Who did what here, newest first',
        columns: AUDIT_COLUMNS, none: 'Nobody has done anything here yet.' }),
};
