// SPDX-License-Identifier: ISC
// What is asked of candhook, and the one way in which anything is changed: asked first, with the count of what is concerned.
import { count, dialog, el, outside } from './dom.js';

const PATIENCE_MS = 20000;
const ACT_PATIENCE_MS = 45000; /* the server gives an action 30 s */

/* Who is logged in, as api/session tells; user is null when nobody is. */
export const session = { user: null };

/* An answer that is not what was asked for, in words for people. */
export class Refusal extends Error {
    constructor(status, words, hint) {
        super(words);
        this.status = status;
        this.hint = hint;
    }
}

async function call(name, options = {}) {
    let response;
    let text;
    try {
        const signal = AbortSignal.timeout(options.method ? ACT_PATIENCE_MS : PATIENCE_MS);
        response = await fetch(`api/${name}`, { signal, cache: 'no-store', ...options });
        text = await response.text();
    } catch (error) {
        throw new Refusal(0, error.name === 'TimeoutError' ? 'No answer came in time.' : 'The server cannot be reached.',
            options.method && 'It may have been done all the same: the audit tells.');
    }
    let answer;
    try {
        answer = JSON.parse(text);
    } catch {
        throw new Refusal(response.status, `The server answered ${response.status}, and not in the words of candhook.`);
    }
    if (!response.ok)
        throw new Refusal(response.status, answer.error ?? `The server answered ${response.status}.`, answer.hint);
    return answer;
}

/* Empty parameters are not sent. Some answers tell whether this database takes changes: a replica does not. */
export async function get(name, query = {}) {
    const given = String(new URLSearchParams(Object.entries(query).filter(([, value]) => value)));
    const answer = await call(given ? `${name}?${given}` : name);
    session.can_act = answer.can_act ?? session.can_act;
    return answer;
}

export const getBody = (id) => get('body', { id });

/* A form, or JSON. The header proves that this page asks, and no other. */
export function post(name, fields, asJson = false) {
    const headers = { 'Content-Type': asJson ? 'application/json' : 'application/x-www-form-urlencoded' };
    if (session.action)
        headers['X-Candhook-Action'] = session.action;
    return call(name, { method: 'POST', headers, body: asJson ? JSON.stringify(fields) : String(new URLSearchParams(fields)) });
}

export async function learnSession(answer) {
    const fresh = await answer;
    for (const key of Object.keys(session))
        delete session[key];
    Object.assign(session, { user: null }, fresh);
}

export const canAct = () => !session.read_only && session.can_act !== false;

const deliveries = (n, what = '') => count(n, `${what}delivery`, `${what}deliveries`);

/* What each action is called, and what it does to n deliveries. */
const ACTIONS = {
    replay: { title: () => 'Run handlers again for this event?', yes: 'Replay', done: 'Waits to run again',
        empty: 'No handler would run.',
        text: (n) => `${count(n, 'handler runs', 'handlers run')} again, with all effects.` },
    retry: { title: (name) => ['Retry what failed of ', name, '?'], yes: 'Retry', done: 'Waits to be tried again',
        empty: 'Nothing failed that can be tried again.',
        text: (n) => `${deliveries(n, 'failed ')} will be tried again.` },
    give_up: { title: (name) => ['Give up what waits for ', name, '?'], yes: 'Give up', done: 'Given up', danger: true,
        empty: 'Nothing waits.',
        text: (n) => `${deliveries(n, 'unfinished ')} will end as failed. Retry brings them back.` },
    disable: { title: (name) => ['Pause ', name, '?'], yes: 'Pause', done: 'Paused',
        text: (n) => `New events wait for it until you let it go on, as do ${deliveries(n, 'unfinished ')}. Nothing is lost.` },
    enable: { title: (name) => ['Let ', name, ' go on?'], yes: 'Go on', done: 'Goes on',
        text: (n) => `${deliveries(n, 'unfinished ')} will be worked on, and new events as they come.` },
};

/* Asks the person, does it if wanted, and shows what has become of it. */
async function act(visit, request) {
    const action = ACTIONS[request.do];
    const title = action.title(outside(request.handler));
    const { concerned } = await post('act', { ...request, count: true }, true);
    if (concerned === 0 && action.empty)
        return void await dialog(title, el('p', null, action.empty), [['', 'Close']]);
    const choices = [['', 'Cancel'], ['yes', action.yes, action.danger ? 'danger' : 'main']];
    if (await dialog(title, el('p', null, action.text(concerned)), choices) !== 'yes')
        return;
    const { done } = await post('act', request, true);
    visit.say(`${action.done}: ${deliveries(done)}.`);
    await visit.refresh();
}

/* A button whose work may fail or take time; meanwhile it does nothing more. */
export function workButton(visit, label, attributes, work) {
    const button = el('button', { type: 'button', ...attributes, onclick: async () => {
        if (button.getAttribute('aria-disabled'))
            return;
        button.setAttribute('aria-disabled', 'true');
        try {
            await work();
        } catch (error) {
            visit.fail(error);
        } finally {
            button.removeAttribute('aria-disabled');
        }
    } }, label);
    return button;
}

/* request: what is sent, or a function that makes it when the button is pressed (null: nothing is to be done). */
export function actButton(visit, label, request, attributes = {}) {
    const make = typeof request === 'function' ? request : () => request;
    const known = typeof request === 'function' ? {} : request;
    const marks = { 'data-act': known.do, 'data-handler': known.handler, ...attributes };
    marks['data-key'] ??= [known.do, known.handler, known.id, known.error].join('\u0000');
    return workButton(visit, label, marks, async () => {
        const made = make();
        if (made)
            await act(visit, made);
    });
}
