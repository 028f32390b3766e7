/** A machine joins a hub by commands alone: a secret from the hub, one command there, and its sidecar has a config and a token. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { askHub } from '../../../apps/cli/doctor/ask-hub.ts';
import { apiUrlOf } from '../../../apps/sidecar/enrolment.ts';
import { loadConfigFile } from '../../../apps/config/load.ts';
import { enrolHubProof, sealedEnrolToken } from '../../../core/protocol/enrol-proof.ts';
import { runningHub } from '../running-hub.ts';
import { freePort, run, testHub, type TestHub } from './cli-world.ts';

async function folder(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-join-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
const { sha256, hmac } = systemDigest();
const SECRET = { AGENTCOM_ENROL_SECRET: 'a-secret' };
/** A hub that knows the secret, or an older one that cannot prove it. */
const enrolling = (t: Test, isOlder = false, prefix = ''): Promise<TestHub> =>
  testHub(t, (app) =>
    app
      .post(`${prefix}/api/onboard/register`, (c) => {
        const body = c.sent<Readonly<Record<string, string>>>();
        const answer = { agent_id: 'gcu-two', hub_ws_url: 'ws://elsewhere/ws', hub_api_url: 'http://elsewhere' };
        if ('secret' in body) return c.json({ ...answer, token: 'the-token' }, 201);
        if (isOlder) return c.json({ error: 'validation_failed', message: 'secret_hint is unknown' }, 400);
        const { agent_id: agentId = '', secret_hint: tokenHint = '', nonce = '', sealed_secret: sealed } = body;
        const handshake = { agentId, tokenHint, nonce, hubNonce: 'ab'.repeat(32) };
        const key = sha256(SECRET.AGENTCOM_ENROL_SECRET);
        if (sealed === undefined) return c.json({ hub_nonce: handshake.hubNonce, proof: enrolHubProof(key, handshake, hmac) });
        return c.json({ ...answer, ...sealedEnrolToken('the-token', key, handshake, hmac) }, 201);
      })
      .get(`${prefix}/health`, (c) => c.json({ status: 'ok', version: '1.0.0' }))
      .post(`${prefix}/admin/enrol-secrets`, (c) => c.json({ secret: 'fresh', expires_at: 1_900_000_000_000 }, 201)),
  );

t.test('a secret is printed alone, with instructions apart from it', async (t) => {
  const hub = await enrolling(t);
  const ran = await hub.run(['invite']);
  t.equal(ran.out, 'fresh\n');
  // The address on the hub's own machine is useless on another.
  t.match(
    ran.err,
    /until 2030-03-1[78] \d\d:\d\d:40 .*: agentcom join http:\/\/HOST:\d+ CODE --agent NAME, with the name .* as HOST\. If .* through a proxy, .*--url ADDRESS/,
  );
  t.notMatch(ran.err, /127\.0\.0\.1/);
});

t.test('a hub on loopback only: invite warns that no other machine can join, and prints a command for this one', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const dir = await folder(t);
  const env = { AGENTCOM_API_URL: hub.url, AGENTCOM_ADMIN_TOKEN: hub.adminToken };
  const invited = await run(['invite'], { env, cwd: dir });
  t.equal(invited.code, 0, invited.err);
  t.match(invited.err, /Warning: no other machine can join .*hub\.listen\.host .*hub\.listen\.names .*docs\/configuration\.md/);
  t.notMatch(invited.err, /HOST/);
  const argv = /: agentcom (join .*)/.exec(invited.err)?.[1]?.replace('CODE', invited.out.trim()).replace('NAME', 'w-1').split(' ') ?? [];
  const joined = await run(argv, { cwd: dir });
  t.equal(joined.code, 0, joined.err);
  const json = await run(['invite', '--json'], { env, cwd: dir });
  t.match(JSON.parse(json.out), { loopback_only: true });

  const proxied = await runningHub({ names: ['hub.example.org'] });
  t.teardown(() => proxied.stop());
  const named = await run(['invite'], { env: { AGENTCOM_API_URL: proxied.url, AGENTCOM_ADMIN_TOKEN: proxied.adminToken }, cwd: dir });
  t.match(named, { code: 0, err: /agentcom join http:\/\/HOST:/ });
  t.notMatch(named.err, /Warning/);
});

t.test('an unreachable hub: what to check on the way to another machine', async (t) => {
  const dir = await folder(t);
  const url = `http://127.0.0.1:${await freePort()}`;
  const ran = await run(['join', url, 'a-secret', '--agent', 'w-2', '--dir', dir], { cwd: dir });
  t.equal(ran.code, 7);
  t.match(ran.err, /cannot be reached from this machine: ECONNREFUSED\. Check the name and the port, .*hub\.listen\.host/);
  t.notMatch(ran.err, /--url|agentcom hub"/);
});

t.test('join writes a config that the sidecar accepts, and a token file for its owner only', async (t) => {
  const hub = await enrolling(t);
  const dir = await folder(t);
  const argv = ['join', hub.url, '--agent', 'gcu-two', '--capability', 'code', '--dir', dir];
  const ran = await run(argv, { env: SECRET, cwd: dir });
  t.equal(ran.code, 0, ran.err);
  t.match(JSON.parse(hub.requests[1]?.body ?? ''), { agent_id: 'gcu-two', sealed_secret: /^[0-9a-f]{16}$/ });
  t.notOk(
    hub.requests.some(({ body }) => body.includes('a-secret')),
    'the secret itself is not sent',
  );
  t.notOk(hub.requests[0]?.headers['authorization'], 'the secret is all that it has');
  const { config } = await loadConfigFile({ configFile: join(dir, 'agentcom.config.ts'), cwd: dir });
  t.match(config.sidecar, { hubs: [`${hub.url.replace('http', 'ws')}/ws`], agentId: 'gcu-two', capabilities: ['code'] });
  const token = join(config.sidecar?.dataDir ?? '', 'token');
  t.equal((await readFile(token, 'utf8')).trim(), 'the-token');
  t.equal((await stat(token)).mode & 0o777, 0o600);
  const again = await run(argv, { env: SECRET, cwd: dir });
  t.equal(again.code, 2);
  t.match(again.err, /already exists/);
  t.equal(hub.requests.length, 2, 'and the secret was not used up for it');
});

t.test('a hub that cannot prove that it knows the secret does not get it, an older one only with --insecure', async (t) => {
  const dir = await folder(t);
  const hub = await enrolling(t);
  const wrong = await hub.run(['join', hub.url, '--agent', 'gcu-two', '--dir', dir], {
    env: { AGENTCOM_ENROL_SECRET: 'another' },
    cwd: dir,
  });
  t.equal(wrong.code, 2);
  t.match(wrong.err, /The hub at http:\S+ did not prove that it knows this code\. .*wrong, used.*agentcom invite.*was not sent/);
  const older = await enrolling(t, true);
  const argv = ['join', older.url, '--agent', 'gcu-two', '--dir', dir];
  const refused = await run(argv, { env: SECRET, cwd: dir });
  t.equal(refused.code, 2);
  t.match(refused.err, /older than this command.*https:\/\/.*--insecure.*was not sent/);
  t.notOk([...hub.requests, ...older.requests].some(({ body }) => /a-secret|another/.test(body)));
  const sent = await run([...argv, '--insecure'], { env: SECRET, cwd: dir });
  t.equal(sent.code, 0, sent.err);
  t.match(sent.err, /older than this command and did not prove itself/);
  t.strictSame(JSON.parse(older.requests.at(-1)?.body ?? ''), { agent_id: 'gcu-two', secret: 'a-secret' });
});

t.test('for a sidecar of the original: its config.json', async (t) => {
  const hub = await enrolling(t);
  const dir = await folder(t);
  const made = join(dir, 'made');
  const ran = await run(['join', `${hub.url}/`, '--agent', 'gcu-two', '--version-1', '--dir', made], { env: SECRET, cwd: dir });
  t.equal(ran.code, 0, ran.err);
  const file = join(made, 'config.json');
  t.match(JSON.parse(await readFile(file, 'utf8')), {
    agent_id: 'gcu-two',
    token: 'the-token',
    hub_url: `${hub.url.replace('http', 'ws')}/ws`,
    hub_api_url: hub.url,
    results_dir: './results',
  });
  t.equal((await stat(file)).mode & 0o777, 0o600);
});

t.test('missing requirements are reported before the secret is used', async (t) => {
  const hub = await enrolling(t);
  const dir = await folder(t);
  await writeFile(join(dir, 'taken'), '');
  const cases = [
    { argv: ['join', hub.url, '--agent', 'gcu-two'], env: {}, code: 2, says: /agentcom invite/ },
    { argv: ['join', hub.url, '--agent', 'GCU'], env: SECRET, code: 2, says: /agent ID of lowercase/ },
    {
      argv: ['join', hub.url, '--agent', 'gcu-two', '--capability', ''],
      env: SECRET,
      code: 2,
      says: /--capability: expected a word of 1 to 64/,
    },
    { argv: ['join', 'hub:4000', '--agent', 'gcu-two'], env: SECRET, code: 2, says: /http:\/\/host:port/ },
    {
      argv: ['join', hub.url, '--agent', 'gcu-two', '--version-1', '--dir', join(dir, 'taken')],
      env: SECRET,
      code: 2,
      says: /Cannot write/,
    },
  ];
  for (const { argv, env, code, says } of cases) {
    const ran = await run(argv, { env, cwd: dir });
    t.equal(ran.code, code, ran.err);
    t.match(ran.err, says);
  }
  t.equal(hub.requests.length, 0);
});

t.test('a hub under a path of a proxy: the path stays', async (t) => {
  const hub = await enrolling(t, false, '/agentcom');
  const dir = await folder(t);
  const url = `${hub.url}/agentcom`;
  const ran = await run(['join', `${url}/`, '--agent', 'gcu-two', '--dir', dir], { env: SECRET, cwd: dir });
  t.equal(ran.code, 0, ran.err);
  const { config } = await loadConfigFile({ cwd: dir });
  const [socket = ''] = config.sidecar?.hubs ?? [];
  t.equal(socket, `${url.replace('http', 'ws')}/ws`);
  t.equal(apiUrlOf(socket), url);
  t.equal(apiUrlOf('wss://example.org/ws'), 'https://example.org');
  t.match(await askHub(url), { kind: 'hub' }, 'the doctor asks there');
  t.match((await run(['invite', '--url', url, '--token', 't'])).err, /agentcom join http:\/\/HOST:\d+\/agentcom CODE/);
});
