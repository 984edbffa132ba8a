// SPDX-License-Identifier: ISC
// Elements from values. No value is ever read as HTML: children become text nodes, whatever they hold.

/* An element. An attribute that is a function listens (onclick); true stands without a value; null and false are left out. */
export function el(name, attributes, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes ?? {})) {
        if (typeof value === 'function')
            node.addEventListener(key.slice(2), value);
        else if (value !== null && value !== undefined && value !== false)
            node.setAttribute(key, value === true ? '' : value);
    }
    node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
}

/* The hash of a screen: route('events', {module: 'MOIM'}), route('event', {}, id). Empty values are left out. */
export function route(screen, query = {}, id = '') {
    const given = Object.entries(query).filter(([, value]) => value !== '' && value !== null && value !== undefined);
    const search = new URLSearchParams(given).toString();
    return `#/${screen}${id && '/' + encodeURIComponent(id)}${search && '?' + search}`;
}

export const link = (text, ...where) => el('a', { href: route(...where) }, text);

/* A text that came from outside, whose direction of writing must not reach what stands beside it. */
export const outside = (text) => (text === null || text === undefined || text === '' ? '–' : el('bdi', null, text));

export const code = (text) => (text === null || text === undefined || text === '' ? '–' : el('code', null, text));

const STATES = new Map(Object.entries({
    ok: ['✓', 'good'], healthy: ['✓', 'good'], valid: ['✓', 'good'], on: ['✓', 'good'],
    retry: ['↻', 'warn'], 'put off': ['↻', 'warn'], held: ['◇', 'warn'], paused: ['‖', 'warn'],
    failed: ['✕', 'bad'], stalled: ['✕', 'bad'], refused: ['✕', 'bad'], revoked: ['✕', 'bad'], expired: ['✕', 'bad'],
    missing: ['✕', 'bad'], 'database unreachable': ['✕', 'bad'],
    unhandled: ['○', 'calm'], running: ['»', 'calm'], waiting: ['…', 'calm'], due: ['…', 'calm'], received: ['→', 'calm'],
}));

/* A state: a sign, the word and a colour, so that nobody depends on the colour. */
export function state(word, shown = word) {
    const [sign, tone] = STATES.get(word) ?? ['·', 'calm'];
    return el('span', { class: `state ${tone}`, 'data-state': word }, el('span', { 'aria-hidden': 'true' }, sign), ' ', shown);
}

const two = (number) => String(number).padStart(2, '0');

/* 2026-11-30T02:05:09, local: what an input of times takes. */
export function localTime(date) {
    return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}` +
        `T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export const clock = (iso) => localTime(new Date(iso)).slice(11, 16);

/* A time as the clock on the wall has it; its title tells UTC. */
export function time(iso) {
    if (!iso)
        return '–';
    const date = new Date(iso);
    if (Number.isNaN(date.getTime()))
        return outside(iso);
    const utc = `${iso.replace('T', ' ').replace('Z', '')} UTC`;
    return el('time', { datetime: iso, title: utc }, localTime(date).replace('T', ' '));
}

export const number = (value) => (value === null || value === undefined ? '–' : Number(value).toLocaleString('en'));

/* "1 event", "1,234 events" */
export const count = (value, one, many = one + 's') => `${number(value)} ${value === 1 ? one : many}`;

export function span(seconds) {
    if (seconds === null || seconds === undefined)
        return '–';
    const [unit, size] = [['days', 86400], ['h', 3600], ['min', 60]].find(([, s]) => seconds >= 2 * s)
        ?? (seconds >= 1 ? ['s', 1] : ['ms', 0.001]);
    const amount = seconds / size;
    return `${amount < 10 && unit !== 'ms' ? +amount.toFixed(1) : Math.round(amount)} ${unit}`;
}

export function size(bytes) {
    const [unit, one] = [['GB', 1e9], ['MB', 1e6], ['kB', 1e3]].find(([, b]) => bytes >= b) ?? ['bytes', 1];
    return `${+(bytes / one).toFixed(1)} ${unit}`;
}

/* Tables. A column is [head, cell of a row, kind]; kind: 'number', or 'head' for the cell that names the row. The roles are
   spoken out because a narrow page turns rows into cards, and browsers then forget that it is a table. */
const numeric = (kind) => kind === 'number' && 'number';

function tableCell([head, cell, kind], row) {
    const marks = { class: numeric(kind), 'data-label': head };
    return kind === 'head'
        ? el('th', { role: 'rowheader', scope: 'row', ...marks }, cell(row))
        : el('td', { role: 'cell', ...marks }, cell(row));
}

export const tableRow = (columns, row) => el('tr', { role: 'row' }, columns.map((column) => tableCell(column, row)));

export function table(caption, columns, rows, style = '') {
    const heads = columns.map(([head, , kind]) => el('th', { role: 'columnheader', scope: 'col', class: numeric(kind) }, head));
    return el('div', { class: `box ${style}`, role: 'region', tabindex: '0', 'aria-label': caption, 'data-key': caption },
        el('table', { role: 'table', 'aria-label': caption },
            el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, heads)),
            el('tbody', { role: 'rowgroup' }, rows.map((row) => tableRow(columns, row)))));
}

export const section = (title, ...content) => el('section', null, el('h2', null, title), content);

export const dim = (...words) => el('p', { class: 'dim' }, words);

export const warning = (...words) => el('p', { class: 'warn' }, words);

/* Stands where there is nothing to show, and says what to do. */
export const empty = (...words) => el('p', { class: 'empty' }, words);

/* Names and values. */
export const facts = (...pairs) => el('dl', { class: 'facts' },
    pairs.filter(Boolean).map(([name, value]) => el('div', null, el('dt', null, name), el('dd', null, value))));

export function field(key, label, input) {
    input.id = key;
    return el('p', { class: 'field' }, el('label', { for: key }, label), input);
}

/* Details that stay open when the page refreshes. */
export const fold = (key, label, ...content) => el('details', { 'data-key': key },
    el('summary', { 'data-key': `${key} summary` }, label), content);

/* A question or a text in front of the page. Resolves to the value of the chosen button, '' when it was closed. */
export function dialog(title, content, choices) {
    return new Promise((resolve) => {
        const buttons = choices.map(([value, label, style]) => el('button', {
            type: 'button', class: style, 'data-choice': value || 'cancel', autofocus: !value, onclick: () => box.close(value),
        }, label));
        const box = el('dialog', { 'aria-labelledby': 'dialog-title' },
            el('h2', { id: 'dialog-title' }, title), content, el('p', { class: 'buttons' }, buttons));
        box.addEventListener('close', () => {
            box.remove();
            resolve(box.returnValue);
        });
        document.body.append(box);
        box.showModal();
    });
}

/* What tells an element from others, before and after a refresh. */
const markOf = (node) => node?.dataset.key || node?.id || node?.getAttribute('href');

/* Puts new content in place of the old, and keeps what the person had: the focus, open details, ticks, scrolled boxes. */
export function redraw(place, nodes) {
    const old = new Map([...place.querySelectorAll('[data-key]')].map((node) => [node.dataset.key, node]));
    const focused = place.contains(document.activeElement) && markOf(document.activeElement);
    const scrolled = new Map([...old].map(([key, node]) => [key, [node.scrollLeft, node.scrollTop]]));
    place.replaceChildren(...[nodes].flat(2).filter(Boolean));
    for (const node of place.querySelectorAll('[data-key]')) {
        const before = old.get(node.dataset.key);
        if (!before)
            continue;
        if (node.localName === 'details')
            node.open = before.open;
        if (node.type === 'checkbox')
            node.checked = before.checked;
        [node.scrollLeft, node.scrollTop] = scrolled.get(node.dataset.key);
    }
    if (!focused)
        return;
    const again = [...place.querySelectorAll('[data-key], [id], [href]')].find((node) => markOf(node) === focused);
    (again ?? document.getElementById('heading')).focus({ preventScroll: true });
}
