/** What only admins see: the tokens and the audit log. */
import type { Test } from 'tap';
import { runningHub } from '../apps/running-hub.ts';
import type { BrowserRoom } from './browser-room.ts';
import { signIn, watchedPage } from './chromium.ts';

/** More than a page of the audit log has entries. */
const DRAINS = 120;
const PAGE_ENTRIES = 100;
/** More than a page of the list has. */
const TOKENS = 120;
const HOSTILE_NAME = '<img src=x onerror=alert(1)> abc\u202egpj.exe';

export async function adminPages(t: Test, { browser }: BrowserRoom): Promise<void> {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const { page, faults } = await watchedPage(t, browser, hub.url);
  await signIn(page, hub.url, hub.adminToken);
  const entries = page.locator('.timeline-entry');

  await t.test('the audit log shows who did what to what, from where, newest first and as it happens', async (t) => {
    await hub.agent('gpu-1');
    await page.getByRole('link', { name: 'Audit', exact: true }).click();
    await page.getByText('Signed in to the dashboard by admin (admin)').waitFor();
    await hub.api.agents.drain('gpu-1', { deadline_ms: 600_000 });
    const drained = page.locator('[data-act="agent.drain"]');
    await drained.waitFor();
    t.match(await drained.innerText(), /Agent drained gpu-1 by admin \(admin\) from 127\.0\.0\.1\s+deadline_ms: 600000/);
    t.equal(await entries.first().getAttribute('data-act'), 'agent.drain');
    t.equal(await entries.last().getAttribute('data-act'), 'hub.start');
    await drained.getByText(/^Entry \d+$/).click();
    await drained.getByText(/"hash": "[0-9a-f]{64}"/).waitFor();
    await drained.getByRole('link', { name: 'gpu-1' }).click();
    await page.getByRole('heading', { name: 'gpu-1' }).waitFor();
  });

  await t.test('what has no event is shown when the log is read again; a hostile name is only text', async (t) => {
    await page.goto(`${hub.url}/dashboard#/audit`);
    await entries.first().waitFor();
    await hub.api.tokens.create({ name: HOSTILE_NAME, role: 'viewer' });
    await page.getByRole('button', { name: 'Read again' }).click();
    const created = page.locator('[data-act="token.create"]').first();
    await created.waitFor();
    t.match(
      await created.innerText(),
      /Token created tok-[0-9a-f]{32} by admin .*name: <img src=x onerror=alert\(1\)> abcU\+202Egpj\.exe, role: viewer/s,
    );
    t.equal(await page.locator('main img').count(), 0);
  });

  await t.test('older entries are on pages of their own, each with an address', async (t) => {
    for (let count = 0; count < DRAINS; count += 1) await hub.api.agents.drain('gpu-1');
    await page.getByRole('button', { name: 'Read again' }).click();
    const { head } = await hub.api.audit.list({ limit: 1 });
    await page.getByText(`Entry ${head.seq}`, { exact: true }).waitFor();
    const numbers = async (): Promise<readonly number[]> =>
      (await entries.locator('summary').allInnerTexts()).map((text) => Number(text.replace('Entry ', '')));
    const down = (from: number, to: number): readonly number[] => Array.from({ length: from - to + 1 }, (_, at) => from - at);
    t.strictSame(await numbers(), down(head.seq, head.seq - PAGE_ENTRIES + 1));
    await page.getByRole('link', { name: 'Older entries' }).click();
    await page.locator('[data-act="hub.start"]').waitFor();
    t.strictSame(await numbers(), down(head.seq - PAGE_ENTRIES, 1));
    t.equal(await page.evaluate('document.activeElement?.id'), 'main');
    t.equal(await page.getByRole('link', { name: 'Older entries' }).count(), 0, 'it is the last page');
    await page.reload();
    await page.locator('[data-act="hub.start"]').waitFor();
    await page.getByRole('link', { name: 'Newest entries' }).click();
    await page.getByText(`Entry ${head.seq}`, { exact: true }).waitFor();
    await page.goBack();
    await page.locator('[data-act="hub.start"]').waitFor();
    await page.goto(`${hub.url}/dashboard#/audit?before=1`);
    await page.getByText('There are no entries this old any more.').waitFor();
  });

  await t.test('other roles get a message that they may not read it or the tokens, and the page sends no request', async (t) => {
    const { token } = await hub.api.tokens.create({ name: 'ops', role: 'operator' });
    const other = await watchedPage(t, browser, hub.url);
    const asked: string[] = [];
    other.page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await signIn(other.page, hub.url, token ?? '');
    t.equal(await other.page.getByRole('link', { name: 'Audit', exact: true }).count(), 0);
    await other.page.keyboard.press('g');
    await other.page.keyboard.press('l');
    await other.page.getByText('Your role may not read the audit log.').waitFor();
    t.equal(await other.page.getByRole('link', { name: 'Tokens', exact: true }).count(), 0);
    await other.page.keyboard.press('g');
    await other.page.keyboard.press('k');
    await other.page.getByText('Your role may not see the tokens.').waitFor();
    t.strictSame(
      asked.filter((path) => path.startsWith('/admin/')),
      [],
    );
    t.strictSame(other.faults, []);
  });

  const row = (id: string) => page.locator(`[data-token="${id}"]`);
  const state = (id: string, word: string) => row(id).locator('.badge', { hasText: new RegExp(`^${word}$`) });

  await t.test('the tokens are listed with their rights, their state and their last use', async (t) => {
    const ci = await hub.api.tokens.create({ name: 'ci', role: 'submitter', expires_in_ms: 3_600_000 });
    const old = await hub.api.tokens.create({ agent_id: 'gpu-2', capabilities: ['gpu', 'code'], max_slots: 4 });
    const { id: replacement } = await hub.api.tokens.rotate(old.id);
    await page.getByRole('link', { name: 'Tokens', exact: true }).click();
    await state(ci.id, 'live').waitFor();
    t.match(
      await row(ci.id).innerText(),
      /^ci\s+live\s+Revoke…\s+Role\s+submitter\s+Tasks\s+Tasks it submitted\s+Created\s.*\sLast used\s+–\s+Expires\s+in \d+ min\s+ID\s+tok-/s,
    );
    await state(old.id, 'rotated').waitFor();
    t.match(await row(old.id).innerText(), new RegExp(`At most\\s+gpu, code; 4 slots.*Replaced by\\s+${replacement}`, 's'));
    t.equal(await row(replacement).getByRole('link', { name: 'gpu-2' }).getAttribute('href'), '#/agents/gpu-2');
    const hostile = page.locator('.token-row', { hasText: '<img src=x' });
    t.match(await hostile.locator('h2').innerText(), /<img src=x onerror=alert\(1\)> abcU\+202Egpj\.exe/);
    t.equal(await page.locator('main img').count(), 0);
    await fetch(`${hub.url}/api/whoami`, { headers: { authorization: `Bearer ${ci.token ?? ''}` } });
    await page.getByRole('button', { name: 'Read again' }).click();
    await row(ci.id)
      .getByText(/^(now|\d.* ago)$/)
      .nth(1)
      .waitFor();
    t.notOk((await page.content()).includes(ci.token ?? ''), 'the token itself is not in the page');
  });

  await t.test('a token is revoked once that is confirmed; one that was revoked meanwhile says so', async (t) => {
    const ids: string[] = [];
    for (const name of ['first', 'second']) ids.push((await hub.api.tokens.create({ name, role: 'viewer' })).id);
    const [first = '', second = ''] = ids;
    await page.getByRole('button', { name: 'Read again' }).click();
    await row(first).getByRole('button', { name: 'Revoke…' }).click();
    await page.getByRole('dialog').getByText('The token of first stops working now').waitFor();
    await page.keyboard.press('Escape');
    t.equal(await page.getByRole('dialog').count(), 0);
    await row(first).getByRole('button', { name: 'Revoke…' }).click();
    await page.getByRole('button', { name: 'Revoke the token' }).click();
    await state(first, 'revoked').waitFor();
    t.equal(await row(first).getByRole('button').count(), 0);
    await row(second).getByRole('button', { name: 'Revoke…' }).click();
    await hub.api.tokens.revoke(second);
    await page.getByRole('button', { name: 'Revoke the token' }).click();
    await page.getByText('No live token has this ID').waitFor();
    await state(second, 'revoked').waitFor();
    const { entries } = await hub.api.audit.list({ limit: 500 });
    const revokes = entries.filter(({ act }) => act === 'token.revoke');
    t.strictSame(
      revokes.map(({ object }) => object),
      [first, second],
    );
  });

  await t.test('a token is created and shown once; what is wrong is said in the dialog', async (t) => {
    const dialog = page.getByRole('dialog');
    const open = () => page.getByRole('button', { name: 'Create a token…' }).click();
    const create = () => dialog.getByRole('button', { name: 'Create', exact: true }).click();
    await open();
    await dialog.getByLabel('Name').fill('ci');
    await dialog.getByLabel('Role').selectOption('submitter');
    await create();
    await dialog.getByText('There is already a live submitter token named "ci".').waitFor();
    await dialog.getByLabel('Name').fill('ci-2');
    await dialog.getByLabel('Valid').selectOption('for 30 days');
    await create();
    const shown = dialog.getByLabel('The token, with the role submitter');
    const token = await shown.inputValue();
    t.equal(await page.evaluate('document.activeElement.value'), token, 'it has the focus');
    t.equal(await page.evaluate('getSelection().toString()'), token, 'and is selected, to be copied');
    const answer = await fetch(`${hub.url}/api/whoami`, { headers: { authorization: `Bearer ${token}` } });
    t.match(await answer.json(), { name: 'ci-2', role: 'submitter' });
    await page.keyboard.press('Escape');
    const listed = page.locator('.token-row', { hasText: 'ci-2' });
    t.match(await listed.innerText(), /submitter.*Expires\s+in (29|30) d/s);
    const kept = (await page.evaluate('JSON.stringify([localStorage, sessionStorage, location.href, history.state])')) as string;
    t.notOk(kept.includes(token), 'it is stored nowhere');
    t.equal(await page.getByLabel('The token, with the role').count(), 0);
    await open();
    t.equal(await dialog.getByLabel('Name').inputValue(), '', 'nothing of it is in the next dialog');
    await dialog.getByRole('combobox', { name: 'For', exact: true }).selectOption('an agent');
    await dialog.getByLabel('Agent ID').fill('gpu-3');
    await dialog.getByLabel('At most these capabilities').fill('gpu, code');
    await dialog.getByLabel('At most this many slots').fill('2');
    await create();
    await dialog.getByLabel('The token, with the role agent').waitFor();
    await page.keyboard.press('Escape');
    t.match(await page.locator('.token-row', { hasText: 'gpu-3' }).innerText(), /At most\s+gpu, code; 2 slots/);
  });

  await t.test('a token whose answer was lost is in the list, to be revoked', async () => {
    await page.getByRole('button', { name: 'Create a token…' }).click();
    await page.getByRole('dialog').getByLabel('Name').fill('unheard');
    await page.route('**/admin/tokens', async (route) => {
      await route.fetch();
      await route.abort('connectionreset');
    });
    await page.getByRole('dialog').getByRole('button', { name: 'Create', exact: true }).click();
    await page.getByRole('dialog').getByText('It may have created the token: look in the list, and revoke it there.').waitFor();
    await page.unroute('**/admin/tokens');
    await page.keyboard.press('Escape');
    const unheard = page.locator('.token-row', { hasText: 'unheard' });
    await unheard.getByRole('button', { name: 'Revoke…' }).click();
    await page.getByRole('button', { name: 'Revoke the token' }).click();
    await unheard.locator('.badge', { hasText: 'revoked' }).waitFor();
  });

  await t.test('revoking the token of the session says so, and signs out', async (t) => {
    const own = await hub.api.tokens.create({ name: 'boss', role: 'admin' });
    const other = await watchedPage(t, browser, hub.url);
    await signIn(other.page, hub.url, own.token ?? '');
    await other.page.getByRole('link', { name: 'Tokens', exact: true }).click();
    const mine = other.page.locator('.token-row', { hasText: 'You are signed in with it.' });
    t.equal(await mine.getAttribute('data-token'), own.id);
    await mine.getByRole('button', { name: 'Revoke…' }).click();
    await other.page.getByRole('dialog').getByText('You are signed in with it, and will be signed out.').waitFor();
    await other.page.getByRole('button', { name: 'Revoke the token' }).click();
    await other.page.getByText('Your session has ended, or its token was revoked.').waitFor();
    t.strictSame(other.faults, []);
  });

  await t.test('older tokens are on a page of their own, with an address', async (t) => {
    for (let count = 0; count < TOKENS; count += 1) await hub.api.tokens.create({ agent_id: `many-${count}` });
    await page.getByRole('button', { name: 'Read again' }).click();
    await page.getByRole('heading', { name: `many-${TOKENS - 1}` }).waitFor();
    await page.getByRole('link', { name: 'Older tokens' }).click();
    await page.getByRole('heading', { name: 'ci', exact: true }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'ci', exact: true }).waitFor();
    t.equal(await page.getByRole('heading', { name: `many-${TOKENS - 1}` }).count(), 0);
    await page.getByRole('link', { name: 'Newest tokens' }).click();
    await page.getByRole('heading', { name: `many-${TOKENS - 1}` }).waitFor();
  });

  t.strictSame(faults, []);
}
