/** The doctor on a sidecar's machine: everything that keeps a sidecar from working is found, with its remedy. */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { WebSocketServer } from 'ws';
import { examineLink } from '../../../apps/cli/doctor/examine-link.ts';
import { loadConfigFile } from '../../../apps/config/load.ts';
import { deviceKeyIn } from '../../../apps/signing/device-key-file.ts';
import { VERSION } from '../../../apps/version.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { hubProof } from '../../../core/protocol/proof.ts';
import { freePort, run, testHub } from '../cli/cli-world.ts';
import { runningHub } from '../running-hub.ts';
import type { Answer } from './doctor-world.ts';

interface Machine {
  readonly folder: string;
  readonly dataDir: string;
  /** What the doctor finds with this runner and hub: `check: what`, damage and notices apart. */
  look(over?: {
    readonly wake?: string;
    readonly hubs?: readonly string[];
    readonly plainToken?: boolean;
    readonly accept?: string;
    readonly deviceKey?: boolean;
  }): Promise<Found>;
}
interface Found {
  readonly code: number;
  readonly damages: readonly string[];
  readonly notices: readonly string[];
}

const RUNS = `command({ argv: ['node'] })`;

async function machine(t: Test, hubUrl: string): Promise<Machine> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-machine-'));
  const dataDir = join(folder, 'data');
  await mkdir(dataDir, { mode: 0o700 });
  t.teardown(() => rm(folder, { recursive: true }));
  let configs = 0;
  return {
    folder,
    dataDir,
    async look({ wake = RUNS, hubs = [hubUrl.replace('http', 'ws') + '/ws'], plainToken = true, accept = '{}', deviceKey = false } = {}) {
      const config = join(folder, `${(configs += 1)}.config.ts`);
      await writeFile(
        config,
        `import { defineConfig } from 'agentcom';
import { command } from 'agentcom/runners';
export default defineConfig({ sidecar: { hubs: ${JSON.stringify(hubs)}, agentId: 'a1', token: 'tok-of-a1', plainToken: ${plainToken}, deviceKey: ${deviceKey}, dataDir: 'data', accept: ${accept}, wake: ${wake} } });
`,
      );
      const { out, err, code } = await run(['doctor', '--json', '--config', config], { cwd: folder });
      if (err !== '') throw new Error(err);
      const { findings } = JSON.parse(out) as Answer;
      for (const { check, hint } of findings) if (hint === '') throw new Error(`no hint for ${check}`);
      const of = (severity: string): readonly string[] =>
        findings.filter((one) => one.severity === severity).map(({ check, found }) => `${check}: ${found}`);
      return { code, damages: of('error'), notices: of('notice').filter((each) => !/^(no_reserve|never_started)/.test(each)) };
    },
  };
}

/** A hub that reports the caller's identity and the time. */
const hubOf = async (
  t: Test,
  reported: {
    readonly status?: 200 | 401 | 503;
    readonly agentId?: string;
    readonly role?: string;
    readonly offMs?: number;
    readonly isDegraded?: boolean;
  } = {},
) => {
  const { status = 200, agentId = 'a1', role = 'agent', offMs = 0, isDegraded = false } = reported;
  const state = isDegraded ? 'degraded' : 'ok';
  return testHub(t, (app) => {
    app.get('/health', (c) => c.json({ status: state, version: VERSION, server_time: Date.now() + offMs }));
    app.get('/api/whoami', (c) => c.json({ id: 'tok-1', role, agent_id: agentId, server_time: Date.now() + offMs }, status));
  });
};

const matchAll = (t: Test, found: readonly string[], ...wanted: readonly RegExp[]): void => {
  t.equal(found.length, wanted.length, JSON.stringify(found));
  for (const [place, pattern] of wanted.entries()) t.match(found[place], pattern);
};

t.test('a machine that has everything it needs', async (t) => {
  const hub = await hubOf(t);
  const found = await (await machine(t, hub.url)).look();
  t.same(found, { code: 0, damages: [], notices: [] });
  const [health, whoami] = hub.requests;
  t.match([health, whoami], [{ request: 'GET /health' }, { request: 'GET /api/whoami', headers: { authorization: 'Bearer tok-of-a1' } }]);
  t.equal(health?.headers['authorization'], undefined);
});

t.test('a hub whose database cannot commit is a finding, whether or not it can look up the token', async (t) => {
  for (const status of [200, 503] as const) {
    const found = await (await machine(t, (await hubOf(t, { isDegraded: true, status })).url)).look();
    t.equal(found.code, 8);
    matchAll(t, found.damages, /^hub_degraded: the hub at ws:.* is running, but its database cannot commit$/);
  }
});

t.test('keys whose signatures it trusts: missing, private, expired and soon to expire', async (t) => {
  const here = await machine(t, (await hubOf(t)).url);
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const jwk = JSON.stringify(publicKey.export({ format: 'jwk' }));
  await writeFile(join(here.folder, 'private.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const dayIn = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
  const accept = `{ signedBy: [{ publicKey: ${jwk}, notAfter: '${dayIn(30)}' }, { publicKey: 'gone.jwk' }, { publicKey: 'private.pem' },
    { name: 'old', publicKey: ${jwk}, notAfter: '2025-12-31' }, { name: 'soon', publicKey: ${jwk}, notAfter: '${dayIn(3)}' }] }`;
  const found = await here.look({ accept });
  matchAll(
    t,
    found.damages,
    /^trusted_key: sidecar\.accept\.signedBy\[1\]: .*gone\.jwk: ENOENT/,
    /^trusted_key: sidecar\.accept\.signedBy\[2\]: .*found a private one/,
    /^trusted_key: the key "old" of sidecar\.accept\.signedBy expired at 2025-12-31T23:59:59\.999Z/,
  );
  matchAll(t, found.notices, /^trusted_key_expires: the key "soon" .* expires at/);
});

t.test('its program is missing, and so is its folder', async (t) => {
  const here = await machine(t, (await hubOf(t)).url);
  matchAll(
    t,
    (await here.look({ wake: `command({ argv: ['no-such-agent'] })` })).damages,
    /^wake_runner: runner command, program: There is no "no-such-agent"/,
  );
  matchAll(
    t,
    (await here.look({ wake: `command({ argv: ['node'], cwd: './gone' })` })).damages,
    /^wake_runner: runner command, cwd: .*gone" is not a folder/,
  );
});

t.test('the script of its program is missing: a notice', async (t) => {
  const here = await machine(t, (await hubOf(t)).url);
  const found = await here.look({ wake: `command({ argv: ['node', 'agent.mjs'] })` });
  matchAll(t, found.notices, /^wake_runner_warning: runner command: argv names the script "agent\.mjs", but there is no such file in "/);
  t.match(found, { code: 0, damages: [] });
});

t.test('what a third-party runner reports or does', async (t) => {
  const here = await machine(t, (await hubOf(t)).url);
  const runner = (check: string): string =>
    `{ port: 'wake-runner', name: 'other', options: {}, capabilities: {}, problems: () => [], create: async () => ({ adoptable: true, wake() {}, attach() {}, check: ${check} }) } as never`;
  const reports = (check: string, message: string): string =>
    runner(`async () => [{ check: '${check}', ok: false, message: '${message}' }]`);
  matchAll(
    t,
    (await here.look({ wake: reports('version', '1.0.0 is too old, expected 2.1.328. Update it.') })).damages,
    /^wake_runner: runner other, version: 1\.0\.0 is too old/,
  );
  matchAll(
    t,
    (await here.look({ wake: reports('logged in', 'not logged in: run agent login') })).damages,
    /logged in: not logged in: run agent login$/,
  );
  matchAll(
    t,
    (await here.look({ wake: runner(`() => { throw new Error('it broke') }`) })).damages,
    /runner other, runner: checks threw: it broke$/,
  );
});

t.test('the hub is unreachable, refuses the token, has it for another agent, or its clock differs', async (t) => {
  const here = await machine(t, `http://127.0.0.1:${await freePort()}`);
  matchAll(t, (await here.look()).damages, /^hub_away: no hub answers at ws:.*ECONNREFUSED/);
  const away = `ws://127.0.0.1:${await freePort()}/ws`;
  const well = (await hubOf(t)).url.replace('http', 'ws');
  t.same((await here.look({ hubs: [away, `${well}/ws`] })).damages, [], 'one that answers is enough');
  const at = async (reported: Parameters<typeof hubOf>[1]): Promise<readonly string[]> =>
    (await here.look({ hubs: [`${(await hubOf(t, reported)).url.replace('http', 'ws')}/ws`] })).damages;
  matchAll(
    t,
    await at({ status: 401 }),
    /^token: the hub at http:\S+ refuses the token of agent a1: .*; it was taken from sidecar\.token of /,
  );
  matchAll(t, await at({ agentId: 'a2' }), /^token: the token of agent a1 belongs to agent a2; /);
  matchAll(t, await at({ role: 'viewer' }), /belongs to a viewer; /);
  matchAll(t, await at({ offMs: 600_000 }), /^clock: this machine's clock is 10 min behind the hub's$/);
  matchAll(t, await at({ offMs: -600_000 }), /10 min ahead of the hub's$/);
  t.same(await at({ offMs: 200_000 }), []);
});

t.test('a sidecar that has lost its token cannot enroll again at the hub of its config', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-machine-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const { port, host } = new URL(hub.url);
  const file = join(folder, 'agentcom.config.ts');
  await writeFile(
    file,
    `import { memory } from 'agentcom/storage';
import { ws } from 'agentcom/transport';
export default {
  hub: { listen: { port: ${port} }, storage: memory(), transport: ws(), adminToken: '${hub.adminToken}' },
  sidecar: { hubs: ['ws://${host}/ws'], agentId: 'a1', dataDir: 'data' },
};
`,
  );
  const { config } = await loadConfigFile({ configFile: file, cwd: folder });
  const { sidecar } = config;
  if (sidecar === undefined) throw new Error('no sidecar');
  const findings = async () => (await examineLink({ config, sidecar, file, env: {}, isPortTaken: false })).findings;
  t.same(await findings(), [], 'it enrolls at its first start');
  await hub.token('agent', 'a1');
  t.match(await findings(), [
    { check: 'no_token', what: /has a token for agent a1, and it is not in .*data\/token$/, hint: /tokens revoke a1/ },
  ]);
  await hub.api.tokens.revoke('a1');
  t.same(await findings(), []);
});

const FREE = { type: 'identify_checked', agent_id: 'a1', in_use: false };

/** A hub's socket and clock; `answer` is its answer to a hello. */
async function provingHub(t: Test, answer: (hello: Record<string, string>) => unknown, offMs = 0, checked: unknown = FREE) {
  const received: string[] = [];
  const server = createServer((request, response) => {
    received.push(`${request.url} ${JSON.stringify(request.headers)}`);
    response.end(JSON.stringify({ status: 'ok', version: VERSION, server_time: Date.now() + offMs }));
  });
  new WebSocketServer({ server, path: '/ws' }).on('connection', (socket) => {
    socket.on('message', (data: Buffer) => {
      received.push(data.toString());
      const reported = JSON.parse(data.toString()) as Record<string, string>;
      socket.send(JSON.stringify(reported['type'] === 'identify_check' ? checked : answer(reported)));
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { hubs: [`ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`], received };
}

t.test('the hub proves that it knows the token, and never sees it', async (t) => {
  const here = await machine(t, '');
  const { sha256, hmac } = systemDigest();
  const hubNonce = '0b'.repeat(32);
  const challenge =
    (key: string) =>
    ({ agent_id: agentId = '', token_hint: tokenHint = '', nonce = '' }: Record<string, string>) => ({
      type: 'challenge',
      nonce: hubNonce,
      proof: hubProof(key, { agentId, tokenHint, nonce, hubNonce }, hmac),
    });
  const key = sha256('tok-of-a1');
  const error = (word: string) => () => ({ type: 'error', error: word, message: 'no' });
  const cases: readonly (readonly [answer: Parameters<typeof provingHub>[1], offMs: number, ...wanted: RegExp[]])[] = [
    [challenge(key), 0],
    [challenge(key), 600_000, /^clock: this machine's clock is 10 min behind/],
    [challenge(sha256('another')), 600_000, /^token: the hub at \S+ does not know the token of agent a1: .*revoked/],
    [error('not_identified'), 0, /^hub_proof: .*older version$/],
    [error('rate_limited'), 0, /^hub_away: .*rate_limited/],
    [() => 'words', 0, /^hub_away: .*does not speak the protocol of a hub/],
  ];
  for (const [answer, offMs, ...wanted] of cases) {
    const hub = await provingHub(t, answer, offMs);
    matchAll(t, (await here.look({ hubs: hub.hubs, plainToken: false })).damages, ...wanted);
    t.match(hub.received[0], /^\/health /);
    t.match(hub.received[1], /"type":"hello","agent_id":"a1"/);
    for (const output of hub.received) t.notMatch(output, /tok-of-a1|bearer/i);
  }
});

/** The answer of a hub that knows the token of a1. */
function proves({ agent_id: agentId = '', token_hint: tokenHint = '', nonce = '' }: Record<string, string>) {
  const { sha256, hmac } = systemDigest();
  const hubNonce = '0b'.repeat(32);
  return { type: 'challenge', nonce: hubNonce, proof: hubProof(sha256('tok-of-a1'), { agentId, tokenHint, nonce, hubNonce }, hmac) };
}

t.test('a hub without identify_check is fine, one where another machine uses the agent id is not', async (t) => {
  const here = await machine(t, '');
  for (const [checked, ...wanted] of [
    [{ type: 'error', error: 'not_identified', message: 'no' }],
    [{ ...FREE, in_use: true }, /^agent_id_in_use: another machine is connected to the hub at \S+ as agent a1$/],
    [{ type: 'error', error: 'invalid_token', message: 'no' }, /^token: .* it has expired; it was taken from sidecar\.token of /],
  ] as const) {
    const hub = await provingHub(t, proves, 0, checked);
    matchAll(t, (await here.look({ hubs: hub.hubs, plainToken: false })).damages, ...wanted);
  }
});

t.test('an agent that is bound to another device key: says what is here instead, and makes no key', async (t) => {
  const here = await machine(t, '');
  const file = join(here.dataDir, 'device-key.jwk');
  const hub = await provingHub(t, proves, 0, { ...FREE, wrong_device: true });
  const found = async (deviceKey: boolean) => (await here.look({ hubs: hub.hubs, plainToken: false, deviceKey })).damages;
  matchAll(
    t,
    await found(false),
    /^device_key: the hub at \S+ has agent a1 bound to a device key, and sidecar\.deviceKey is not set here$/,
  );
  matchAll(t, await found(true), /^device_key: .* there is no \S+device-key\.jwk$/);
  t.notOk(existsSync(file));
  const { publicKey } = await deviceKeyIn(here.dataDir);
  matchAll(t, await found(true), /^device_key: .* \S+device-key\.jwk is not it$/);
  t.match(JSON.parse(hub.received.at(-1) ?? ''), { type: 'identify_check', device_key: publicKey, device_proof: /./ });
  await writeFile(file, 'no key');
  matchAll(t, await found(true), /^device_key: Cannot use the device key \S+: /);
});

t.test('hubs that accept a connection and never answer cost 5 s in all, not 5 s each', async (t) => {
  const hubs = await Promise.all([1, 2, 3].map(() => testHub(t, (app) => app.get('/health', () => new Promise(() => undefined)))));
  const urls = hubs.map(({ url }) => `${url.replace('http', 'ws')}/ws`);
  const here = await machine(t, '');
  const beganMs = performance.now();
  matchAll(
    t,
    (await here.look({ hubs: urls })).damages,
    /^hub_away: no hub answers at ws:.* within 5 s; no hub .* within 5 s; no hub .* within 5 s$/,
  );
  t.ok(performance.now() - beganMs < 9_500, `${(performance.now() - beganMs).toFixed(0)} ms`);
});

/** Why no disk can be mounted here; false if one can. */
const noMount = (() => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'mounting a disk needs root on Linux';
  try {
    execFileSync('unshare', ['--mount', 'true'], { stdio: 'ignore' });
    return false;
  } catch (error) {
    return `no right to mount here: ${String(error)}`;
  }
})();

t.test('its data directory is full, or cannot be written', { skip: noMount }, async (t) => {
  const here = await machine(t, (await hubOf(t)).url);
  const mount = (options: string): void => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', here.dataDir]);
    t.teardown(() => execFileSync('umount', ['-l', here.dataDir]));
  };
  mount('size=4m,mode=0700');
  const full = await here.look();
  matchAll(t, full.damages, /^disk_full: only 4 MiB are free on the disk of /);
  t.equal(full.code, 8);
  mount('ro,size=64m,mode=0700');
  matchAll(t, (await here.look()).damages, /^data_dir: .* cannot be written by this user: EROFS/);
});

t.test('what the doctor says it checked does not include the hub, the token and the clock if no hub answered', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-machine-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const port = await freePort();
  const text = (hubUrl: string): string => `import { defineConfig } from 'agentcom';
import { sqlite } from 'agentcom/storage';
import { ws } from 'agentcom/transport';
export default defineConfig({
  hub: { listen: { port: ${port} }, storage: sqlite({ file: 'agentcom.db' }), transport: ws() },
  sidecar: { hubs: ['${hubUrl}'], agentId: 'a1', token: 'tok-of-a1' },
});
`;
  const answering = await provingHub(t, proves);
  for (const [hubUrl, code, seen] of [
    [
      `ws://127.0.0.1:${port}/ws`,
      0,
      /^sidecar a1: .*, folder, disk and wake runner; not hub, token and clock, because no hub answered\)$/m,
    ],
    [answering.hubs[0] ?? '', 0, /^sidecar a1: .*, folder, disk, hub, token, clock and wake runner\)$/m],
  ] as const) {
    await writeFile(join(folder, 'agentcom.config.ts'), text(hubUrl));
    t.match(await run(['doctor'], { cwd: folder }), { code, out: seen }, hubUrl);
  }
});
