/**
 * `npm run test:browser`: the dashboard in Chromium, with a real hub, a real sidecar and real agent processes. Prints
 * the size of the bundle, the first paint, and how fast the list of 100,000 tasks is.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeWorld } from '../apps/app-world.ts';
import { ROOT } from '../architecture/cruise.ts';
import { accessibility } from './accessibility.ts';
import { startChromium } from './chromium.ts';
import { adminPages } from './admin-pages.ts';
import { clientInPage } from './client-in-page.ts';
import { heldRows } from './held-rows.ts';
import { hostileText } from './hostile-texts.ts';
import { incidentPages } from './incident-pages.ts';
import { journeys } from './journeys.ts';
import { proxyPages } from './proxy-pages.ts';
import { quietPages } from './quiet-pages.ts';
import { severalTabs } from './several-tabs.ts';
import { takenStreams } from './taken-streams.ts';
import { liveOutput, muchOutput } from './watched-output.ts';
import { manyAgents, manyAway, manyTasks } from './many-tasks.ts';

const BUNDLE_BYTES_MAX = 150_000;
const TIMEOUT_MS = 900_000;

t.setTimeout(TIMEOUT_MS);
t.test('the dashboard in a browser', { timeout: TIMEOUT_MS }, async (t) => {
  const folder = join(ROOT, 'dist/dashboard');
  const sizes = readdirSync(folder)
    .filter((name) => name.endsWith('.gz'))
    .map((name) => statSync(join(folder, name)).size);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  t.comment(`bundle: ${(bytes / 1_000).toFixed(1)} kB compressed with gzip`);
  t.ok(bytes > 0 && bytes < BUNDLE_BYTES_MAX, `under ${BUNDLE_BYTES_MAX} bytes`);

  const world = await makeWorld(t);
  const browser = await startChromium();
  t.teardown(() => browser.close());
  const room = { world, browser, origin: `http://127.0.0.1:${world.port}`, hub: await world.startHub() };
  await world.startSidecar('worker-1');
  await journeys(t, room);
  await liveOutput(t, room);
  await muchOutput(t, room);
  await quietPages(t, room);
  await severalTabs(t, room);
  await takenStreams(t, room);
  await proxyPages(t, room);
  await heldRows(t, room);
  await incidentPages(t, room);
  await adminPages(t, room);
  await clientInPage(t, browser);
  await hostileText(t, room);
  await accessibility(t, room);
  await manyTasks(t, room);
  await manyAgents(t, room);
  await manyAway(t, room);
});
