/** How a sidecar comes by its token: what the environment gives is taken, and what cannot work is said at once. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { memoryLog } from '../../adapters/log-memory/memory-log.ts';
import { loadConfigFile } from '../../apps/config/load.ts';
import { sidecarToken } from '../../apps/sidecar/enrolment.ts';
import { writeFile } from 'node:fs/promises';
import { testHub } from './cli-world.ts';

/** What the environment holds during one test alone. */
function environment(t: Test, values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) {
    const before = process.env[name];
    process.env[name] = value;
    t.teardown(() => (before === undefined ? delete process.env[name] : (process.env[name] = before)));
  }
}

async function tokenAt(t: Test, hubUrl: string, more = ''): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-enrol-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'agentcom.config.ts');
  await writeFile(file, `export default { sidecar: { hubs: [${JSON.stringify(hubUrl)}], agentId: 'w1'${more} } };\n`);
  const { config } = await loadConfigFile({ configFile: file, cwd: dir });
  if (config.sidecar === undefined) throw new Error('no sidecar');
  return sidecarToken({ config: config.sidecar, hubDataDir: null, log: memoryLog(), signal: AbortSignal.timeout(2_000) });
}

t.test('AGENTCOM_TOKEN is the token, also where the config does not read it', async (t) => {
  environment(t, { AGENTCOM_TOKEN: 'from-the-environment' });
  t.equal(await tokenAt(t, 'ws://127.0.0.1:1/ws'), 'from-the-environment');
});

t.test('a secret that the hub does not take ends it at once, with what to do', async (t) => {
  environment(t, { AGENTCOM_ENROL_SECRET: 'used' });
  const hub = await testHub(t, (app) =>
    app.post('/api/onboard/register', (c) => c.json({ error: 'invalid_secret', message: 'was used' }, 401)),
  );
  await t.rejects(tokenAt(t, `${hub.url.replace('http', 'ws')}/ws`), {
    code: 'AC_ENROL',
    message: /AGENTCOM_ENROL_SECRET.*agentcom invite/,
  });
  t.equal(hub.requests.length, 1);
});

t.test('with neither token nor secret it says how to get one', async (t) => {
  await t.rejects(tokenAt(t, 'ws://127.0.0.1:1/ws'), { code: 'AC_ENROL', message: /AGENTCOM_TOKEN/ });
});

t.test('the secret goes over no plain line to another machine, unless the config trusts it', async (t) => {
  environment(t, { AGENTCOM_ENROL_SECRET: 'never-said' });
  // An address of documentation: nobody is there, and nobody is asked.
  const plain = 'ws://192.0.2.1:4000/ws';
  await t.rejects(tokenAt(t, plain, ', insecure: true'), { code: 'AC_ENROL', message: /wss:\/\/.*plainToken.*was not sent/ });
  const trusted = tokenAt(t, 'ws://hub.invalid:4000/ws', ', insecure: true, plainToken: true');
  await t.rejects(trusted, { name: 'AbortError' }, 'asked again and again until somebody answers');
});
