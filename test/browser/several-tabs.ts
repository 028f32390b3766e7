/** Several pages of one browser: they share its few connections to the hub, and its session. */
import type { Page } from 'playwright-core';
import type { Test } from 'tap';
import { runningHub } from '../apps/running-hub.ts';
import type { BrowserRoom } from './browser-room.ts';
import { signIn, watchedPage } from './chromium.ts';

/** More than the six connections that a browser opens for one hub. */
const TABS = 8;

/** Chromium without a screen shows every tab, so this tells a page that it is in the background. */
const setHidden = (page: Page, isHidden: boolean): Promise<unknown> =>
  page.evaluate(`Object.defineProperty(document, 'hidden', { configurable: true, value: ${isHidden} });
    document.dispatchEvent(new Event('visibilitychange'));`);

export async function severalTabs(t: Test, { browser }: BrowserRoom): Promise<void> {
  const hub = await runningHub();
  t.teardown(() => hub.stop());

  await t.test('tabs in the background hold no connection, and catch up when they are seen again', async (t) => {
    const { page: first, context, faults } = await watchedPage(t, browser, hub.url);
    await signIn(first, hub.url, hub.adminToken);
    await first.goto(`${hub.url}/dashboard#/tasks`);
    await first.getByText('There are no tasks yet.').waitFor();
    await first.getByText('live', { exact: true }).waitFor();
    let last = first;
    for (let count = 1; count < TABS; count += 1) {
      await setHidden(last, true);
      last = await context.newPage();
      await last.goto(`${hub.url}/dashboard`);
      await last.getByText('live', { exact: true }).waitFor();
    }
    await hub.api.tasks.submit({ description: 'Submitted meanwhile' });
    await last.locator('.tile', { hasText: 'Queued' }).getByText('1', { exact: true }).waitFor();
    t.equal(await first.getByText('Submitted meanwhile').count(), 0, 'it is hidden');
    await setHidden(first, false);
    await first.getByText('Submitted meanwhile').waitFor();
    await first.getByText('live', { exact: true }).waitFor();
    t.strictSame(faults, []);
  });

  await t.test('signing out, or in as another user, in one tab does so in all', async (t) => {
    await hub.api.tasks.submit({ description: 'Submitted by the admin' });
    const { page: first, context } = await watchedPage(t, browser, hub.url);
    const second = await context.newPage();
    await signIn(first, hub.url, hub.adminToken);
    await first.goto(`${hub.url}/dashboard#/tasks`);
    await first.getByText('Submitted by the admin').waitFor();
    await second.goto(`${hub.url}/dashboard`);
    await second.getByRole('button', { name: 'Sign out' }).click();
    await first.getByText('Your session has ended').waitFor();
    t.equal(await first.getByText('Submitted by the admin').count(), 0, 'no data is left on the page');
    await signIn(second, hub.url, hub.adminToken);
    await first.getByText('Submitted by the admin').waitFor();
    await signInAs(second, hub.url, await hub.token('submitter'));
    await first.getByText('There are no tasks yet.').waitFor();
    t.equal(await first.getByRole('link', { name: 'Agents' }).count(), 0, 'what the new role may not see is gone');
  });
}

/** Like a script of the page: the session of the tab before is replaced without signing out. */
async function signInAs(page: Page, origin: string, token: string): Promise<void> {
  await page.context().clearCookies();
  await page.reload();
  await signIn(page, origin, token);
}
