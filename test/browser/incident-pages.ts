/** What an operator looks for in an incident: what is stuck, which agent is bad, and the task of a line in a log. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { hubClient } from '../../apps/client/index.ts';
import { runningHub } from '../apps/running-hub.ts';
import type { BrowserRoom } from './browser-room.ts';
import { signIn, watchedPage } from './chromium.ts';

const AGENTS = 3;
const CHECK_EVERY_MS = 50;
/** A window of 1,280 pixels at 200 %. */
const ZOOMED_PX = 640;

export async function incidentPages(t: Test, { browser }: BrowserRoom): Promise<void> {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const { page, faults } = await watchedPage(t, browser, hub.url);
  await signIn(page, hub.url, hub.adminToken);
  const goTo = (path: string) => page.goto(`${hub.url}/dashboard#/${path}`);
  const texts = page.locator('.task-row-text');
  const main = page.locator('#main');

  await t.test('the overview shows a task that is blocked for ever, beside one that is blocked for now', async () => {
    const parts = { description: 'A part', run_at: Date.now() + 3_600_000 };
    const later = await hub.api.tasks.submit(parts);
    const never = await hub.api.tasks.submit(parts);
    await hub.agent('idle');
    await hub.api.tasks.submit({ description: 'Blocked for now', depends_on: [later.task_id] });
    await hub.api.tasks.submit({ description: 'Blocked for ever', depends_on: [never.task_id] });
    await hub.api.tasks.cancel(never.task_id);
    await main.getByText(`1 task waits: It depends on ${never.task_id} (cancelled)`).waitFor();
  });

  await t.test('what has one cause is one line of the overview', async (t) => {
    const hub = await runningHub();
    t.teardown(() => hub.stop());
    const agent = await hub.agent('alone', { capabilities: ['code'] });
    const { task_id: run } = await hub.api.tasks.submit({ description: 'Left alone' });
    const { generation } = await agent.frame('task_assign');
    agent.send({ type: 'task_accepted', task_id: run, generation });
    agent.send({ type: 'runner_checks', ok: false, failed: [{ check: 'login', message: 'not logged in' }] });
    while ((await hub.api.agents.get('alone')).checks === null) await delay(CHECK_EVERY_MS);
    agent.leave();
    while ((await hub.api.agents.get('alone')).connected) await delay(CHECK_EVERY_MS);
    const submit = async (more: object) => (await hub.api.tasks.submit({ description: 'Waits', ...more })).task_id;
    const parts = [await submit({ run_at: Date.now() + 3_600_000 }), await submit({ run_at: Date.now() + 3_600_000 })];
    const [never] = parts;
    await submit({ depends_on: [never] });
    await submit({ depends_on: parts });
    await hub.api.tasks.cancel(never ?? '');
    await submit({});
    await submit({ needed_capabilities: ['code'] });
    const oldest = await submit({ needed_capabilities: ['code', 'gpu'] });
    await submit({ needed_capabilities: ['gpu'] });
    const { page, faults } = await watchedPage(t, browser, hub.url);
    await signIn(page, hub.url, hub.adminToken);
    const lines = page.locator('.attention li');
    const stuck = [/^2 tasks wait: No agent has "gpu"/, /^2 tasks wait: Only one agent can run it: alone has been offline/];
    const away = /^alone is not connected and has a task\. Last seen .* ago\. It gets no others: login: not logged in/;
    const shown = async (...expected: readonly RegExp[]): Promise<void> => {
      for (const line of expected) await lines.filter({ hasText: line }).waitFor();
      t.equal(await lines.count(), expected.length, `${expected.length} lines`);
    };
    await shown(...stuck, /^2 tasks wait: It depends on .* \(cancelled\)/, away);
    t.ok((await lines.filter({ hasText: 'gpu' }).getByRole('link').getAttribute('href'))?.endsWith(oldest), 'it leads to the oldest');
    // As if each queued task had been blocked until both lists were read.
    await page.route(/status=blocked/, async (route) => {
      await route.fulfill({ response: await route.fetch({ url: route.request().url().replace('blocked', 'queued') }) });
    });
    await page.reload();
    await shown(...stuck, away);
    t.strictSame(faults, []);
  });

  await t.test('a task is found by the first digits of its ID; digits of several say so', async (t) => {
    const { task_id: id } = await hub.api.tasks.submit({ description: 'In a log', needed_capabilities: ['none'] });
    const find = page.getByRole('searchbox', { name: /^Find a task/ });
    await find.fill(id.slice('task-'.length, -4).toUpperCase());
    await find.press('Enter');
    await page.getByRole('heading', { name: id }).waitFor();
    t.equal(await find.inputValue(), '');
    await find.fill(id.slice(0, 'task-'.length + 4));
    await find.press('Enter');
    await page.getByText(`More than one task has an ID that begins with ${id.slice(0, 9)}. Add digits.`).waitFor();
    // The last two are pages of the API beside those of the tasks.
    for (const other of ['task-00000000000000000000000000000000', 'stats', 'dead-letter']) {
      await find.fill(other);
      await find.press('Enter');
      await page.getByText(`${other} was removed, or never existed.`).waitFor();
    }
  });

  await t.test('a task can still be found at 200 % zoom', async (t) => {
    await page.setViewportSize({ width: ZOOMED_PX, height: 400 });
    await page.getByRole('searchbox', { name: /^Find a task/ }).waitFor();
    await page.getByRole('link', { name: 'AgentCom' }).waitFor();
    t.ok(((await page.evaluate('document.documentElement.scrollWidth - innerWidth')) as number) <= 0, 'it fits the width');
    await page.setViewportSize({ width: 1_280, height: 800 });
  });

  await t.test('from the page of an agent to the tasks that it failed, and to those that need a capability', async (t) => {
    for (let n = 0; n < AGENTS; n += 1) {
      const agent = await hub.agent(`agent-${n}`, { capabilities: [`zone-${n}`] });
      const { task_id } = await hub.api.tasks.submit({ description: `Left by ${n}`, needed_capabilities: [`zone-${n}`], max_retries: 0 });
      const { generation } = await agent.frame('task_assign');
      agent.send({ type: 'task_failed', task_id, generation, error: 'no' });
      await hub.api.tasks.wait(task_id);
    }
    await goTo('agents/agent-1');
    await page.getByRole('link', { name: 'Tasks it failed' }).click();
    await texts.getByText('Left by 1').waitFor();
    t.strictSame(await texts.allInnerTexts(), ['Left by 1']);
    await page.getByLabel('Failed by').fill('');
    await page.getByLabel('Needs').fill('zone-2');
    await page.getByLabel('Needs').press('Enter');
    await texts.getByText('Left by 2').waitFor();
    t.strictSame(await texts.allInnerTexts(), ['Left by 2']);
  });

  await t.test('from the page of a task, and from the tokens, to the tasks of one submitter', async (t) => {
    const { id: tokenId, token } = await hub.api.tokens.create({ name: 'ci', role: 'submitter' });
    const ci = hubClient({ url: hub.url, token: token ?? '' });
    const { task_id: id } = await ci.tasks.submit({ description: 'From CI', needed_capabilities: ['none'] });
    await ci.tasks.submit({ description: 'Urgent from CI', needed_capabilities: ['none'], priority: 'urgent' });
    await goTo(`tasks/${id}`);
    await page.getByRole('link', { name: tokenId }).click();
    await texts.getByText('Urgent from CI').waitFor();
    t.strictSame(await texts.allInnerTexts(), ['Urgent from CI', 'From CI']);
    t.ok(page.url().endsWith(`#/tasks?submitted_by=${tokenId}`), 'the filter is in the URL');
    await page.getByLabel('Priority').selectOption('urgent');
    await page.getByText('1 task', { exact: true }).waitFor();
    t.strictSame(await texts.allInnerTexts(), ['Urgent from CI']);
    await page.getByLabel('Priority').selectOption('any');
    await page.getByLabel('Submitted by').fill('tok-nobody');
    await page.getByLabel('Submitted by').press('Enter');
    await page.getByText('No task matches these filters.').waitFor();
    await goTo('tokens');
    await page.locator(`[data-token="${tokenId}"]`).getByRole('link', { name: 'Tasks it submitted' }).click();
    await texts.getByText('Urgent from CI').waitFor();
    t.equal(await page.getByLabel('Submitted by').inputValue(), tokenId);
  });

  await t.test('the list of agents can be searched', async (t) => {
    await goTo('agents');
    await page.getByLabel('Name or capability').fill('ZONE-1');
    await page.getByLabel('Name or capability').press('Enter');
    await page.getByText('agent-2').waitFor({ state: 'hidden' });
    t.strictSame(await page.locator('.agent-name').allInnerTexts(), ['agent-1']);
  });

  await t.test('selected agents are drained with a limit; what the hub refused is counted apart from missing answers', async (t) => {
    const gone = await hub.agent('agent-9');
    await goTo('agents');
    gone.leave();
    const card = (id: string) => page.locator('.agent-card', { hasText: id });
    await card('agent-9').locator('.badge', { hasText: 'offline' }).waitFor();
    await page.keyboard.press('j');
    t.equal(await page.evaluate('document.activeElement.innerText'), 'agent-0');
    await page.keyboard.press('x');
    await page.keyboard.press('j');
    await page.keyboard.press('x');
    await page.getByRole('checkbox', { name: 'Select agent-9' }).click();
    await page.getByText('3 selected').waitFor();
    await page.locator('.bulk-bar').getByRole('button', { name: 'Drain…' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('This will drain 3 agents.').waitFor();
    await dialog.getByLabel('Finish runs').selectOption('within 10 minutes');
    await hub.api.tokens.revoke('agent-9');
    await hub.api.agents.remove('agent-9');
    // The hub executes the request, and its answer is lost.
    const lost = '**/api/agents/agent-1/drain';
    await page.route(lost, async (route) => {
      await route.fetch();
      await route.abort('connectionreset');
    });
    await dialog.getByRole('button', { name: 'Drain 3 agents' }).click();
    await dialog.getByText('1 of 3 drained, 1 refused, 1 without an answer.').waitFor();
    await dialog.getByText('The hub may have drained those without an answer.').waitFor();
    await dialog.getByText('There is no agent "agent-9".').waitFor();
    await page.unroute(lost);
    await dialog.getByRole('button', { name: 'Close' }).click();
    await page.getByText('All that match:').waitFor();
    await card('agent-9').waitFor({ state: 'detached' });
    for (const id of ['agent-0', 'agent-1']) {
      const agent = await hub.api.agents.get(id);
      t.equal(agent.draining, true, id);
      t.ok(Number(agent.drain_until) > Date.now() + 500_000, 'with the limit');
    }
    t.equal((await hub.api.agents.get('agent-2')).draining, false);
  });

  await t.test('all agents that match a filter are resumed; the others are left alone', async (t) => {
    await goTo('agents?text=agent-');
    await page.locator('.bulk-bar').getByRole('button', { name: 'Resume…' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('This will resume 2 agents.').waitFor();
    await dialog.getByText('1 agent left alone. Only drained or paused agents can be resumed.').waitFor();
    await dialog.getByRole('button', { name: 'Resume 2 agents' }).click();
    await dialog.getByText('2 of 2 resumed.').waitFor();
    await page.keyboard.press('Escape');
    for (const id of ['agent-0', 'agent-1']) {
      await page.locator('.agent-card', { hasText: id }).locator('.badge', { hasText: 'draining' }).waitFor({ state: 'detached' });
      t.equal((await hub.api.agents.get(id)).draining, false, id);
    }
  });

  await t.test('the keys of a list work after a click on a checkbox', async (t) => {
    await goTo('tasks');
    await page.locator('.task-row').first().waitFor();
    await page.getByRole('checkbox').nth(1).click();
    await page.keyboard.press('j');
    t.equal(await page.evaluate('document.activeElement.id'), 'row-0');
    await page.keyboard.press('x');
    await page.getByText('2 selected').waitFor();
  });

  t.strictSame(faults, []);
}
