/** A page for which the hub has no event stream left: it says so, with the hub's reason, and still shows changes. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { runningHub } from '../apps/running-hub.ts';
import type { BrowserRoom } from './browser-room.ts';
import { signIn, watchedPage } from './chromium.ts';

/** Shorter than the interval at which such a page refreshes, and long enough for several attempts to get a stream. */
const REFUSED_MS = 5_000;

export async function takenStreams(t: Test, { browser }: BrowserRoom): Promise<void> {
  for (const { streams, why } of [
    { streams: 1, why: 'All 1 event streams of the hub are in use.' },
    { streams: 2, why: 'This token has 1 of the 2 event streams of the hub: half of those that others leave free.' },
  ]) {
    await t.test(`with ${streams === 1 ? 'all' : 'its share of the'} event streams taken, a page refreshes by itself`, async (t) => {
      const hub = await runningHub({ limits: { streams } });
      t.teardown(() => hub.stop());
      const { page, faults } = await watchedPage(t, browser, hub.url);
      const end = new AbortController();
      t.teardown(() => end.abort());
      const other = await fetch(`${hub.url}/api/events`, {
        headers: { authorization: `Bearer ${hub.adminToken}` },
        signal: end.signal,
      });
      t.equal(other.status, 200);
      await signIn(page, hub.url, hub.adminToken);
      await page.goto(`${hub.url}/dashboard#/tasks`);
      await page.getByText('The hub has no event stream left for this page').waitFor();
      await page.getByText(why).waitFor();
      await page.getByText('every 10 s', { exact: true }).waitFor();
      t.equal(await page.getByText('No connection to the hub').count(), 0);
      await page.getByText('There are no tasks yet.').waitFor();
      let [attempts, reads] = [0, 0];
      page.on('request', (request) => {
        const { pathname } = new URL(request.url());
        if (pathname === '/api/events') attempts += 1;
        if (pathname === '/api/tasks') reads += 1;
      });
      await delay(REFUSED_MS);
      t.ok(attempts > 0 && reads <= 1, `an attempt that is refused reads nothing: ${attempts} attempts, ${reads} reads`);
      await hub.api.tasks.submit({ description: 'Submitted meanwhile' });
      await page.getByRole('link', { name: /Submitted meanwhile/ }).waitFor();
      t.equal(await page.getByText('live', { exact: true }).count(), 0, 'it is shown without events');
      end.abort();
      await page.getByText('live', { exact: true }).waitFor();
      await page.getByText('The hub has no event stream left').waitFor({ state: 'detached' });
      await hub.api.tasks.submit({ description: 'Submitted afterwards' });
      await page.getByRole('link', { name: /Submitted afterwards/ }).waitFor();
      t.strictSame(faults, []);
    });
  }
}
