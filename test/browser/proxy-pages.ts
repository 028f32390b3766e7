/** A page whose requests are answered by a proxy, with a page of its own instead of the hub's answer. */
import type { Test } from 'tap';
import { runningHub } from '../apps/running-hub.ts';
import type { BrowserRoom } from './browser-room.ts';
import { signIn, watchedPage } from './chromium.ts';

const TASKS = /\/api\/tasks\?/;

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
}
