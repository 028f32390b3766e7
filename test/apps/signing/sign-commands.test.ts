/** Signing by the command line and by the client: what they send is what sidecars check. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { hubClient, taskSigner } from '../../../apps/client/index.ts';
import { QUICK_HUB_TIMING } from '../app-world.ts';
import { run } from '../cli/cli-world.ts';
import { runningHub } from '../running-hub.ts';
import { trustedSignatures } from '../../../apps/signing/trusted-signatures.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { contentText, readClaims, type SignedContent } from '../../../core/protocol/signed/task-claims.ts';

const hub = await runningHub({ timing: QUICK_HUB_TIMING });
t.teardown(() => hub.stop());
const folder = t.testdir();
const file = join(folder, 'ops.jwk');
const cli = async (...argv: string[]) => {
  const token = await hub.token('admin');
  return run(['--json', ...argv], { cwd: folder, env: { AGENTCOM_API_URL: hub.url, AGENTCOM_ADMIN_TOKEN: token } });
};

const made = await run(['keys', 'init', 'ops.jwk', '--json'], { cwd: folder });
const { thumbprint, public_key: publicKey } = JSON.parse(made.out) as { thumbprint: string; public_key: never };
const signatures = trustedSignatures({ signedBy: [{ publicKey }], nonceFile: null });
await signatures.open();

/** The claims of a stored task, whose text they must match. */
async function claimsOf(id: string) {
  const task = await hub.api.tasks.get(id);
  const verified = await signatures.verify(String(task.signature), Date.now());
  if (verified.kind !== 'valid') throw new Error(verified.reason);
  const claims = readClaims(verified.claims);
  t.equal(claims?.content_sha256, systemDigest().sha256(contentText(task as unknown as SignedContent)), 'the text of the stored task');
  return claims;
}

t.test('keys init creates a key once, readable by its owner only; keys show prints its public key', async (t) => {
  t.equal((await stat(file)).mode & 0o777, 0o600);
  t.match(JSON.parse(await readFile(file, 'utf8')), { kty: 'OKP', crv: 'Ed25519', d: String });
  t.match(publicKey, { kty: 'OKP', crv: 'Ed25519' });
  t.notOk('d' in publicKey);
  const shown = await run(['keys', 'show', file, '--json']);
  t.match(JSON.parse(shown.out), { thumbprint, public_key: publicKey });
  t.match(await run(['keys', 'init', 'ops.jwk'], { cwd: folder }), { code: 2, err: /already exists and was not changed/ });
  t.match(await run(['keys', 'show', 'nothing.jwk'], { cwd: folder }), { code: 2, err: /as a signing key.*ENOENT.*agentcom keys init/ });
});

t.test('submit --sign-key signs every part of the task', async (t) => {
  const argv = [
    'submit',
    'count',
    '--needs',
    'code',
    '--metadata',
    '{"z":1,"a":[1.0,"é"]}',
    '--repo',
    'r',
    '--file-hint',
    '{"path":"b","at":1}',
  ];
  const { out, err } = await cli(
    ...argv,
    '--run-max',
    '5m',
    '--accept',
    'empty',
    '--sign-key',
    'ops.jwk',
    '--sign-for',
    '2h',
    '--audience',
    'fleet-a',
  );
  t.equal(err, '');
  const claims = await claimsOf((JSON.parse(out) as { task_id: string }).task_id);
  t.match(claims, { needed_capabilities: ['code'], run_max_ms: 300_000, aud: ['fleet-a'] });
  t.equal((claims?.exp ?? 0) - (claims?.iat ?? 0), 7_200);
  t.match(await cli('submit', 'x', '--audience', 'fleet-a'), { code: 2, err: /--sign-key/ });
  t.match(await cli('submit', 'x', '--sign-key', 'gone.jwk'), { code: 2, err: /gone\.jwk as a signing key/ });
});

t.test('submit --bulk signs each line', async (t) => {
  await writeFile(
    join(folder, 'tasks.jsonl'),
    '{"description":"one"}\n\n{"description":"two","metadata":{"n":2},"repo":null,"accept":null,"needed_capabilities":null,"run_at":null}\n',
  );
  const { out } = await cli('submit', '--bulk', 'tasks.jsonl', '--sign-key', 'ops.jwk');
  const { task_ids: ids } = JSON.parse(out) as { task_ids: string[] };
  const nonces = await Promise.all(ids.map(async (id) => (await claimsOf(id))?.jti));
  t.equal(new Set(nonces).size, 2);
  await writeFile(join(folder, 'wrong.jsonl'), '{"description":"one"}\nnonsense\n');
  t.match(await cli('submit', '--bulk', 'wrong.jsonl', '--sign-key', 'ops.jwk'), { code: 2, err: /Cannot sign line 2/ });
});

t.test('a client signs every submit: single, batched, bulk, and for one agent', async (t) => {
  const api = hubClient({ url: hub.url, token: await hub.token('admin'), signWith: taskSigner({ key: file }) });
  const runAt = Date.now() + 86_400_000;
  const alone = await api.tasks.submit({ description: 'alone', run_at: runAt });
  t.equal(
    (await claimsOf(alone.task_id).catch((thrown: Error) => thrown.message)) as unknown,
    `is signed for ${new Date(Math.floor(runAt / 1_000) * 1_000).toISOString()} or later (run_at)`,
  );
  const together = await Promise.all(['a', 'b', 'c'].map((description) => api.tasks.submit({ description, metadata: { description } })));
  for (const { task_id: id } of together) t.ok(await claimsOf(id));
  const { task_ids: many } = await api.tasks.submitMany([{ description: 'd' }, { description: 'e', priority: 'low' }]);
  for (const id of many) t.ok(await claimsOf(id));
  const own = await taskSigner({ key: file, audience: ['x'] })({ description: 'f' });
  t.match(
    await claimsOf((await api.tasks.submit({ description: 'f', signature: own })).task_id),
    { aud: ['x'] },
    'an existing signature stays',
  );
});

t.test('repeating a submit with the same key and a new signature is the same submit', async (t) => {
  const token = await hub.token('admin');
  const submit = () =>
    hubClient({ url: hub.url, token, signWith: taskSigner({ key: file }) }).tasks.submit({ description: 'once' }, { idempotencyKey: 'k1' });
  t.equal((await submit()).task_id, (await submit()).task_id);
});

t.test('the hub refuses malformed signatures', async (t) => {
  for (const signature of ['x', 'a.b', 'a.b.c.d', 'a.b.ö', `${'a'.repeat(9_000)}.b.c`])
    await t.rejects(hub.api.tasks.submit({ description: 'x', signature }), { code: 'AC_API', message: /signature/ });
});
