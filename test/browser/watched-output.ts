/** The output of an agent on the page of its task: live, harmless, across a restart of the hub, and in any amount. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Page } from 'playwright-core';
import type { Test } from 'tap';
import { runningHub, type RunningHubOptions } from '../apps/running-hub.ts';
import { badge, goTo, type BrowserRoom } from './browser-room.ts';
import { signIn, watchedPage } from './chromium.ts';

const PRINTING_AGENT = [process.execPath, resolve(import.meta.dirname, '../apps/printing-agent.mjs')];
const HOSTILE = '<img src=x onerror=alert(1)> \u001b[31mred \u202egpj.exe \u0007';
/** 5 MB in frames as large as a sidecar's. */
const FLOOD = { chunks: 330, characters: 16_384 };
/** The limit that the page guarantees: `WINDOW_MAX` of the dashboard. */
const WINDOW_MAX = { characters: 300_000, elements: 4_000 };
const ELEMENTS_OF_PAGE = 500;

type Step = { readonly out: string; readonly times?: number } | { readonly err: string } | { readonly until: string };
const steps = (...list: readonly Step[]): string => list.map((step) => JSON.stringify(step)).join('\n');

const log = (page: Page) => page.getByRole('log', { name: 'Output of the agents' });
const shownText = (page: Page): Promise<string> =>
  page.evaluate('[...document.querySelectorAll(".output-text")].map((each) => each.textContent).join("\\n")');
const linesLike = async (page: Page, pattern: RegExp): Promise<readonly string[]> =>
  (await shownText(page)).split('\n').filter((line) => pattern.test(line));

export async function liveOutput(t: Test, room: BrowserRoom): Promise<void> {
  const { world, browser, origin } = room;
  await world.startSidecar('printer', { capabilities: ['print'], argv: PRINTING_AGENT });
  const { page, faults, context } = await watchedPage(t, browser, origin);
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin });
  await signIn(page, origin, world.adminToken);
  const submit = async (description: string): Promise<string> => {
    await goTo(page, room, 'submit');
    await page.getByLabel('What should the agent do?').fill(description);
    await page.getByLabel('Needs these capabilities').fill('print');
    await page.getByRole('button', { name: 'Submit', exact: true }).click();
    await page.waitForURL(/#\/tasks\/task-/);
    return decodeURIComponent(page.url().split('/').at(-1) ?? '');
  };

  await t.test('agent output is shown live, across a hub restart, exactly once and without gaps', async (t) => {
    const [silent, go, again, end] = ['silent', 'go', 'again', 'end'].map((name) => join(world.dir, name)) as [
      string,
      string,
      string,
      string,
    ];
    const id = await submit(
      steps(
        { until: silent },
        { out: 'line 1' },
        { err: 'a warning' },
        { out: HOSTILE },
        { until: go },
        { out: 'line 2' },
        { until: again },
        { out: 'line 3' },
        { until: end },
        { out: 'line 4' },
      ),
    );
    await badge(page, 'running').waitFor();
    await page.getByText('No output yet.').waitFor();
    writeFileSync(silent, '');
    await log(page).getByText('line 1').waitFor();
    await page.locator('.output-tools').getByText('following').waitFor();
    t.equal((await world.api.tasks.get(id)).status, 'assigned', 'shown while it works');
    await page.locator('.output-chunk.is-stderr', { hasText: 'a warning' }).waitFor();
    t.match(await page.locator('.output-chunk.is-stderr').getAttribute('title'), /^stderr, \d/, 'its time is shown on hover');
    await page.locator('.output-run', { hasText: 'printer, generation 1' }).waitFor();
    for (const code of ['U+001B', 'U+202E', 'U+0007']) await log(page).locator('.mark', { hasText: code }).first().waitFor();
    t.equal(await page.evaluate('document.querySelectorAll(".output-log img").length'), 0, 'no text became an element');

    writeFileSync(go, '');
    await log(page).getByText('line 2').waitFor();
    await room.hub.kill('SIGTERM');
    await page.getByText('The hub does not answer.').first().waitFor();
    writeFileSync(again, '');
    room.hub = await world.startHub();
    await log(page).getByText('line 3').waitFor();
    writeFileSync(end, '');
    await badge(page, 'completed').waitFor();
    await log(page).getByText('line 4').waitFor();
    await page.locator('.output-tools').getByText('following').waitFor({ state: 'detached' });
    t.strictSame(await linesLike(page, /^line \d$/), ['line 1', 'line 2', 'line 3', 'line 4'], 'each once, in order');
    t.equal(await page.locator('.output-missing').count(), 0, 'and nothing is missing');
    t.equal(await page.getByText('Trying again…').count(), 0);
  });

  await t.test('output is filtered, searched, copied and downloaded', async (t) => {
    await page.getByLabel('Stream').selectOption('stderr');
    await log(page).getByText('line 1').waitFor({ state: 'detached' });
    t.equal((await shownText(page)).trim(), 'a warning');
    await page.getByLabel('Stream').selectOption('all');
    await page.getByLabel('Search the output').fill('LINE');
    await page.getByText('4 lines with this text.').waitFor();
    t.equal(await log(page).locator('mark').count(), 4, 'each hit is marked');
    await page.getByLabel('Search the output').fill('(never printed');
    await page.getByText('No line of it matches.').waitFor();
    await page.getByLabel('Search the output').fill('');
    await page.getByRole('button', { name: 'Copy', exact: true }).click();
    await page.getByText('The output is copied.').waitFor();
    t.ok(((await page.evaluate('navigator.clipboard.readText()')) as string).includes(HOSTILE), 'copied verbatim');
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()]);
    t.match(download.suggestedFilename(), /^task-[0-9a-f]+\.log$/);
    const file = readFileSync(await download.path(), 'utf8');
    t.ok(file.includes(`${HOSTILE}\n`) && file.endsWith('line 4\n'), 'downloaded verbatim');
  });

  await t.test('without documentation a user can submit a task, watch its output, cancel it and see its agent stop', async (t) => {
    const id = await submit(steps({ out: 'working on it' }, { until: join(world.dir, 'never') }));
    await log(page).getByText('working on it').waitFor();
    await page.getByRole('button', { name: 'Cancel…' }).click();
    await page.getByRole('button', { name: 'Cancel the task' }).click();
    await badge(page, 'cancelled').waitFor();
    await page.locator('[data-event="stop_confirmed"]').waitFor();
    t.equal((await world.api.tasks.get(id)).status, 'cancelled');
    t.equal(await log(page).getByText('working on it').count(), 1, 'its output stays');
  });

  await t.test('the reason an agent failed is shown at once, on the task and in the dead letters', async () => {
    const script = 'console.error("Traceback: no module named torch"); setTimeout(() => process.exit(3), 50)';
    await world.startSidecar('crasher', { capabilities: ['crash'], argv: [process.execPath, '-e', script] });
    const { task_id: id } = await world.api.tasks.submit({ description: 'Crashes', needed_capabilities: ['crash'], max_retries: 0 });
    await goTo(page, room, `tasks/${id}`);
    await badge(page, 'dead letter').waitFor();
    await page.locator('.callout.is-bad', { hasText: 'End of standard error' }).getByText('Traceback: no module named torch').waitFor();
    await goTo(page, room, 'dead-letters');
    await page.locator('.dead-group', { hasText: 'Crashes' }).getByText('Traceback: no module named torch').waitFor();
  });
  t.strictSame(faults, [], 'no error, no violation of the policy, no dialog, no request to another host');

  await t.test('leaving a page ends its wait for output', async (t) => {
    const id = await submit(steps({ out: 'working' }, { until: join(world.dir, 'left') }));
    await log(page).getByText('working').waitFor();
    const aborted = page.waitForEvent('requestfailed', (request) => request.url().includes(`${id}/output/wait`));
    await goTo(page, room, 'tasks');
    t.match((await aborted).failure()?.errorText, /ABORTED/);
    writeFileSync(join(world.dir, 'left'), '');
    await world.event(id, ['completed']);
  });
}

export async function muchOutput(t: Test, { browser }: BrowserRoom): Promise<void> {
  await t.test('5 MB of output keep the page small, and are read page by page', async (t) => {
    const hub = await runningHub({ limits: { outputBytes: 8_000_000, frameBytes: 2_000_000 } });
    t.teardown(() => hub.stop());
    const agent = await hub.agent('flood');
    const { task_id: id } = await hub.api.tasks.submit({ description: 'Prints 5 MB', max_retries: 0 });
    await agent.frame('task_assign');
    agent.send({ type: 'task_accepted', task_id: id, generation: 1 });
    const { page, faults } = await watchedPage(t, browser, hub.url);
    await signIn(page, hub.url, hub.adminToken);
    await page.goto(`${hub.url}/dashboard#/tasks/${id}`);
    await page.getByText('No output yet.').waitFor();
    const lines = FLOOD.characters / 64;
    for (let seq = 0; seq < FLOOD.chunks; seq += 1) {
      const text = Array.from({ length: lines }, (_, at) => `${seq}/${at} `.padEnd(63, 'x')).join('\n');
      agent.send({ type: 'task_output', task_id: id, generation: 1, seq, stream: 'stdout', text });
    }
    // A wall of escapes: each could become an element.
    const wall = 'e\u001b'.repeat(8_000);
    for (let seq = FLOOD.chunks; seq < FLOOD.chunks + 20; seq += 1)
      agent.send({ type: 'task_output', task_id: id, generation: 1, seq, stream: 'stderr', text: `wall ${seq} ${wall}` });
    agent.send({ type: 'task_complete', task_id: id, generation: 1, result: 'done' });
    await badge(page, 'completed').waitFor();
    await log(page)
      .getByText(`wall ${FLOOD.chunks + 19}`)
      .waitFor();

    const total = FLOOD.chunks + 20;
    const isBounded = async (where: string): Promise<void> => {
      const characters = (await shownText(page)).length;
      const elements = (await page.evaluate('document.querySelectorAll("*").length')) as number;
      t.comment(`${where}: ${characters} characters, ${elements} elements`);
      t.ok(characters > 10_000 && characters < WINDOW_MAX.characters + total, `${where}: ${characters} characters`);
      t.ok(elements < WINDOW_MAX.elements + ELEMENTS_OF_PAGE, `${where}: ${elements} elements`);
    };
    await isBounded('at the end');
    const chunksShown = (): Promise<readonly number[]> =>
      page.evaluate('[...document.querySelectorAll("[data-n]")].map((each) => Number(each.dataset.n))');
    t.equal((await chunksShown()).at(-1), total);
    let first = (await chunksShown())[0] ?? 0;
    for (let pages = 0; first > 1 && pages < FLOOD.chunks; pages += 1) {
      await page.getByRole('button', { name: 'Load earlier output' }).click();
      await page.locator(`[data-n="${first - 1}"]`).waitFor({ state: 'attached' });
      const shown = await chunksShown();
      t.strictSame(shown, Array.from(shown, (_, at) => (shown[0] ?? 0) + at), 'what is shown has no gap'); // prettier-ignore
      first = shown[0] ?? 0;
    }
    t.equal(first, 1, 'back to the first chunk');
    await isBounded('at the start');
    t.equal(await page.getByRole('button', { name: 'Load earlier output' }).count(), 0);
    await page.getByRole('button', { name: 'Jump to newest' }).click();
    await page.locator(`[data-n="${total}"]`).waitFor({ state: 'attached' });
    await isBounded('at the end again');
    await page.getByRole('button', { name: 'Jump to newest' }).waitFor({ state: 'detached' });
    t.strictSame(faults, []);
  });

  await t.test('a task without output shows whether none was printed, stored or retained', async (t) => {
    const textOf = async (options: RunningHubOptions, text: string): Promise<void> => {
      const hub = await runningHub(options);
      t.teardown(() => hub.stop());
      const agent = await hub.agent('a1');
      const { task_id: id } = await hub.api.tasks.submit({ description: 'Prints nothing' });
      await agent.frame('task_assign');
      agent.send({ type: 'task_accepted', task_id: id, generation: 1 });
      agent.send({ type: 'task_complete', task_id: id, generation: 1, result: 'done' });
      const { page, faults } = await watchedPage(t, browser, hub.url);
      await signIn(page, hub.url, hub.adminToken);
      await page.goto(`${hub.url}/dashboard#/tasks/${id}`);
      await page.getByText(text).waitFor();
      t.strictSame(faults, []);
    };
    await textOf({}, 'Its agents printed nothing.');
    await textOf({ limits: { outputBytes: 0 } }, 'This hub stores no output');
    await textOf({ timing: { outputKeptMs: 2_000 } }, 'None is kept: this hub removes output after 2 s.');
  });
}
