/** A page behind a proxy: one that answers with a page of its own instead of the hub's answer, and a slow one. */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { runningHub } from '../apps/running-hub.ts';
import type { BrowserRoom } from './browser-room.ts';
import { signIn, watchedPage } from './chromium.ts';
import { gate } from '../rig/gate.ts';

/** Longer than the pause after which the page takes the stream for caught up, milliseconds. */
const PART_EVERY_MS = 700;
/** Events that are older than 5 s are late, unless they are from before the page was opened. */
const OLD_MS = 5_500;
/** Much less than the time that an answer may take. */
const SHOWN_WITHIN_MS = 10_000;
const RECORD_STATES = `const states = (globalThis.states = []);
new MutationObserver(() => states.push(document.querySelector('.live')?.textContent ?? '')).observe(document, { subtree: true, childList: true, characterData: true });`;

const TASKS = /\/api\/tasks\?/;
const STATS = '**/api/tasks/stats';
const WAITS = '**/output/wait?*';
/** Attempts in this time: after half a second, one second, two and four, not one every half second. */
const REFUSED_MS = 6_000;
const REFUSALS_MAX = 4;

export async function proxyPages(t: Test, { browser }: BrowserRoom): Promise<void> {
  // The dashboard took such an answer for an empty one: the user had no role, and lists failed with a TypeError.
  await t.test('a page that a proxy answers with is not taken for the data of the hub', async (t) => {
    const hub = await runningHub();
    t.teardown(() => hub.stop());
    const { page, faults } = await watchedPage(t, browser, hub.url);
    const answers = { status: 200, contentType: 'text/html', body: '<!doctype html><title>Sign in</title>' };
    await page.route('**/api/whoami', (route) => route.fulfill(answers));
    await page.goto(`${hub.url}/dashboard`);
    await page.getByText('Something other than the hub answered').waitFor();
    await page.unroute('**/api/whoami');
    await page.getByLabel('Token').waitFor();

    await signIn(page, hub.url, hub.adminToken);
    await page.route(TASKS, (route) => route.fulfill(answers));
    await page.goto(`${hub.url}/dashboard#/tasks`);
    await page.getByText('Something other than the hub answered').waitFor();
    await page.unroute(TASKS);
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByText('There are no tasks yet.').waitFor();
    t.strictSame(faults, []);
  });

  // The page stayed as it was, without a word, and no link led anywhere until it was loaded again.
  await t.test('a page that cannot be shown says so, and the others stay usable', async (t) => {
    const hub = await runningHub();
    t.teardown(() => hub.stop());
    const { page, faults } = await watchedPage(t, browser, hub.url);
    await signIn(page, hub.url, hub.adminToken);
    await page.route(STATS, (route) => route.fulfill({ json: {} }));
    await page.reload();
    await page.getByText('This page cannot be shown').waitFor();
    await page.getByRole('link', { name: 'Agents', exact: true }).click();
    await page.getByRole('heading', { name: 'Agents' }).waitFor();
    await page.getByRole('link', { name: 'Overview', exact: true }).click();
    await page.getByText('This page cannot be shown').waitFor();
    await page.unroute(STATS);
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByText('The queue is empty.').waitFor();
    t.strictSame(faults, []);
  });

  // It said "live" until an answer to the next request was overdue, after half a minute.
  await t.test('a page whose stream has ended is not live while it waits for the next one', async (t) => {
    const hub = await runningHub();
    t.teardown(() => hub.stop());
    const { page, faults } = await watchedPage(t, browser, hub.url);
    await signIn(page, hub.url, hub.adminToken);
    await page.getByText('live', { exact: true }).waitFor();
    // Nothing answers, as on a network that drops every packet.
    await page.route('**/api/**', () => undefined);
    await hub.stop();
    await page.getByText('No connection to the hub').waitFor({ timeout: SHOWN_WITHIN_MS });
    await page.getByText('cut off', { exact: true }).waitFor();
    t.strictSame(faults, []);
  });

  // It said "following" after each read, and read every half second.
  await t.test('output whose next part the page may not wait for is not shown as followed, and is read ever less often', async (t) => {
    const hub = await runningHub();
    t.teardown(() => hub.stop());
    const agent = await hub.agent('talks');
    const { task_id: id } = await hub.api.tasks.submit({ description: 'Prints' });
    const { generation } = await agent.frame('task_assign');
    agent.send({ type: 'task_accepted', task_id: id, generation });
    agent.send({ type: 'task_output', task_id: id, generation, seq: 1, stream: 'stdout', text: 'line 1' });
    const { page, faults } = await watchedPage(t, browser, hub.url);
    await signIn(page, hub.url, hub.adminToken);
    let refused = 0;
    await page.route(WAITS, async (route) => {
      refused += 1;
      await route.fulfill({ status: 429, json: { error: 'rate_limited', message: 'Too many wait.' } });
    });
    await page.goto(`${hub.url}/dashboard#/tasks/${id}`);
    const output = page.locator('#output');
    await output.getByText('Too many wait. Trying again…').waitFor();
    await page.evaluate(RECORD_STATES.replace("'.live'", "'#output .live'"));
    const before = refused;
    await delay(REFUSED_MS);
    t.notOk(((await page.evaluate('states')) as readonly string[]).includes('following'));
    t.ok(refused > before && refused - before <= REFUSALS_MAX, `${refused - before} attempts in ${REFUSED_MS / 1_000} s`);
    await page.unroute(WAITS);
    await output.getByText('following').waitFor();
    t.equal(await page.getByText('Too many wait.').count(), 0);
    t.strictSame(faults, []);
  });

  await t.test('events from before the page was opened that arrive slowly do not make it look out of date', async (t) => {
    const hub = await runningHub();
    for (let n = 0; n < 3; n += 1) await hub.api.tasks.submit({ description: `Task ${n}` });
    const { opened: allSent, open: isSent } = gate();
    const proxy = createServer((incoming, outgoing) => {
      const { method, headers, url } = incoming;
      const forwarded = request(`${hub.url}${url ?? ''}`, { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 0, answer.headers);
        if (url?.startsWith('/api/events') !== true) return answer.pipe(outgoing);
        void (async () => {
          let text = '';
          for await (const part of answer.setEncoding('utf8')) {
            const parts = `${text}${String(part)}`.split(/(?<=\n\n)/);
            text = parts.at(-1)?.endsWith('\n\n') === true ? '' : (parts.pop() ?? '');
            for (const one of parts) {
              outgoing.write(one);
              await delay(PART_EVERY_MS);
            }
            isSent();
          }
        })().catch(() => outgoing.destroy());
        return undefined;
      });
      forwarded.on('error', () => outgoing.destroy());
      outgoing.on('close', () => forwarded.destroy());
      incoming.pipe(forwarded);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    t.teardown(async () => {
      proxy.closeAllConnections();
      proxy.close();
      await hub.stop();
    });
    await delay(OLD_MS);
    const origin = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const { page, faults } = await watchedPage(t, browser, origin);
    await page.addInitScript({ content: RECORD_STATES });
    await signIn(page, origin, hub.adminToken);
    await allSent;
    await page.getByText('live', { exact: true }).waitFor();
    const states = new Set((await page.evaluate('states')) as readonly string[]);
    t.strictSame(
      [...states].filter((state) => state !== '' && state !== 'connecting'),
      ['live'],
    );
    t.strictSame(faults, []);
  });
}
