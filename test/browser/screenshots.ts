/**
 * `npm run screenshots`: each page of the dashboard, light and dark, on a desktop and on a phone, of a hub with a small fleet at work.
 * Writes PNG files into `data/screenshots`.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import t from 'tap';
import { makeWorld, type World } from '../apps/app-world.ts';
import { ROOT } from '../architecture/cruise.ts';
import { goTo } from './browser-room.ts';
import { signIn, startChromium, watchedPage } from './chromium.ts';

const FOLDER = join(ROOT, 'data/screenshots');
const TIMEOUT_MS = 300_000;
/** Until the data of a page is there, milliseconds. */
const SETTLED_MS = 1_500;
const SIZES = { desktop: { width: 1_280, height: 800 }, phone: { width: 390, height: 844 } } as const;

const WORK = [
  'Fix the flaky test in the payment service',
  'Upgrade the TypeScript compiler and fix what breaks',
  'Write release notes for 4.2',
  'Find the memory leak in the image worker',
  'Translate the onboarding pages to German',
  'Check the migration on the staging database',
  'Review the pull request about rate limits',
  'Remove the feature flag new-checkout',
];

t.setTimeout(TIMEOUT_MS);
t.test('screenshots', { timeout: TIMEOUT_MS }, async (t) => {
  mkdirSync(FOLDER, { recursive: true });
  const world = await makeWorld(t);
  const origin = `http://127.0.0.1:${world.port}`;
  const room = { world, origin, hub: await world.startHub() };
  const failed = await fleetAtWork(world);
  const browser = await startChromium();
  t.teardown(() => browser.close());
  const places = {
    overview: '',
    tasks: 'tasks',
    task: `tasks/${failed}`,
    agents: 'agents',
    agent: 'agents/build-1',
    'dead-letters': 'dead-letters',
    submit: 'submit',
  };
  for (const theme of ['light', 'dark'] as const) {
    for (const [size, pixels] of Object.entries(SIZES)) {
      const { page } = await watchedPage(t, browser, origin, { ...pixels, theme });
      const shoot = async (name: string, page: Page): Promise<void> => {
        await page.screenshot({ path: join(FOLDER, `${name}-${size}-${theme}.png`), fullPage: size === 'phone' && name !== 'tasks' });
      };
      await page.goto(`${origin}/dashboard`);
      await page.getByLabel('Token').waitFor();
      await shoot('sign-in', page);
      await signIn(page, origin, world.adminToken);
      for (const [name, place] of Object.entries(places)) {
        await goTo(page, { ...room, browser }, place);
        await page.waitForTimeout(SETTLED_MS);
        await shoot(name, page);
      }
    }
  }
  t.comment(`written to ${FOLDER}`);
});

/** Some agents at work, some that cannot, a queue, failures. Resolves to a task that failed. */
async function fleetAtWork(world: World): Promise<string> {
  const { api } = world;
  const agents = ['build-1', 'build-2', 'docs-1', 'gpu-1'];
  for (const agent of agents) {
    const capabilities = agent.startsWith('docs') ? ['docs'] : agent.startsWith('gpu') ? ['code', 'gpu'] : ['code'];
    await world.startSidecar(agent, { capabilities, extra: 'slots: 2,' });
  }
  const submit = (description: string, more: Readonly<Record<string, unknown>>) =>
    api.tasks.submit({ description, needed_capabilities: ['code'], ...more });
  for (const [at, text] of WORK.entries())
    await submit(text, { metadata: { ms: 300 + 150 * at }, priority: at % 3 === 0 ? 'high' : 'normal' });
  let failed = '';
  for (const table of ['orders', 'customers', 'invoices']) {
    const reason = 'psql: connection refused: is the server running on db-staging?';
    failed = (await submit(`Check the migration of ${table}`, { max_retries: 0, metadata: { fail: reason, ms: 0 } })).task_id;
  }
  await submit('Publish the package', {
    max_retries: 0,
    metadata: { fail: 'npm: 403 Forbidden: you may not publish this package', ms: 0 },
  });
  await world.event(failed, ['dead_lettered']);
  for (const text of WORK.slice(0, 5)) await submit(text, { priority: 'high' });
  await api.agents.drain('build-2');
  for (const text of WORK) await submit(text, { priority: text.length % 2 === 0 ? 'urgent' : 'low' });
  await submit('Train the classifier on the new data', { needed_capabilities: ['gpu', 'a100'] });
  await submit('Publish the release notes', { run_at: Date.now() + 3_600_000 });
  return failed;
}
