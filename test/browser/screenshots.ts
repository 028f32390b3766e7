/**
 * `npm run screenshots`: each page of the dashboard, light and dark, on a desktop and on a phone: of a new hub, of one
 * with a busy small fleet, and with text as long and hostile as possible. Writes PNG files into `data/screenshots`.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import t from 'tap';
import { makeWorld, type World } from '../apps/app-world.ts';
import { ROOT } from '../architecture/cruise.ts';
import { goTo } from './browser-room.ts';
import { HOSTILE_TEXT } from './hostile-texts.ts';
import { signIn, startChromium, watchedPage } from './chromium.ts';

const FOLDER = join(ROOT, 'data/screenshots');
const TIMEOUT_MS = 300_000;
/** How long the data of a page may take to appear, in milliseconds. */
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
  const browser = await startChromium();
  t.teardown(() => browser.close());
  const shootAll = async (places: Readonly<Record<string, string>>): Promise<void> => {
    for (const theme of ['light', 'dark'] as const) {
      for (const [size, pixels] of Object.entries(SIZES)) {
        const { page, context } = await watchedPage(t, browser, origin, { ...pixels, theme });
        const shoot = async (name: string, page: Page): Promise<void> => {
          await page.screenshot({
            path: join(FOLDER, `${name}-${size}-${theme}.png`),
            fullPage: size === 'phone' && !name.endsWith('tasks'),
          });
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
        await context.close();
      }
    }
  };
  await shootAll({ 'empty-overview': '', 'empty-tasks': 'tasks', 'empty-agents': 'agents', 'empty-dead-letters': 'dead-letters' });
  const { failed, running } = await fleetAtWork(world);
  await shootAll({
    overview: '',
    tasks: 'tasks',
    task: `tasks/${failed}`,
    'running-task': `tasks/${running}`,
    agents: 'agents',
    agent: 'agents/build-1',
    'dead-letters': 'dead-letters',
    submit: 'submit',
    audit: 'audit',
    tokens: 'tokens',
  });
  const hostile = await hostileWork(world);
  await shootAll({
    'hostile-overview': '',
    'hostile-tasks': 'tasks',
    'hostile-task': `tasks/${hostile}`,
    'hostile-agents': 'agents',
    'hostile-agent': `agents/${LONG_ID}`,
    'hostile-dead-letters': 'dead-letters',
    'hostile-audit': 'audit',
    'hostile-tokens': 'tokens',
  });
  t.comment(`written to ${FOLDER}`);
});

const TALKING = { argv: [process.execPath, join(import.meta.dirname, 'talking-agent.mjs')] };
const TEST_RUN = `> payments@4.2.0 test
> vitest run

 ✓ src/charge.test.ts (14 tests) 212 ms
 ✓ src/refund.test.ts (9 tests) 187 ms
 ❯ src/webhook.test.ts (6 tests | 1 failed) 1,204 ms
   × retries a webhook that timed out 1,001 ms
     → expected 3 attempts, got 2`;
const MIGRATION = {
  out: 'Connecting to db-staging:5432 as migrator',
  err: `psql: error: connection to server at "db-staging" (10.4.0.17), port 5432 failed: Connection refused
\tIs the server running on that host and accepting TCP/IP connections?`,
  fails: true,
};
const NAME_CHARACTERS_MAX = 128;
/** The maximum length of an ID. */
const LONG_ID = 'an-agent-with-a-name-as-long-as-a-name-may-be-on-a-build-machine';

/** Some busy agents, some that cannot work, a queue, failures. Resolves to a failed task, and a running one. */
async function fleetAtWork(world: World): Promise<{ readonly failed: string; readonly running: string }> {
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
  for (const agent of ['db-1', 'tests-1']) await world.startSidecar(agent, { ...TALKING, capabilities: [agent.split('-')[0] ?? ''] });
  let failed = '';
  for (const table of ['orders', 'customers', 'invoices']) {
    const task = { max_retries: 0, metadata: MIGRATION, needed_capabilities: ['db'] };
    failed = (await submit(`Check the migration of ${table}`, task)).task_id;
    await world.event(failed, ['dead_lettered']);
  }
  const { task_id: running } = await submit('Fix the flaky webhook test in the payment service', {
    needed_capabilities: ['tests'],
    metadata: { out: TEST_RUN, err: '(node:4711) [DEP0040] DeprecationWarning: The `punycode` module is deprecated.' },
  });
  await submit('Publish the package', {
    max_retries: 0,
    metadata: { fail: 'npm: 403 Forbidden: you may not publish this package', ms: 0 },
  });
  for (const text of WORK.slice(0, 5)) await submit(text, { priority: 'high' });
  await api.agents.drain('build-2');
  for (const text of WORK) await submit(text, { priority: text.length % 2 === 0 ? 'urgent' : 'low' });
  await submit('Train the classifier on the new data', { needed_capabilities: ['gpu', 'a100'] });
  await submit('Publish the release notes', { run_at: Date.now() + 3_600_000 });
  return { failed, running };
}

/** Resolves to a task whose every text is hostile. */
async function hostileWork(world: World): Promise<string> {
  const noSpaces = 'x'.repeat(300);
  await world.api.tokens.create({ name: HOSTILE_TEXT.slice(0, NAME_CHARACTERS_MAX), role: 'viewer' });
  await world.startSidecar(LONG_ID, { ...TALKING, capabilities: ['long', noSpaces.slice(0, 64)], extra: 'slots: 2,' });
  await world.api.tasks.submit({ description: noSpaces, needed_capabilities: ['long'], metadata: { out: noSpaces, err: HOSTILE_TEXT } });
  const { task_id: id } = await world.api.tasks.submit({
    description: HOSTILE_TEXT,
    needed_capabilities: ['long'],
    repo: HOSTILE_TEXT,
    branch: noSpaces,
    max_retries: 0,
    metadata: { out: `${noSpaces}\n${HOSTILE_TEXT}`, err: HOSTILE_TEXT, fails: true },
    assign_to: LONG_ID,
  });
  return id;
}
