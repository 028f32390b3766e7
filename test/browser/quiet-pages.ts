/** Pages send no requests while nothing happens, and still show agent changes at once. */
import { setTimeout } from 'node:timers/promises';
import type { Request } from 'playwright-core';
import type { Test } from 'tap';
import { runningHub } from '../apps/running-hub.ts';
import type { BrowserRoom } from './browser-room.ts';
import { signIn, watchedPage } from './chromium.ts';

/** Both together are below the 40 s after which a page considers a silent event stream dead: its clock is moved, the hub's is not. */
const QUIET_MS = 24_000;
const START_MS = 6_000;
/** Long enough to be seen, and for the task to be cancelled meanwhile. */
const PAUSE_MS = 8_000;
const STARTS_MAX = 2;
/** How many tasks are submitted, and the interval between them: longer than the minimum between two reads of all agents. */
const SUBMITS = 4;
const SUBMIT_GAP_MS = 2_100;

export async function quietPages(t: Test, { browser }: BrowserRoom): Promise<void> {
  await t.test('an idle page sends no requests, and agent changes are shown at once', async (t) => {
    const hub = await runningHub();
    t.teardown(() => hub.stop());
    const agent = await hub.agent('steady');
    const { page, faults } = await watchedPage(t, browser, hub.url);
    await page.clock.install();
    await signIn(page, hub.url, hub.adminToken);
    let requested: string[] = [];
    const open = new Set<Request>();
    page.on('request', (request) => {
      const { pathname } = new URL(request.url());
      requested.push(`${request.method()} ${pathname}`);
      if (pathname !== '/api/events') open.add(request);
    });
    page.on('requestfinished', (request) => open.delete(request));
    page.on('requestfailed', (request) => open.delete(request));
    /** Lets time pass in the page, and waits for the answers to its requests. */
    const pass = async (ms: number): Promise<readonly string[]> => {
      requested = [];
      await page.clock.runFor(ms);
      while (open.size > 0) await page.waitForEvent('requestfinished');
      return requested;
    };
    for (const [place, seen] of [
      ['', '1 idle'],
      ['agents', 'steady'],
      ['agents/steady', 'Checks of its machine'],
    ] as const) {
      await page.goto(`${hub.url}/dashboard#/${place}`);
      await page.reload();
      await page.getByText(seen).first().waitFor();
      await page.getByText('live', { exact: true }).waitFor();
      // What the page reads at its start, and what it reads again because past events arrived.
      for (let starts = 0; starts < STARTS_MAX && (await pass(START_MS)).length > 0;) starts += 1;
      t.strictSame(await pass(QUIET_MS), [], `/${place}: no requests in ${QUIET_MS / 1_000} s`);
    }
    await page.goto(`${hub.url}/dashboard#/agents`);
    // By then the page knows how far its clock is from the hub's.
    await page.reload();
    const badge = (id: string, word: string) => page.locator('.agent-card', { hasText: id }).locator('.badge', { hasText: word });
    await badge('steady', 'idle').waitFor();
    await hub.api.agents.drain('steady');
    await badge('steady', 'draining').waitFor();
    await hub.api.agents.resume('steady');
    await badge('steady', 'idle').waitFor();
    const { task_id: id } = await hub.api.tasks.submit({ description: 'Too much' });
    await agent.frame('task_assign');
    agent.send({ type: 'task_accepted', task_id: id, generation: 1 });
    await badge('steady', 'working').waitFor();
    agent.send({ type: 'task_released', task_id: id, generation: 1, reason: 'slow down', cause: 'rate_limited', retry_after_ms: PAUSE_MS });
    await badge('steady', 'paused').waitFor();
    await hub.api.tasks.cancel(id);
    // The end of a pause is not an event.
    await badge('steady', 'idle').waitFor();
    const second = await hub.agent('second');
    await badge('second', 'idle').waitFor();
    second.leave();
    await badge('second', 'offline').waitFor();
    agent.leave();
    await badge('steady', 'offline').waitFor();
    await page.goto(`${hub.url}/dashboard#/`);
    await page.getByText('2 offline').waitFor();
    t.strictSame(faults, []);
  });

  await t.test('tasks that concern no agent do not make the pages read the agents again; what happens to an agent is shown', async (t) => {
    const hub = await runningHub();
    t.teardown(() => hub.stop());
    const agent = await hub.agent('steady');
    const { page, faults } = await watchedPage(t, browser, hub.url);
    await signIn(page, hub.url, hub.adminToken);
    for (const [place, seen] of [
      ['', '1 idle'],
      ['agents', 'steady'],
    ] as const) {
      await page.goto(`${hub.url}/dashboard#/${place}`);
      await page.getByText(seen).first().waitFor();
      await page.getByText('live', { exact: true }).waitFor();
      // Past events arrive with the first ones.
      await setTimeout(SUBMIT_GAP_MS);
      const requested: string[] = [];
      page.on('request', (request) => void requested.push(new URL(request.url()).pathname));
      for (let count = 0; count < SUBMITS; count += 1) {
        await hub.api.tasks.submit({ description: 'Nobody can do it', needed_capabilities: ['gpu'] });
        await setTimeout(SUBMIT_GAP_MS);
      }
      if (place === '') t.ok(requested.includes('/api/tasks/stats'), 'the counts of the tasks are read again');
      t.notOk(requested.includes('/api/agents'), `/${place}: the agents are not`);
    }
    const badge = (word: string) => page.locator('.agent-card .badge', { hasText: word });
    const { task_id: id } = await hub.api.tasks.submit({ description: 'Stopped' });
    const { generation } = await agent.frame('task_assign');
    await page.getByText('1 of 1 slot', { exact: true }).waitFor();
    agent.send({ type: 'task_accepted', task_id: id, generation });
    await badge('working').waitFor();
    await hub.api.tasks.cancel(id);
    await page.getByText('1 of 1 slot, 1 stopping').waitFor();
    await agent.frame('task_cancelled');
    agent.send({ type: 'task_cancel_ack', task_id: id, generation, outcome: 'killed' });
    await page.getByText('0 of 1 slot', { exact: true }).waitFor();
    agent.leave();
    await badge('offline').waitFor();
    t.strictSame(faults, []);
  });
}
