/** Hostile text in every field that others can write: none of it is run, and hidden characters are made visible. */
import { join } from 'node:path';
import type { Test } from 'tap';
import { badge, goTo, type BrowserRoom } from './browser-room.ts';
import { signIn, watchedPage } from './chromium.ts';

const ATTACKS = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "';alert(1)//",
  '<svg/onload=alert(1)><iframe srcdoc="<script>alert(1)</script>">',
  'javascript:alert(1)',
  '<a href="javascript:alert(1)" autofocus onfocus=alert(1)>x</a>',
  '{{constructor.constructor("alert(1)")()}} ${alert(1)}',
  '<style>*{display:none}</style><base href=//evil.test><meta http-equiv=refresh content=0>',
];
/** A letter with so many accents that it is wider than a phone, or higher than its line. */
const ACCENTS = `Z${'\u0489'.repeat(80)}`;
const HIDDEN = 'abc\u202egpj.exe\u2066x\u2069 zero\u200bwidth \u001b[31mred\u001b[0m \u0007bell \ufeffbom';
export const HOSTILE_TEXT = `${ACCENTS} ${ATTACKS.join(' ')} ${HIDDEN}`;
/** The maximum length of an ID. */
const HOSTILE_AGENT = `hostile-${'x'.repeat(56)}`;
const NAME_CHARACTERS_MAX = 128;
/** How long the data of a page may take to appear, in milliseconds. */
const SETTLED_MS = 500;
const PLACES = ['', 'tasks', 'agents', 'dead-letters', 'audit', 'tokens'];

export async function hostileText(t: Test, room: BrowserRoom): Promise<void> {
  await t.test('hostile text in every field runs nothing and is shown verbatim', async (t) => {
    const { world, browser, origin } = room;
    await world.startSidecar(HOSTILE_AGENT, {
      capabilities: ['hostile', 'x<script>alert(1)</script>'],
      argv: [process.execPath, join(import.meta.dirname, 'hostile-agent.mjs')],
    });
    const { page, faults } = await watchedPage(t, browser, origin);
    await signIn(page, origin, world.adminToken);
    const ids: string[] = [];
    for (const end of ['success', 'failed']) {
      const { task_id: id } = await world.api.tasks.submit({
        description: HOSTILE_TEXT,
        metadata: { end, text: HOSTILE_TEXT, [ATTACKS[1] ?? '']: HOSTILE_TEXT },
        needed_capabilities: ['hostile'],
        repo: HOSTILE_TEXT,
        branch: HOSTILE_TEXT,
        success_criteria: [HOSTILE_TEXT],
        file_hints: [HOSTILE_TEXT],
        verification_steps: [{ [HOSTILE_TEXT.slice(0, 60)]: HOSTILE_TEXT }],
        max_retries: 0,
      });
      ids.push(id);
      await goTo(page, room, `tasks/${id}`);
      await page.getByRole('heading', { name: 'Progress' }).waitFor();
      await badge(page, end === 'success' ? 'completed' : 'dead letter').waitFor();
      await page.getByText('Everything as JSON').click();
      for (const details of await page.locator('.timeline details').all()) await details.locator('summary').click();
      t.ok(await page.getByText('<script>alert(1)</script>').count(), 'it is text');
      for (const code of ['U+202E', 'U+2066', 'U+200B', 'U+001B', 'U+0007', 'U+FEFF']) {
        t.ok(await page.locator('.mark', { hasText: code }).count(), `${code} is visible`);
      }
      const shown = (await page.evaluate('document.body.innerText')) as string;
      t.notMatch(shown, /[\u202a-\u202e\u2066-\u2069\u001b\u0007]/, 'and no hostile text is in the page source');
    }
    await world.api.tasks.submit({ description: HOSTILE_TEXT, needed_capabilities: [ATTACKS[0] ?? ''] });
    // At whatever length a place cuts it, it cuts one of the two in the middle of an emoji.
    const emoji = '😀'.repeat(700);
    for (const description of [emoji, `a${emoji}`]) {
      const { task_id: id } = await world.api.tasks.submit({
        description,
        needed_capabilities: ['nobody'],
        repo: [...description].slice(0, 700).join(''),
      });
      await goTo(page, room, `tasks/${id}`);
      await page.getByText('Show all').first().waitFor();
      t.equal(await page.locator('.mark').count(), 0, 'an emoji is never cut in half');
    }
    await goTo(page, room, 'tasks');
    await page.getByText('😀').nth(1).waitFor();
    t.equal(await page.locator('.mark', { hasText: 'U+D83D' }).count(), 0);
    await world.api.tokens.create({ name: HOSTILE_TEXT.slice(0, NAME_CHARACTERS_MAX), role: 'viewer' });
    for (const place of [
      ...PLACES,
      `agents/${HOSTILE_AGENT}`,
      `tasks/${encodeURIComponent(HOSTILE_TEXT)}`,
      `tasks?status=${encodeURIComponent('<script>')}`,
      `${encodeURIComponent(HOSTILE_TEXT)}`,
    ]) {
      await goTo(page, room, place);
      await page.locator('h1, .empty-title, .notice').first().waitFor();
      await page.waitForTimeout(SETTLED_MS);
      const foreign = await page.evaluate(
        'document.querySelectorAll("main script, main img, main iframe, main svg, main style, main base, main [onerror], main [onload], a[href^=javascript]").length',
      );
      t.equal(foreign, 0, `/${place.slice(0, 30)}: no element came from text`);
    }
    t.strictSame(faults, [], 'no error, no violation of the policy, no dialog, no request to another host');
  });
}
