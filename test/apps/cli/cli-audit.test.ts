/** `agentcom audit` against a whole hub: what it prints, what it exports, and how it detects changes. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { entriesAfter, type AuditEntry } from '../../../core/domain/audit/audit-entry.ts';
import { runningHub, type RunningHub } from '../running-hub.ts';
import { run, testHub, type Ran, type RunOptions } from './cli-world.ts';

async function hubWithActs(
  t: Test,
): Promise<{ readonly hub: RunningHub; readonly cli: (argv: readonly string[], options?: RunOptions) => Promise<Ran> }> {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  await hub.api.tokens.create({ name: 'ci \u001b[31m', role: 'viewer' });
  const { id } = await hub.api.tokens.create({ name: 'old', role: 'operator' });
  await hub.api.tokens.revoke(id);
  const env = { AGENTCOM_API_URL: hub.url, AGENTCOM_ADMIN_TOKEN: hub.adminToken };
  return { hub, cli: (argv, options = {}) => run(argv, { ...options, env: { ...env, ...options.env } }) };
}

async function folderOf(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-audit-'));
  t.teardown(() => rm(folder, { recursive: true }));
  return folder;
}

const linesOf = (text: string): readonly string[] => text.trimEnd().split('\n');

t.test('the log is printed for people and for programs, from a given time or number', async (t) => {
  const { cli } = await hubWithActs(t);
  const { out, code } = await cli(['audit']);
  t.equal(code, 0);
  const lines = linesOf(out);
  t.match(lines[0], /^1 {2}\S+ {2}hub-\S+ \(hub\) {2}hub\.start hub-\S+ version=\S+ admin_token=[0-9a-f]{8}$/);
  t.match(lines[1], /^2 {2}\S+ {2}admin \(admin\) from 127\.0\.0\.1 {2}token\.create tok-[0-9a-f]{32} name=ci \\e\[31m role=viewer$/);
  t.match(lines[3], /token\.revoke/);
  t.equal(lines.length, 4);
  t.equal(linesOf((await cli(['audit', '--after', '2'])).out).length, 2);
  t.equal(linesOf((await cli(['audit', '--since', '1h'])).out).length, 4);
  t.equal((await cli(['audit', '--since', String(Date.now() + 60_000)])).out, '');
  t.match(JSON.parse(linesOf((await cli(['audit', '--after', '3', '--json'])).out)[0] ?? ''), { seq: 4, act: 'token.revoke' });
  t.equal((await cli(['audit', '--since', 'noon'])).code, 2);
});

t.test('follow prints new entries until it is interrupted', async (t) => {
  const { hub, cli } = await hubWithActs(t);
  const interrupting = new AbortController();
  let isAsked = false;
  const onOut = (text: string): void => {
    if (text.includes('token.revoke') && !isAsked) {
      isAsked = true;
      void hub.api.tokens.create({ name: 'later', role: 'viewer' });
    }
    if (text.includes('name=later')) interrupting.abort();
  };
  const { code, out } = await cli(['audit', '--follow'], { interrupt: interrupting.signal, onOut });
  t.equal(code, 130);
  t.equal(linesOf(out).length, 5, 'each once');
});

t.test('the chain of the hub is verified, optionally against an entry noted earlier', async (t) => {
  const { hub, cli } = await hubWithActs(t);
  const first = await cli(['audit', 'verify']);
  t.equal(first.code, 0);
  const [, head = ''] = /The chain is intact: 4 entries, 1 to 4\.\n.*--head (4:[0-9a-f]{64})/.exec(first.out) ?? [];
  await hub.api.tokens.create({ name: 'later', role: 'viewer' });
  t.equal((await cli(['audit', 'verify', '--head', head])).code, 0);
  const forged = await cli(['audit', 'verify', '--head', `4:${'f'.repeat(64)}`]);
  t.equal(forged.code, 8);
  t.match(forged.out, /Entry 4 with the given hash was not found: the chain was rewritten/);
  t.match(JSON.parse((await cli(['audit', 'verify', '--json'])).out), { whole: true, count: 5, first: 1, last: { seq: 5 }, fault: null });
  t.equal((await cli(['audit', 'verify', '--head', 'x'])).code, 2);
});

t.test('verifying an export reports where it was changed, cut or spliced', async (t) => {
  const { cli } = await hubWithActs(t);
  const folder = await folderOf(t);
  const file = join(folder, 'audit.ndjson');
  const { out } = await cli(['audit', '--after', '0', '--json']);
  const verified = async (text: string): Promise<Ran> => {
    await writeFile(file, text);
    return cli(['audit', 'verify', file]);
  };
  t.match(await verified(out), { code: 0, out: /4 entries, 1 to 4/ });
  const lines = linesOf(out);
  t.match(await verified(lines.slice(2).join('\n')), { code: 0, out: /2 entries, 3 to 4/ }, 'from any entry on');
  t.match(await verified(out.replace('"old"', '"new"')), { code: 8, out: /^Entry 3 was changed after it was recorded/ });
  t.match(await verified([lines[0], lines[2]].join('\n')), { code: 8, out: /^Entry 3 does not follow the entry before it/ });
  t.match(await verified(''), { code: 0, out: /no entries/ });
  t.match(await verified('{"seq":1}\n'), { code: 2, err: /line 1: expected an entry of the audit log/ });
  t.match(await cli(['audit', 'verify', join(folder, 'nowhere')]), { code: 2, err: /Cannot read/ });
  t.ok((await readFile(file, 'utf8')).length > 0);
});

t.test('an export is split only at line feeds, and the length of a line is limited', async (t) => {
  const { sha256 } = systemDigest();
  const draft = { atMs: 1, actor: { id: null, name: 'one\u2028two\u2029three\u0085four\u000bfive', role: 'hub' }, address: null, act: 'hub.start', object: 'hub-1', outcome: 'done', details: {} } as const; // prettier-ignore
  const lines = entriesAfter({ seq: 0, hash: '0'.repeat(64) }, Array(2_000).fill(draft), sha256).map(({ atMs, ...entry }) =>
    JSON.stringify({ ...entry, at: atMs }),
  );
  const file = join(await folderOf(t), 'audit.ndjson');
  const verified = async (text: string): Promise<Ran> => {
    await writeFile(file, text);
    return run(['audit', 'verify', file]);
  };
  for (const end of ['\n', '\r\n', '\n\n']) {
    t.match(await verified(lines.join(end)), { code: 0, out: /2000 entries, 1 to 2000/ });
    t.match(await verified(lines.join(end) + end), { code: 0, out: /2000 entries, 1 to 2000/ });
  }
  t.match(await verified(`${lines[0]}\n${'x'.repeat(200_000)}`), { code: 2, err: /a line has more than 65536 characters/ });
});

t.test('removal of the newest, oldest or middle entries of a hub is detected', async (t) => {
  const { sha256 } = systemDigest();
  const start = { seq: 0, hash: '0'.repeat(64) };
  const draft = { atMs: 1, actor: { id: null, name: null, role: 'hub' }, address: null, act: 'hub.start', object: 'hub-1', outcome: 'done', details: {} } as const; // prettier-ignore
  const chain = entriesAfter(start, [draft, draft, draft, draft], sha256);
  const json = ({ atMs, ...entry }: AuditEntry) => ({ ...entry, at: atMs });
  const verified = async (entries: readonly AuditEntry[], anchor: { seq: number; hash: string } = start): Promise<Ran> => {
    const { seq = 0, hash = '' } = chain.at(-1) ?? {};
    const page = { entries: entries.map(json), anchor, head: { seq, hash }, next_after: null };
    const hub = await testHub(t, (app) => app.get('/admin/audit', (c) => c.json(page)));
    return hub.run(['audit', 'verify']);
  };
  t.equal((await verified(chain)).code, 0);
  t.match(await verified(chain.slice(0, 3)), { code: 8, out: /ends at entry 3, and the hub recorded 4 entries: the newest/ });
  t.match(await verified(chain.slice(1)), { code: 8, out: /Entry 2 does not follow/ });
  t.equal((await verified(chain.slice(1), { seq: 1, hash: chain[0]?.hash ?? '' })).code, 0, 'past its retention');
  t.match(await verified([]), { code: 8, out: /ends at entry 0/ });
  const remade = entriesAfter(chain[1] ?? start, [{ ...draft, object: 'hub-2' }, draft], sha256);
  t.match(await verified([...chain.slice(0, 2), ...remade]), { code: 8, out: /removed or replaced/ });
});
