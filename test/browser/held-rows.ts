/**
 * In the list of tasks, a row that the user is about to choose does not become another task, and the list is found
 * again where it was left.
 */
import type { Test } from 'tap';
import { runningHub } from '../apps/running-hub.ts';
import type { BrowserRoom } from './browser-room.ts';
import { signIn, watchedPage } from './chromium.ts';

/** More than two pages of the list. */
const TASKS = 250;
const WHEEL_PX = 600;

export async function heldRows(t: Test, { browser }: BrowserRoom): Promise<void> {
  await t.test('new tasks do not move the row under the pointer or the focus; a button shows them', async (t) => {
    const hub = await runningHub();
    t.teardown(() => hub.stop());
    const submit = async (description: string) => (await hub.api.tasks.submit({ description })).task_id;
    const ids: Record<string, string> = {};
    for (const name of ['first', 'second', 'third']) ids[name] = await submit(`The ${name}`);
    const { page, faults } = await watchedPage(t, browser, hub.url);
    await signIn(page, hub.url, hub.adminToken);
    await page.goto(`${hub.url}/dashboard#/tasks`);
    const row = (name: string) => page.getByRole('listitem').filter({ hasText: name });
    const places = () => page.locator('.task-row-text').allInnerTexts();
    const show = (name: string) => page.getByRole('button', { name, exact: true });

    await row('The second').hover();
    await submit('The fourth');
    await hub.api.tasks.cancel(ids['first'] ?? '');
    await show('Show 1 new task').waitFor();
    await row('The first').locator('.badge', { hasText: 'cancelled' }).waitFor();
    t.strictSame(await places(), ['The third', 'The second', 'The first'], 'rows keep their places and show what happens to their tasks');
    await page.mouse.down();
    await page.mouse.up();
    await page.waitForURL(`**/dashboard#/tasks/${ids['second'] ?? ''}`);
    // The address changes before the page does: going back at once would leave the list as it is.
    await page.getByRole('heading', { name: 'Timeline' }).waitFor();

    await page.goBack();
    await row('The fourth').waitFor();
    await page.mouse.move(0, 0);
    await row('The fourth').hover();
    await submit('The fifth');
    await show('Show 1 new task').waitFor();
    await page.mouse.move(0, 0);
    await row('The fifth').waitFor();
    await show('Show 1 new task').waitFor({ state: 'hidden' });

    await page.keyboard.press('j');
    await submit('The sixth');
    await submit('The seventh');
    await show('Show 2 new tasks').waitFor();
    t.match(await page.evaluate('document.activeElement.innerText'), /The fifth/, 'the focus is on the task that it was on');
    await show('Show 2 new tasks').click();
    await row('The seventh').waitFor();
    t.strictSame((await places()).slice(0, 3), ['The seventh', 'The sixth', 'The fifth']);
    t.strictSame(faults, []);
  });

  await t.test('going back finds a long list where it was left; a link starts at the top', async (t) => {
    const hub = await runningHub();
    t.teardown(() => hub.stop());
    for (let count = 0; count < TASKS; count += 1) await hub.api.tasks.submit({ description: `Number ${count} of them` });
    const { page, faults } = await watchedPage(t, browser, hub.url);
    await signIn(page, hub.url, hub.adminToken);
    await page.goto(`${hub.url}/dashboard#/tasks`);
    const deep = page.getByRole('link', { name: 'Number 20 of them' });
    // The hub sends the list in pages.
    while ((await deep.count()) === 0) await page.mouse.wheel(0, WHEEL_PX);
    await deep.scrollIntoViewIfNeeded();
    const top = (await page.evaluate('scrollY')) as number;
    t.ok(top > 0);
    await deep.click();
    await page.getByRole('heading', { name: 'Timeline' }).waitFor();
    t.equal(await page.evaluate('scrollY'), 0);
    await page.goBack();
    await deep.waitFor();
    while (Math.abs(((await page.evaluate('scrollY')) as number) - top) >= 2) await page.evaluate('new Promise(requestAnimationFrame)');
    await page.goForward();
    await page.getByRole('heading', { name: 'Timeline' }).waitFor();
    await page.getByRole('link', { name: 'Tasks', exact: true }).click();
    await page.getByRole('link', { name: `Number ${TASKS - 1} of them` }).waitFor();
    t.equal(await page.evaluate('scrollY'), 0);
    t.strictSame(faults, []);
  });
}
