/** What an operator does, from signing in to signing out. */
import type { Test } from 'tap';
import { badge, goTo, type BrowserRoom } from './browser-room.ts';
import { signIn, watchedPage } from './chromium.ts';
import { gate } from '../rig/gate.ts';

const FIRST_PAINT_MAX_MS = 2_000;
const TWO_DAYS_MS = 172_800_000;

export async function journeys(t: Test, room: BrowserRoom): Promise<void> {
  const { world, browser, origin } = room;
  const { page, faults } = await watchedPage(t, browser, origin);

  await t.test('an invalid token is refused with a reason, and a valid one opens the overview', async (t) => {
    await page.goto(origin);
    t.equal(new URL(page.url()).pathname, '/dashboard', 'the URL of the hub leads to the dashboard');
    const paintMs = (await page.evaluate(`new Promise((resolve) => {
      new PerformanceObserver((list) => {
        for (const paint of list.getEntriesByName('first-contentful-paint')) resolve(paint.startTime);
      }).observe({ type: 'paint', buffered: true });
    })`)) as number;
    t.comment(`first paint: ${Math.round(paintMs)} ms`);
    t.ok(paintMs < FIRST_PAINT_MAX_MS, `under ${FIRST_PAINT_MAX_MS} ms`);
    await page.getByLabel('Token').fill('not-the-token');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('This token is not valid').waitFor();
    await signIn(page, origin, world.adminToken);
    await page.getByRole('heading', { name: 'Needs attention' }).waitFor();
    t.equal(await page.evaluate('document.cookie'), '', 'no script can read the cookie');
    const kept = (await page.evaluate('JSON.stringify([localStorage, sessionStorage])')) as string;
    t.notOk(kept.includes(world.adminToken), 'the token is not stored');
  });

  await t.test('a submitted task is shown running and completing, live', async (t) => {
    await goTo(page, room, 'submit');
    await page.getByLabel('What should the agent do?').fill('Count the samples');
    await page.getByLabel('Needs these capabilities').fill('code');
    await page.getByRole('button', { name: 'Submit', exact: true }).click();
    await badge(page, 'running').waitFor();
    const id = decodeURIComponent(page.url().split('/').at(-1) ?? '');
    world.release(id);
    await badge(page, 'completed').waitFor();
    await page.locator('[data-event="completed"]').waitFor();
    t.match(await page.locator('.panel', { hasText: 'Result' }).first().innerText(), /"pid": \d+/);
  });

  await t.test('a failed task can be found from the overview, with its reason, and retried', async (t) => {
    const { task_id: id } = await world.api.tasks.submit({
      description: 'Migrate the table',
      needed_capabilities: ['code'],
      max_retries: 0,
      metadata: { fail: 'no such table: orders_2024', ms: 0 },
    });
    await goTo(page, room, '');
    await page.getByText('1 task has failed').waitFor();
    await page.getByRole('link', { name: 'See why' }).click();
    await page.getByRole('heading', { name: /no such table/ }).waitFor();
    await page.getByRole('link', { name: 'Migrate the table' }).click();
    await badge(page, 'dead letter').waitFor();
    await page.locator('.callout', { hasText: 'no such table: orders_2024' }).waitFor();
    await page.getByRole('button', { name: 'Retry' }).click();
    await page.locator('[data-event="retried"]').waitFor();
    await world.event(id, ['dead_lettered'], 30_000, (data) => Number(data['generation'] ?? 0) >= 0);
    t.equal((await world.history(id)).filter((name) => name === 'retried').length, 1);
  });

  await t.test('a running task is cancelled, and the page shows when its agent has stopped', async (t) => {
    const { task_id: id } = await world.api.tasks.submit({ description: 'Runs for long', needed_capabilities: ['code'] });
    await goTo(page, room, `tasks/${id}`);
    await badge(page, 'running').waitFor();
    await page.getByRole('button', { name: 'Cancel…' }).click();
    await page.getByRole('dialog').getByText('Its run on').waitFor();
    await page.getByRole('button', { name: 'Cancel the task' }).click();
    await badge(page, 'cancelled').waitFor();
    await page.locator('[data-event="stop_confirmed"]').waitFor();
    t.equal((await world.api.tasks.get(id)).status, 'cancelled');
  });

  await t.test('an agent is drained and resumed; meanwhile a task shows why it waits', async (t) => {
    await goTo(page, room, 'agents');
    await page.locator('.agent-card').getByRole('button', { name: 'Drain…' }).click();
    await page.getByRole('button', { name: 'Drain', exact: true }).click();
    await page.locator('.agent-card .badge', { hasText: 'draining' }).waitFor();
    t.match(await page.evaluate('document.activeElement.innerText'), /^(Drain…|Resume)$/, 'the button has the focus again');
    const { task_id: id } = await world.api.tasks.submit({ description: 'Waits', needed_capabilities: ['code'], metadata: { ms: 0 } });
    await goTo(page, room, `tasks/${id}`);
    await page.getByText('is draining and accepts no new tasks').waitFor();
    await goTo(page, room, 'agents/worker-1');
    await page.getByRole('button', { name: 'Resume' }).click();
    await world.event(id, ['completed']);
    await badge(page, 'idle').waitFor();
    t.equal((await world.api.agents.get('worker-1')).draining, false);
  });

  await t.test('many tasks are cancelled at once after a preview', async (t) => {
    await world.api.tasks.submitMany(
      Array.from({ length: 30 }, (_, at) => ({ description: `Nobody can do ${at}`, needed_capabilities: ['gpu'] })),
    );
    await goTo(page, room, '');
    await page.getByText('No agent has "gpu"').waitFor();
    await goTo(page, room, 'tasks');
    await page.getByLabel('Text').fill('do 17');
    // The counts on the page are read again meanwhile: the user's input must stay.
    await world.api.tasks.submit({ description: 'Changes the counts', needed_capabilities: ['gpu'], priority: 'low' });
    await page.getByRole('button', { name: 'queued 31' }).waitFor();
    await page.getByLabel('Text').press('Enter');
    await page.getByText('1 task', { exact: true }).waitFor();
    await page.getByRole('link', { name: /Nobody can do 17/ }).waitFor();
    t.match(page.url(), /text=do\+17/, 'the filter is in the URL');
    await goTo(page, room, 'tasks?status=queued');
    await page.getByRole('link', { name: /Nobody can do 29/ }).waitFor();
    await page.getByRole('button', { name: 'Cancel…' }).click();
    await page.getByText('This will cancel 31 tasks.').waitFor();
    await page.getByRole('button', { name: 'Cancel 31 tasks' }).click();
    await page.getByText('31 of 31 cancelled.').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
    await page.getByText('No task matches these filters.').waitFor();
    t.equal((await world.api.tasks.stats())['queued'], 0);
    const { task_id: id } = await world.api.tasks.submit({ description: 'Queued later', needed_capabilities: ['gpu'] });
    await page.getByRole('link', { name: /Queued later/ }).waitFor();
    await world.api.tasks.cancel(id);
    await page.getByText('No task matches these filters.').waitFor();
  });

  await t.test('a bulk action counts refusals by the hub apart from missing answers', async (t) => {
    const submit = async (description: string) => (await world.api.tasks.submit({ description, needed_capabilities: ['gpu'] })).task_id;
    const [before, unheard] = [await submit('Is cancelled before'), await submit('Loses its answer')];
    await submit('Is cancelled');
    await goTo(page, room, 'tasks?status=queued');
    await page.getByRole('link', { name: /Loses its answer/ }).waitFor();
    await page.getByRole('button', { name: 'Cancel…' }).click();
    await page.getByText('This will cancel 3 tasks.').waitFor();
    await world.api.tasks.cancel(before);
    // The hub executes the request, and its answer is lost.
    const lost = `**/api/tasks/${unheard}/cancel`;
    await page.route(lost, async (route) => {
      await route.fetch();
      await route.abort('connectionreset');
    });
    await page.getByRole('button', { name: 'Cancel 3 tasks' }).click();
    await page.getByText('1 of 3 cancelled, 1 refused, 1 without an answer.').waitFor();
    await page.getByText('The hub may have cancelled those without an answer.').waitFor();
    t.equal((await world.api.tasks.get(unheard)).status, 'cancelled', 'it has');
    await page.unroute(lost);
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
    await page.getByText('No task matches these filters.').waitFor();
  });

  await t.test('a bulk action waits for a hub that does not answer', async (t) => {
    await world.api.tasks.submitMany(
      Array.from({ length: 20 }, (_, at) => ({ description: `In turn ${at}`, needed_capabilities: ['gpu'] })),
    );
    await goTo(page, room, 'tasks?status=queued');
    await page.getByRole('link', { name: /In turn 19/ }).waitFor();
    await page.getByRole('button', { name: 'Cancel…' }).click();
    const api = '**/api/{tasks/*/cancel,whoami}';
    await page.route(api, (route) => route.abort('connectionrefused'));
    const asked = page.waitForRequest('**/api/whoami');
    await page.getByRole('button', { name: 'Cancel 20 tasks' }).click();
    await asked;
    await page.getByText('0 of 20 cancelled, 4 without an answer…').waitFor();
    await page.waitForRequest('**/api/whoami');
    t.equal(await page.getByText('0 of 20 cancelled, 4 without an answer…').count(), 1, 'it sends no others meanwhile');
    await page.unroute(api);
    await page.getByText('16 of 20 cancelled, 4 without an answer.').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
    await page.getByRole('button', { name: 'Cancel…' }).click();
    await page.getByRole('button', { name: 'Cancel 4 tasks' }).click();
    await page.getByText('4 of 4 cancelled.').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
    await page.getByText('No task matches these filters.').waitFor();
  });

  await t.test('keyboard: go to the tasks, down the list, into a task, and to the shortcuts', async (t) => {
    await goTo(page, room, '');
    await page.keyboard.press('g');
    await page.keyboard.press('t');
    await page.getByRole('list', { name: 'Tasks, newest first' }).waitFor();
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Timeline' }).waitFor();
    t.equal(await page.evaluate('document.activeElement?.id'), 'main', 'the focus is on the new page');
    t.match(await page.title(), /^task-[0-9a-f]+ · AgentCom$/, 'the title tells tabs apart');
    const time = page.locator('.timeline-time').first();
    t.match(await time.getAttribute('title'), /^\d+ \w+ \d{4}, \d\d:\d\d:\d\d \S+/, 'a time has its date and its zone');
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    await page.keyboard.press('Escape');
    t.equal(await page.getByRole('dialog').count(), 0);
  });

  await t.test('the timeline of a task of another day shows the date', async (t) => {
    const { tasks } = await world.api.tasks.list({ status: 'completed' });
    await page.route('**/api/whoami', async (route) => {
      const response = await route.fetch();
      const answer = (await response.json()) as { readonly server_time: number };
      await route.fulfill({ response, json: { ...answer, server_time: answer.server_time + TWO_DAYS_MS } });
    });
    await goTo(page, room, `tasks/${tasks[0]?.id ?? ''}`);
    await page.getByRole('heading', { name: 'Timeline' }).waitFor();
    await page.locator('.timeline-day').waitFor({ state: 'detached' });
    await page.reload();
    await page.locator('.timeline-day').waitFor();
    t.match(await page.locator('.timeline-day').innerText(), /^\d+ \w+ \d{4}$/);
    await page.unroute('**/api/whoami');
    await page.reload();
  });

  await t.test('keyboard: on the list of tasks, Enter activates what has the focus', async (t) => {
    await goTo(page, room, 'tasks');
    await page.getByRole('list', { name: 'Tasks, newest first' }).waitFor();
    await page.keyboard.press('j');
    await page.getByRole('link', { name: 'Agents', exact: true }).press('Enter');
    await page.getByText('worker-1').first().waitFor();
    t.match(page.url(), /#\/agents$/);
  });

  await t.test('a task that is submitted while the list is read appears as well', async (t) => {
    await goTo(page, room, 'tasks');
    await page.getByRole('list', { name: 'Tasks, newest first' }).waitFor();
    const { opened: held, open: release } = gate();
    const { opened: isRead, open: onRead } = gate();
    let reads = 0;
    await page.route(/\/api\/tasks\?.*limit=100/, async (route) => {
      reads += 1;
      const response = await route.fetch();
      // The hub has answered without the second task, and the page has not received the answer yet.
      onRead();
      if (reads === 1) await held;
      await route.fulfill({ response });
    });
    const submit = async (description: string) => (await world.api.tasks.submit({ description, needed_capabilities: ['gpu'] })).task_id;
    const first = await submit('Before the read');
    await isRead;
    const second = await submit('During the read');
    await page.getByRole('button', { name: 'queued 2' }).waitFor();
    release();
    await page.getByRole('link', { name: 'During the read' }).waitFor();
    t.ok(reads >= 2);
    await page.unroute(/\/api\/tasks\?.*limit=100/);
    for (const id of [first, second]) await world.api.tasks.cancel(id);
  });

  await t.test('a draft survives leaving the page, and an invalid field that is folded away is shown', async (t) => {
    await goTo(page, room, 'submit');
    const description = page.getByLabel('What should the agent do?');
    await description.fill('A long description');
    await goTo(page, room, 'agents');
    await goTo(page, room, 'submit');
    t.equal(await description.inputValue(), 'A long description');
    const folded = page.locator('details', { hasText: 'When and how often' });
    await folded.locator('summary').click();
    await page.getByLabel('Retries').fill('');
    await folded.locator('summary').click();
    t.equal(await folded.getAttribute('open'), null);
    await page.getByRole('button', { name: 'Submit', exact: true }).click();
    t.equal(await folded.getAttribute('open'), '');
    await page.getByLabel('Retries').fill('3');
    await description.fill('');
  });

  await t.test('a description over the limit is refused with a reason, and kept, not cut', async (t) => {
    await goTo(page, room, 'submit');
    const description = page.getByLabel('What should the agent do?');
    await description.focus();
    // As if it was pasted.
    const pasted = `${'x'.repeat(200_000)} and the end`;
    await page.keyboard.insertText(pasted);
    await page.getByRole('button', { name: 'Submit', exact: true }).click();
    await page.getByRole('alert').getByText('must have at most 200000 characters, found 200012').waitFor();
    t.equal(await description.inputValue(), pasted);
    await description.fill('');
  });

  await t.test('during a hub restart the page shows that it is disconnected, and catches up by itself', async (t) => {
    const { task_id: id } = await world.api.tasks.submit({ description: 'Runs through a restart', needed_capabilities: ['code'] });
    await goTo(page, room, `tasks/${id}`);
    await badge(page, 'running').waitFor();
    await room.hub.kill('SIGKILL');
    await page.getByText('No connection to the hub').waitFor();
    const followed = page.waitForResponse((response) => response.url().includes('/api/events') && response.ok());
    room.hub = await world.startHub();
    await page.getByText('No connection to the hub').waitFor({ state: 'detached' });
    t.match((await followed).request().headers()['last-event-id'], /^\d+$/, 'the stream resumes after the last event');
    await page.getByText('live', { exact: true }).waitFor();
    world.release(id);
    await badge(page, 'completed').waitFor();
    t.equal(await page.getByText('live', { exact: true }).count(), 1, 'and nobody was signed out');
  });

  await t.test('signing out ends the session', async (t) => {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in to AgentCom' }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'Sign in to AgentCom' }).waitFor();
    t.strictSame(await page.context().cookies(), []);
  });

  await t.test('revoking a token ends its session while the page is open', async (t) => {
    const { id, token } = await world.api.tokens.create({ name: 'guest', role: 'viewer' });
    await signIn(page, origin, token ?? '');
    await goTo(page, room, 'agents');
    await page.getByText('worker-1').first().waitFor();
    t.equal(await page.getByRole('button', { name: 'Drain…' }).count(), 0, 'a viewer cannot act');
    await world.api.tokens.revoke(id);
    await page.getByText('Your session has ended, or its token was revoked.').waitFor();
  });

  await t.test('a draft is there again after signing in with the token that replaces the last one, for this user alone', async (t) => {
    const { id, token } = await world.api.tokens.create({ name: 'author', role: 'operator' });
    await signIn(page, origin, token ?? '');
    const description = page.getByLabel('What should the agent do?');
    const draftOf = async (other: string): Promise<string> => {
      await page.getByLabel('Token').fill(other);
      await page.getByRole('button', { name: 'Sign in' }).click();
      return description.inputValue();
    };
    await goTo(page, room, 'submit');
    await description.fill('A long description');
    const { token: next } = await world.api.tokens.rotate(id, { overlap_ms: 0 });
    await page.getByText('Your session has ended, or its token was revoked.').waitFor();
    t.equal(await draftOf(next ?? ''), 'A long description');
    await page.getByRole('button', { name: 'Sign out' }).click();
    t.equal(await draftOf(world.adminToken), '', 'another user has an empty form');
  });

  t.strictSame(faults, [], 'no error, no violation of the policy, no dialog, no request to another host');
}
