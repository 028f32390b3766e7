/** What axe-core finds on each page, in both themes, on a desktop and on a phone. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Test } from 'tap';
import { goTo, type BrowserRoom } from './browser-room.ts';
import { signIn, watchedPage } from './chromium.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Finding {
  readonly id: string;
  readonly impact: string | null;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

export async function accessibility(t: Test, room: BrowserRoom): Promise<void> {
  const { world, browser, origin } = room;
  const { tasks } = await world.api.tasks.list({ status: 'dead_letter' });
  const printed = (await world.api.tasks.list({ status: 'completed' })).tasks.find(({ description }) => description.includes('a warning'));
  const places = [
    '',
    'tasks',
    `tasks/${tasks[0]?.id ?? ''}`,
    `tasks/${printed?.id ?? ''}`,
    'agents',
    'agents/worker-1',
    'dead-letters',
    'submit',
    'audit',
    'tokens',
    'nowhere',
  ];
  for (const theme of ['light', 'dark'] as const) {
    for (const width of [1_280, 390]) {
      await t.test(`no serious axe-core violations: ${theme}, ${width} pixels wide`, async (t) => {
        const { page, faults } = await watchedPage(t, browser, origin, { theme, width });
        const check = async (place: string): Promise<void> => {
          await page.evaluate(AXE);
          const { violations } = (await page.evaluate('axe.run(document, { resultTypes: ["violations"] })')) as { violations: Finding[] };
          const bad = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
          t.strictSame(
            bad.map(
              ({ id, nodes }) =>
                `${id}: ${nodes
                  .slice(0, 3)
                  .map(({ html, failureSummary }) => `${html} ${failureSummary}`)
                  .join(' | ')}`,
            ),
            [],
            place,
          );
          const overflow = (await page.evaluate('document.documentElement.scrollWidth - innerWidth')) as number;
          t.ok(overflow <= 0, `${place} fits the width: ${overflow}`);
        };
        await page.goto(`${origin}/dashboard`);
        await page.getByLabel('Token').waitFor();
        await check('sign in');
        await signIn(page, origin, world.adminToken);
        for (const place of places) {
          await goTo(page, room, place);
          await page.locator('h1, .empty-title').first().waitFor();
          await page.waitForTimeout(SETTLED_MS);
          if (place.endsWith(`/${printed?.id}`)) t.equal(await page.getByRole('log').count(), 1, 'with agent output');
          await check(`/${place}`);
          if (place !== 'tokens') continue;
          await page.getByRole('button', { name: 'Create a token…' }).click();
          await check('the dialog for a new token');
          await page.keyboard.press('Escape');
        }
        t.strictSame(faults, []);
      });
    }
  }
}

/** How long the data of a page may take to appear before the page is judged, in milliseconds. */
const SETTLED_MS = 700;
