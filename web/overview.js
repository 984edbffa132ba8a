// SPDX-License-Identifier: ISC
// The first screen: is all well, how much comes and goes, what waits, what fails.
import { get } from './api.js';
import {
    clock, code, count, el, empty, facts, fold, link, number, outside, section, size, span, state, table, time, warning,
} from './dom.js';

/* The outcomes in the order in which the plot piles them up, with their colours in console.css. */
const SERIES = [['ok', '--plot-ok'], ['retry', '--plot-retry'], ['failed', '--plot-failed'], ['unhandled', '--plot-unhandled']];

const DELIVERIES = [
    ['due', 'a runner takes them next', ['events', { result: 'due' }]],
    ['running', 'their handlers work now', ['events', { result: 'running' }]],
    ['put off', 'they failed and are retried later', ['events', { result: 'put off' }]],
    ['held', 'they need a token', ['tokens']],
    ['paused', 'their handler is paused', ['handlers']],
];

const TITLES = new Map([['healthy', 'All is well'], ['stalled', 'Work does not go on'],
    ['database unreachable', 'The database cannot be reached']]);

const RECENT = 3; /* steps that still change */
const ALL_STEPS = 12; /* every so many times all are counted */

export const overview = {
    title: 'Overview',

    /* The status must be seen above all when the database cannot be asked for the rest. */
    async load(visit) {
        const hours = visit.query.hours === '24' ? '24' : '1';
        const [status, figures] = await Promise.all([get('status'),
            loadFigures(visit, hours).catch((error) => (error.status === 401 ? Promise.reject(error) : { error }))]);
        return { status, figures, hours };
    },

    draw({ status, figures, hours }, visit) {
        if (visit.judged && visit.judged !== status.status)
            visit.say(titleOf(status)); /* aloud, for those who do not see it change */
        visit.judged = status.status;
        return [judgement(status), figures.error ? noFigures(figures.error) : drawFigures(figures, hours), machine(status)];
    },
};

/* Counting is what costs. Most times only the newest steps are asked for, since the others hardly change; what was recorded
   late shows when all are asked for again. */
async function loadFigures(visit, hours) {
    const known = visit.loads % ALL_STEPS ? visit.steps : [];
    const since = known.at(-RECENT)?.at;
    const figures = await get('overview', { hours, since });
    const oldest = Date.parse(figures.at) - hours * 3600000 - figures.step_s * 1000;
    figures.steps = [...known.filter(({ at }) => at < since && Date.parse(at) > oldest), ...figures.steps];
    figures.partial ||= Boolean(since) && visit.partial;
    Object.assign(visit, { loads: (visit.loads ?? 0) + 1, steps: figures.steps, partial: figures.partial });
    return figures;
}

const titleOf = ({ status }) => TITLES.get(status) ?? status;

function judgement(status) {
    const reasons = (status.reasons ?? []).map((reason) => el('li', null, outside(reason)));
    const tone = status.status === 'healthy' ? 'good' : 'bad';
    return el('section', { id: 'judgement', class: `judgement ${tone}`, 'data-status': status.status },
        el('h2', null, state(status.status, titleOf(status))),
        reasons.length > 0 && el('ul', null, reasons),
        status.database?.error && el('p', null, outside(status.database.error)));
}

function noFigures(error) {
    return section('Events and outcomes', el('p', null, 'There are no figures now: ', error.message, ' ', error.hint ?? ''));
}

function drawFigures(figures, hours) {
    return [
        figures.replica_lag_s !== null && el('p', { id: 'replica', class: 'warn' },
            `This is a replica: it is ${span(figures.replica_lag_s)} behind, and nothing can be changed here.`),
        waiting(figures),
        el('section', { class: 'traffic' },
            el('div', { class: 'head' }, el('h2', null, 'Events and outcomes'), hoursToggle(hours)),
            figures.partial && warning('There were more than can be counted here: the figures are of the newest.'),
            plot(figures.steps, hours), latency(figures)),
        failing(figures, hours),
    ];
}

function hoursToggle(hours) {
    const choice = (value, label) => el('a', { href: `#/overview?hours=${value}`, 'data-key': `hours-${value}`,
        id: `hours-${value}`, 'aria-current': hours === value && 'true' }, label);
    return el('p', { class: 'toggle' }, choice('1', 'Last hour'), choice('24', 'Last day'));
}

function waiting({ deliveries, deliveries_partial: partial }) {
    return section('Deliveries that are not settled',
        el('ul', { class: 'tiles' }, DELIVERIES.map(([name, why, where]) => el('li', { 'data-waiting': name },
            el('b', null, number(deliveries[name] ?? 0)), ' ', link(name, ...where), el('span', { class: 'dim' }, why)))),
        partial && warning('More wait than are counted here: these are the first 100,000.'));
}

const total = (steps, name) => steps.reduce((sum, step) => sum + step[name], 0);

function plot(steps, hours) {
    const events = total(steps, 'events');
    const entry = (name) => el('li', null, el('span', { class: `swatch ${name}` }), `${name} `,
        el('b', null, number(total(steps, name))));
    const legend = el('ul', { class: 'legend' }, entry('events'), SERIES.map(([name]) => entry(name)),
        el('li', { class: 'dim' }, hours === '24' ? 'a bar is 10 minutes' : 'a bar is a minute'));
    if (events === 0 && SERIES.every(([name]) => total(steps, name) === 0))
        return empty(`Nothing came in the last ${hours === '24' ? 'day' : 'hour'}. `, 'To try it: candhook doctor --probe');
    if (!window.Chart)
        return [legend, figuresTable(steps)];
    const canvas = el('canvas', { role: 'img', 'aria-label': `${count(events, 'event')}; the figures stand in the table below` });
    drawChart(canvas, steps);
    return [legend, el('div', { class: 'plot' }, canvas),
        fold('figures', 'The figures as a table', figuresTable(steps))];
}

/* Steps in which nothing happened would only make it long. */
function figuresTable(steps) {
    const busy = steps.filter((step) => ['events', ...SERIES.map(([name]) => name)].some((name) => step[name] > 0));
    const column = (name) => [name, (step) => number(step[name]), 'number'];
    const columns = [['from', (step) => time(step.at), 'head'], column('events'), ...SERIES.map(([name]) => column(name))];
    return table('Events and outcomes by time; steps without any are left out', columns, busy, 'low plain');
}

let chart = null;

function drawChart(canvas, steps) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const grid = { color: colour('--line'), borderColor: colour('--line') };
    const ticks = { color: colour('--dim'), maxRotation: 0, autoSkipPadding: 16, precision: 0 };
    /* Null draws nothing; a value draws at least a line, so that one failure among thousands can be seen. */
    const bars = SERIES.map(([name, variable]) => ({
        label: name, data: steps.map((step) => step[name] || null), stack: 'outcomes',
        minBarLength: 3, barPercentage: 1, categoryPercentage: 0.85, borderColor: colour(variable),
        backgroundColor: name === 'unhandled' ? 'transparent' : colour(variable), borderWidth: name === 'unhandled' ? 1 : 0,
    }));
    const line = { type: 'line', label: 'events', data: steps.map((step) => step.events), borderColor: colour('--plot-events'),
        backgroundColor: colour('--plot-events'), borderWidth: 1.5, pointRadius: 0, order: -1 };
    chart?.destroy();
    chart = new window.Chart(canvas, {
        type: 'bar',
        data: { labels: steps.map((step) => clock(step.at)), datasets: [line, ...bars] },
        options: {
            animation: false, maintainAspectRatio: false, font: { family: 'system-ui' },
            interaction: { mode: 'index', intersect: false }, plugins: { legend: { display: false } },
            scales: {
                x: { stacked: true, grid: { ...grid, drawOnChartArea: false }, ticks },
                y: { stacked: true, beginAtZero: true, grid, ticks },
            },
        },
    });
}

function latency({ latency: { count: n, p50_s: half, p99_s: most } }) {
    if (n === 0)
        return null;
    return el('p', { id: 'latency' }, 'From receipt to outcome: half within ', el('b', null, span(half)), ', 99 of 100 within ',
        el('b', null, span(most)), el('span', { class: 'dim' }, ` (the last ${count(n, 'outcome')})`));
}

function failing({ failing: list, malformed }, hours) {
    const since = new Date(Date.now() - hours * 3600e3).toISOString();
    const columns = [
        ['Handler', (row) => link(outside(row.handler), 'failures', { handler: row.handler, since }), 'head'],
        ['Failed for good', (row) => number(row.failed), 'number'],
        ['Last', (row) => time(row.last)],
    ];
    return section('What failed',
        list.length > 0 ? table('Failing handlers', columns, list) : empty(state('ok', 'No handler failed for good.')),
        malformed > 0 && el('p', null, link(count(malformed, 'malformed body', 'malformed bodies'), 'malformed'), ' came too.'));
}

/* What runs on this machine. Each part is missing when it could not be looked at. */
function machine(status) {
    return section('This machine', facts(
        ['Spool', spool(status.spool)],
        ['Worker', worker(status.worker)],
        status.responders !== undefined && ['Responders', number(status.responders)],
        status.answers && ['Answers', answers(status.answers)],
        status.tokens && ['Tokens', tokensAtOnce(status.tokens)]));
}

function spool(seen) {
    if (!seen)
        return 'cannot be read from here';
    return [seen.exact ? '' : 'at least ', count(seen.events, 'event'), ' not recorded, ', size(seen.bytes),
        seen.oldest_s !== null && `, the oldest waits ${span(seen.oldest_s)}`,
        seen.damaged > 0 && [', ', state('failed', `${number(seen.damaged)} damaged`)]];
}

function worker(seen) {
    if (!seen)
        return 'cannot be seen from here';
    if (seen.running)
        return [state('ok', 'runs'), seen.since ? [' since ', time(seen.since)] : '', seen.pid ? ` (process ${seen.pid})` : ''];
    return seen.stopped
        ? [state('paused', 'stopped by a person'), '; it begins again with ', code('candhook work')]
        : [state('failed', 'does not run'), '; it begins with the next event'];
}

function answers(seen) {
    const given = ['200', '400', '404', '405', '413', '503'].filter((status) => seen[status] > 0);
    return [given.map((status) => el('span', { class: 'pair' }, `${status}: `, el('b', null, number(seen[status])), ' ')),
        given.length === 0 && 'none ', seen.since ? el('span', { class: 'dim' }, 'since ', time(seen.since)) : ''];
}

function tokensAtOnce({ valid, ended, expiring }) {
    return [`${number(valid)} valid`, ended > 0 && [', ', state('failed', `${number(ended)} ended`)],
        expiring > 0 && [', ', state('retry', `${number(expiring)} soon end`)], ' – ', link('tokens', 'tokens')];
}
