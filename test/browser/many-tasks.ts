/** The list of 100,000 tasks: it opens at once, scrolls, and keeps little in memory. And the list of 1,000 agents. */
import type { Test } from 'tap';
import { runningHub } from '../apps/running-hub.ts';
import { goTo, type BrowserRoom } from './browser-room.ts';
import { signIn, watchedPage } from './chromium.ts';

const TASKS = 100_000;
const AT_ONCE = 10_000;
const OPENS_WITHIN_MS = 1_000;
const SCROLLED_ROWS = 15_000;
const HEAP_GROWTH_MAX = 20_000_000;
const ELEMENTS_MAX = 2_500;
const AGENTS = 1_000;
const AGENT_ELEMENTS_MAX = 5_000;
/** More than the overview names. */
const AWAY = 8;

export async function manyTasks(t: Test, room: BrowserRoom): Promise<void> {
  await t.test(`a list of ${TASKS} tasks`, async (t) => {
    const { world, browser, origin } = room;
    for (let sent = 0; sent < TASKS; sent += AT_ONCE) {
      await world.api.tasks.submitMany(
        Array.from({ length: AT_ONCE }, (_, at) => ({
          description: `Shard ${sent + at} of the nightly check`,
          needed_capabilities: ['nobody'],
        })),
      );
    }
    const { page, faults } = await watchedPage(t, browser, origin);
    await signIn(page, origin, world.adminToken);
    await goTo(page, room, 'submit');
    await page.getByRole('heading', { name: 'Submit a task' }).waitFor();
    const openedMs = (await page.evaluate(`new Promise((resolve) => {
      const from = performance.now();
      location.hash = '#/tasks?status=queued';
      const see = () => document.querySelectorAll('.task-row a').length > 10 ? resolve(performance.now() - from) : requestAnimationFrame(see);
      see();
    })`)) as number;
    t.comment(`the list of ${TASKS} tasks opens in ${Math.round(openedMs)} ms`);
    t.ok(openedMs < OPENS_WITHIN_MS, `under ${OPENS_WITHIN_MS} ms`);
    const heap = async (): Promise<number> => (await page.evaluate('gc(), performance.memory.usedJSHeapSize')) as number;
    const before = await heap();
    const scrolled = (await page.evaluate(`(async () => {
      const from = performance.now();
      const rows = () => Number(document.querySelector('.virtual-row')?.getAttribute('aria-setsize') ?? 0);
      while (rows() < ${SCROLLED_ROWS} && performance.now() - from < 60000) {
        scrollTo(0, document.body.scrollHeight);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return { rows: rows(), ms: performance.now() - from };
    })()`)) as { rows: number; ms: number };
    const after = await heap();
    const elements = (await page.evaluate('document.querySelectorAll("*").length')) as number;
    t.comment(
      `scrolled through ${scrolled.rows} rows in ${Math.round(scrolled.ms)} ms; heap ${before} to ${after} bytes, ${elements} elements`,
    );
    t.ok(scrolled.rows >= SCROLLED_ROWS, 'it continues as long as the user scrolls');
    t.ok(after - before < HEAP_GROWTH_MAX, `the heap grows by less than ${HEAP_GROWTH_MAX} bytes: ${after - before}`);
    t.ok(elements < ELEMENTS_MAX, `${elements} elements`);
    await page.evaluate('scrollTo(0, 200 * 44)');
    await page.locator('.task-row a').first().waitFor();
    await page.evaluate('scrollTo(0, 0)');
    await page
      .getByRole('link', { name: /Shard \d+ of the nightly check/ })
      .first()
      .waitFor();
    t.strictSame(faults, []);
  });
}

export async function manyAgents(t: Test, { browser }: BrowserRoom): Promise<void> {
  await t.test(`of ${AGENTS} agents the page draws some, and all on request`, async (t) => {
    const hub = await runningHub();
    t.teardown(() => hub.stop());
    for (let count = 0; count < AGENTS; count += 1) await hub.token('agent', `agent-${String(count).padStart(4, '0')}`);
    const { page, faults } = await watchedPage(t, browser, hub.url);
    await signIn(page, hub.url, hub.adminToken);
    await page.goto(`${hub.url}/dashboard#/agents`);
    await page.getByText('agent-0000').waitFor();
    const elements = (await page.evaluate('document.querySelectorAll("*").length')) as number;
    t.ok(elements < AGENT_ELEMENTS_MAX, `${elements} elements`);
    t.equal(await page.getByText('agent-0999').count(), 0);
    await page.getByRole('button', { name: 'Show all 1,000 agents' }).click();
    await page.getByText('agent-0999').waitFor();
    t.strictSame(faults, []);
  });
}

export async function manyAway(t: Test, { browser }: BrowserRoom): Promise<void> {
  await t.test('the overview leads to all agents that are away and have tasks', async (t) => {
    const hub = await runningHub();
    t.teardown(() => hub.stop());
    for (let count = 0; count < AWAY; count += 1) {
      const agent = await hub.agent(`away-${count}`);
      const { task_id } = await hub.api.tasks.submit({ description: 'Left alone', assign_to: `away-${count}` });
      const { generation } = await agent.frame('task_assign');
      agent.send({ type: 'task_accepted', task_id, generation });
      for await (const { event } of hub.api.tasks.watch(task_id)) if (event === 'accepted') break;
      agent.leave();
    }
    const { page, faults } = await watchedPage(t, browser, hub.url);
    await signIn(page, hub.url, hub.adminToken);
    await page.getByRole('link', { name: '2 more that are not connected' }).click();
    for (let count = 0; count < AWAY; count += 1) await page.getByRole('link', { name: `away-${count}`, exact: true }).waitFor();
    t.strictSame(faults, []);
  });

  await t.test('the overview leads to all agents whose checks fail, connected or not', async (t) => {
    const hub = await runningHub();
    t.teardown(() => hub.stop());
    const checks = { ok: false, failed: [{ check: 'login', message: 'not logged in' }] };
    for (let count = 0; count < AWAY; count += 1) {
      const agent = await hub.agent(`broken-${count}`, { checks });
      if (count % 2 === 0) agent.leave();
    }
    const { page, faults } = await watchedPage(t, browser, hub.url);
    await signIn(page, hub.url, hub.adminToken);
    await page.getByRole('link', { name: '2 more agents' }).click();
    for (let count = 0; count < AWAY; count += 1) await page.getByRole('link', { name: `broken-${count}`, exact: true }).waitFor();
    t.strictSame(faults, []);
  });
}
