// SPDX-License-Identifier: ISC
// The frame of the console: log-in, which screen the address names, and keeping what it shows fresh.
import { get, learnSession, post, session, workButton } from './api.js';
import { count, el, field, link, redraw, span } from './dom.js';
import { overview } from './overview.js';
import { audit, event, events, failures, handlers, malformed, tokens, unhandled } from './screens.js';

/* A screen: title, load(visit) asks, draw(data, visit) shows. What above and below make is drawn once a visit, below after
   the first answer, and so outlives a refresh. */
const SCREENS = new Map(Object.entries({ overview, events, handlers, failures, malformed, unhandled, tokens, audit, event }));
const REFRESH_MS = 10000;
const LOGIN_MS = 1100;
const REST = 20; /* a question that takes long is asked less often: the server rests so many times as long */

const [heading, age, refreshButton, trouble, note, above, content, below, nav, who] =
    ['heading', 'age', 'refresh', 'trouble', 'note', 'above', 'content', 'below', 'nav', 'who']
        .map((id) => document.getElementById(id));

/* The screen that is shown: its name, id and query from the address; null while nobody is logged in. */
let visit = null;

/* #/event/ID and #/events?module=MOIM; what names no screen is the overview. */
function readAddress() {
    const [path, search = ''] = location.hash.replace(/^#\/?/, '').split(/\?(.*)/s);
    const [name, id = ''] = path.split('/');
    let plain;
    try {
        plain = decodeURIComponent(id);
    } catch {
        plain = id;
    }
    return { name: SCREENS.has(name) ? name : 'overview', id: plain, query: Object.fromEntries(new URLSearchParams(search)) };
}

function drawTop() {
    const here = visit?.name === 'event' ? 'events' : visit?.name;
    const items = [...SCREENS].filter(([name]) => name !== 'event').map(([name, { title }]) => {
        const item = link(title, name);
        item.dataset.nav = name;
        if (name === here)
            item.setAttribute('aria-current', 'page');
        return el('li', null, item);
    });
    nav.replaceChildren(el('ul', null, items));
    who.replaceChildren(el('bdi', { id: 'user' }, session.user ?? ''), session.read_only ? ' (reads only)' : '', ' ',
        workButton({ fail }, 'Log out', { id: 'logout' }, logOut));
    nav.hidden = who.hidden = !session.user;
}

/* Shows the screen that the address names, or the log-in in its place. */
async function go() {
    const before = visit;
    document.querySelector('dialog[open]')?.close();
    say('');
    if (!session.user)
        return showLogin();
    const address = readAddress();
    const screen = SCREENS.get(address.name);
    visit = { ...address, screen, refresh, say, fail, turn: 0, loadedAt: 0, held: '' };
    const sameScreen = before?.name === visit.name && before.id === visit.id;
    heading.textContent = screen.title;
    document.title = `${screen.title} – candhook`;
    drawTop();
    redraw(above, screen.above?.(visit) ?? []);
    below.replaceChildren();
    if (!sameScreen)
        redraw(content, el('p', { class: 'dim' }, 'Loading …'));
    if (before && !sameScreen) {
        scrollTo(0, 0);
        heading.focus({ preventScroll: true });
    }
    refreshButton.hidden = false;
    await refresh();
}

/* Asks again and shows it. Of answers that cross, the one to the last question counts. */
async function refresh(gently = false) {
    const mine = visit;
    if (!mine)
        return;
    const turn = ++mine.turn;
    const stale = () => mine !== visit || turn !== mine.turn;
    const begun = Date.now();
    try {
        const data = await mine.screen.load(mine);
        if (stale() || (gently && busyWith()))
            return;
        mine.held = '';
        redraw(content, mine.screen.draw(data, mine));
        content.dataset.shown = location.hash;
        if (mine.loadedAt === 0)
            redraw(below, mine.screen.below?.(mine) ?? []);
        mine.loadedAt = Date.now();
        mine.every = Math.max(REFRESH_MS, REST * (mine.loadedAt - begun));
        if (mine.troubled)
            trouble.replaceChildren();
        mine.troubled = false;
    } catch (error) {
        if (!stale())
            failToLoad(error);
    }
    showAge();
}

function failToLoad(error) {
    visit.troubled = true;
    if (visit.loadedAt === 0)
        content.replaceChildren();
    content.dataset.shown = location.hash;
    fail(error, visit.loadedAt ? 'Refreshing failed, and what you see may be old. ' : '');
}

/* Why the page must not change just now; '' when it may. */
function busyWith() {
    const input = document.activeElement;
    if (document.querySelector('dialog[open]'))
        return 'a dialog is open';
    if (input?.matches('input:not([type=checkbox])') && input.value !== input.defaultValue)
        return 'you are typing';
    if (!getSelection().isCollapsed && content.contains(getSelection().anchorNode))
        return 'text is selected';
    return visit?.held ?? '';
}

function showAge() {
    const busy = busyWith();
    const seconds = Math.round((Date.now() - visit?.loadedAt) / 1000);
    const when = seconds === 0 ? 'now' : `${span(seconds)} ago`;
    age.textContent = visit?.loadedAt ? `as of ${when}${busy && `; waits: ${busy}`}` : '';
}

function tick() {
    showAge();
    const due = visit && Date.now() - Math.max(visit.loadedAt, visit.askedAt ?? 0) >= (visit.every ?? REFRESH_MS);
    if (due && document.visibilityState === 'visible' && !busyWith()) {
        visit.askedAt = Date.now();
        refresh(true);
    }
}

/* Tells what was done, aloud for those who listen. */
function say(text) {
    note.textContent = text;
    trouble.replaceChildren();
}

function fail(error, before = '') {
    if (error.status === 401 && session.user) {
        session.user = null;
        go();
        trouble.replaceChildren(el('p', null, 'Your session has ended. Log in, and you are back where you were.'));
        return;
    }
    note.textContent = '';
    if (error.status === undefined)
        console.error(error);
    const words = [before + error.message, error.hint ?? ''];
    if (trouble.textContent !== words.join('')) /* or it would be read aloud at each refresh that fails */
        trouble.replaceChildren(...words.filter(Boolean).map((text) => el('p', null, text)));
}

function showLogin() {
    visit = null;
    document.title = 'Log in – candhook';
    heading.textContent = 'Log in';
    refreshButton.hidden = true;
    age.textContent = '';
    drawTop();
    above.replaceChildren();
    below.replaceChildren();
    const name = el('input', { name: 'name', autocomplete: 'username', autocapitalize: 'none', required: true });
    const password = el('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true });
    const form = el('form', { id: 'login', class: 'narrow', onsubmit: (submit) => {
        submit.preventDefault();
        logIn(name, password);
    } }, field('login-name', 'Name', name), field('login-password', 'Password', password),
    el('p', null, el('button', { id: 'login-button', class: 'main' }, 'Log in')));
    content.replaceChildren(form);
    name.focus();
}

/* Nobody is looked at within a second of a try that failed: then again, a few times. */
async function askLogin(fields, left = 3) {
    try {
        return await post('login', fields);
    } catch (error) {
        if (error.status !== 429 || left === 0)
            throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, LOGIN_MS));
    return askLogin(fields, left - 1);
}

async function logIn(name, password) {
    try {
        await learnSession(askLogin({ name: name.value, password: password.value }));
    } catch (error) {
        fail(error);
        password.select();
        return;
    }
    const { failures } = session;
    await go();
    heading.focus();
    if (failures > 0)
        say(`${count(failures, 'log-in')} failed since the last one that succeeded.`);
}

async function logOut() {
    await learnSession(post('logout', {}));
    await go();
}

async function start() {
    document.getElementById('skip').addEventListener('click', (click) => {
        click.preventDefault(); /* the hash names the screen, not a place in it */
        heading.focus();
    });
    refreshButton.addEventListener('click', () => refresh());
    addEventListener('hashchange', go);
    document.addEventListener('visibilitychange', tick);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => refresh(true));
    setInterval(tick, 1000);
    try {
        await learnSession(get('session'));
    } catch (error) {
        fail(error);
        content.replaceChildren(el('p', null, el('button', { onclick: () => location.reload() }, 'Try again')));
        return;
    }
    await go();
}

start();
