import t from 'tap';
import type { AdapterChoice, ConfigProblem } from '../../../core/config/config.ts';
import { HUB_LIMITS } from '../../../core/config/limits.ts';
import { resolveConfig, type ResolveAnswer } from '../../../core/config/resolve.ts';
import { HUB_TIMING, SIDECAR_TIMING } from '../../../core/config/times.ts';
import { WAKE_RUNNER_CONTRACT } from '../../../core/ports/wake-runner.ts';

const PLACE = { baseDir: '/etc/agentcom', absolute: (path: string) => (path.startsWith('/') ? path : `/etc/agentcom/${path}`) };
const SECRET = 'S3CR3T-'.padEnd(40, 'x');

const choice = (port: string, name: string, problems: readonly ConfigProblem[] = []): AdapterChoice<string, unknown, never> => ({
  port,
  name,
  options: {},
  capabilities: {},
  problems: () => problems,
  create: () => Promise.reject(new Error('nothing is created while a config is checked')),
});
const storage = choice('storage', 'sqlite');
const transport = choice('transport', 'ws');
const WITH_TLS = { ...transport, capabilities: { tls: true, tls13Only: true } };
const TLS = { certFile: 'tls/cert.pem', keyFile: '/etc/keys/key.pem' };
const wake = choice('wake-runner', 'command');
const hub = { storage, transport };
const sidecar = { hubs: ['ws://127.0.0.1:4000/ws'], agentId: 'worker-1' };

const problemsOf = (answer: ResolveAnswer): readonly ConfigProblem[] => (answer.kind === 'invalid' ? answer.problems : []);
const check = (config: unknown): readonly ConfigProblem[] => problemsOf(resolveConfig(config, PLACE));

t.test('defaults are filled in, folders are absolute, everything is frozen', async (t) => {
  const answer = resolveConfig({ hub, sidecar: { ...sidecar, capabilities: ['code', 'gpu', 'code'] } }, PLACE);
  if (answer.kind === 'invalid') {
    t.fail(JSON.stringify(answer.problems));
    return;
  }
  const { config } = answer;
  t.strictSame(config.hub, {
    host: '127.0.0.1',
    port: 4000,
    names: [],
    origins: [],
    tls: null,
    insecure: false,
    trustedProxies: [],
    storage,
    transport,
    dataDir: '/etc/agentcom/data/hub',
    archiveDir: null,
    adminToken: undefined,
    agentMessages: true,
    limits: HUB_LIMITS,
    timing: HUB_TIMING,
  });
  t.strictSame(config.sidecar, {
    hubs: ['ws://127.0.0.1:4000/ws'],
    agentId: 'worker-1',
    name: 'worker-1',
    token: undefined,
    dataDir: '/etc/agentcom/data/worker-1',
    capabilities: ['code', 'gpu'],
    slots: 1,
    wake: undefined,
    insecure: false,
    plainToken: false,
    deviceKey: false,
    tls: { fingerprints: [], caFile: null },
    accept: { policy: null, signedBy: [], audiences: [] },
    timing: SIDECAR_TIMING,
  });
  const parts = [config, config.hub, config.hub?.timing, config.hub?.timing.backoff, config.hub?.limits];
  for (const part of [...parts, config.sidecar?.timing.wakeRetriesMs]) t.ok(Object.isFrozen(part));
  t.equal(config.hub?.storage, storage, 'an adapter is passed on unchanged');
});

t.test('TLS file paths are absolute', (t) => {
  const config = {
    hub: { ...hub, transport: WITH_TLS, listen: { tls: { ...TLS, minVersion: 'TLSv1.3' } } },
    sidecar: { ...sidecar, tls: { caFile: 'ca.pem' } },
  };
  const answer = resolveConfig(config, PLACE);
  t.match(answer.kind === 'resolved' && answer.config, {
    hub: { tls: { certFile: '/etc/agentcom/tls/cert.pem', keyFile: '/etc/keys/key.pem', minVersion: 'TLSv1.3' } },
    sidecar: { tls: { fingerprints: [], caFile: '/etc/agentcom/ca.pem' } },
  });
  t.end();
});

t.test('given options are merged with the defaults, and undefined counts as absent', async (t) => {
  const timing = { leaseMs: 5_000, acceptMs: undefined };
  const answer = resolveConfig({ hub: { ...hub, timing, limits: undefined, adminToken: undefined }, sidecar: undefined }, PLACE);
  if (answer.kind === 'invalid') {
    t.fail(JSON.stringify(answer.problems));
    return;
  }
  t.strictSame(answer.config.hub?.timing, { ...HUB_TIMING, leaseMs: 5_000 });
  t.equal(answer.config.sidecar, undefined);
});

/** A config, and each error that must be reported for it: a path, and a part of its message. */
const MISTAKES: readonly (readonly [name: string, config: unknown, expected: readonly (readonly [path: string, message: RegExp])[]])[] = [
  ['not an object', 'hub', [['(the whole config)', /^expected an object with hub, sidecar or both, found "hub"$/]]],
  ['a list', [], [['(the whole config)', /found an empty list$/]]],
  ['nothing', null, [['(the whole config)', /found null$/]]],
  ['neither part', {}, [['(the whole config)', /^the default export must contain hub, sidecar or both$/]]],
  ['a misspelt part', { hub, sidcar: sidecar }, [['sidcar', /did you mean "sidecar"\?$/]]],
  ['a misspelt key', { hub: { ...hub, dataDri: 'x' } }, [['hub.dataDri', /did you mean "dataDir"\?$/]]],
  ['a misspelt key by case', { hub: { ...hub, datadir: 'x' } }, [['hub.datadir', /did you mean "dataDir"\?$/]]],
  ['a misspelt time', { hub: { ...hub, timing: { hartbeatMs: 1 } } }, [['hub.timing.hartbeatMs', /did you mean "heartbeatMs"\?$/]]],
  [
    'a key like no other',
    { sidecar: { ...sidecar, color: 1 } },
    [['sidecar.color', /^there is no such option; expected one of hubs, agentId, name/]],
  ],
  ['a missing adapter', { hub: { transport } }, [['hub.storage', /^is missing; expected what sqlite\(/]]],
  ['a factory that was not called', { hub: { ...hub, storage: () => storage } }, [['hub.storage', /found a function \(call it\)$/]]],
  [
    'an adapter of another port',
    { hub: { storage: transport, transport } },
    [['hub.storage', /found "ws", which is a transport adapter, not a storage adapter$/]],
  ],
  [
    'a runner that is made for a later agentcom',
    { sidecar: { ...sidecar, wake: { ...wake, capabilities: { contract: WAKE_RUNNER_CONTRACT + 1 } } } },
    [['sidecar.wake', /^the wake runner "command" was built for version \d+ of the contract, .* Update agentcom/]],
  ],
  ['an adapter promised', { hub: { ...hub, storage: Promise.resolve(storage) } }, [['hub.storage', /found a promise \(await it\)$/]]],
  [
    "an adapter's own mistakes",
    { hub: { storage: choice('storage', 'sqlite', [{ path: 'file', message: 'expected a text, found 3' }]), transport } },
    [['hub.storage.file', /^expected a text, found 3$/]],
  ],
  [
    "a runner's own mistakes",
    {
      sidecar: {
        ...sidecar,
        wake: choice('wake-runner', 'command', [
          { path: '[0]', message: 'a' },
          { path: '', message: 'b' },
        ]),
      },
    },
    [
      ['sidecar.wake[0]', /^a$/],
      ['sidecar.wake', /^b$/],
    ],
  ],
  [
    'a port that is a text',
    { hub: { ...hub, listen: { port: '4000' } } },
    [['hub.listen.port', /^expected a whole number from 0 to 65535, found "4000"$/]],
  ],
  [
    'a host with its port',
    { hub: { ...hub, listen: { host: '127.0.0.1:4000', names: ['hub.example.org:4000', 'ok.example', 'fe80::1'] } } },
    [
      ['hub.listen.host', /found "127\.0\.0\.1:4000"$/],
      ['hub.listen.names[0]', /without scheme, port and path, found "hub/],
    ],
  ],
  [
    'origins with a path, without a scheme, or any',
    { hub: { ...hub, listen: { origins: ['https://ops.example', 'http://[::1]:5173', 'https://ops.example/', 'ops.example', '*'] } } },
    [
      ['hub.listen.origins[2]', /^expected an origin such as https:.*without a path, found "https:\/\/ops\.example\/"$/],
      ['hub.listen.origins[3]', /found "ops\.example"$/],
      ['hub.listen.origins[4]', /found "\*"$/],
    ],
  ],
  ['a port too high', { hub: { ...hub, listen: { port: 65_536 } } }, [['hub.listen.port', /found 65536$/]]],
  ['no slots', { sidecar: { ...sidecar, slots: 0 } }, [['sidecar.slots', /^expected a whole number from 1 to 128, found 0$/]]],
  ['too many slots', { sidecar: { ...sidecar, slots: 129 } }, [['sidecar.slots', /found 129$/]]],
  ['half a slot', { sidecar: { ...sidecar, slots: 1.5 } }, [['sidecar.slots', /found 1\.5$/]]],
  ['a bad agent id', { sidecar: { ...sidecar, agentId: 'Worker 1' } }, [['sidecar.agentId', /lowercase.*found "Worker 1"$/]]],
  ['no hubs', { sidecar: { ...sidecar, hubs: [] } }, [['sidecar.hubs', /^expected a list of 1 to 32 addresses, found an empty list$/]]],
  ['one hub not in a list', { sidecar: { ...sidecar, hubs: 'ws://127.0.0.1/ws' } }, [['sidecar.hubs', /found "ws:\/\/127\.0\.0\.1\/ws"$/]]],
  [
    'an http hub',
    { sidecar: { ...sidecar, hubs: ['http://127.0.0.1:4000'] } },
    [['sidecar.hubs[0]', /^expected an address such as ws:.*found "http:/]],
  ],
  ['a hub without /ws', { sidecar: { ...sidecar, hubs: ['ws://127.0.0.1:4000/wss'] } }, [['sidecar.hubs[0]', /:4000\/ws or .*\/wss"$/]]],
  ['a hub port too high', { sidecar: { ...sidecar, hubs: ['ws://127.0.0.1:70000/ws'] } }, [['sidecar.hubs[0]', /^expected an address/]]],
  [
    'a plain socket to another machine',
    { sidecar: { ...sidecar, hubs: ['wss://a.example/ws', 'ws://b.example/ws'] } },
    [['sidecar.hubs[1]', /^expected wss:\/\/.*unencrypted.*hub\.listen\.tls.*sidecar\.insecure: true$/]],
  ],
  [
    'a wake retry that is a text',
    { sidecar: { ...sidecar, timing: { wakeRetriesMs: [1, '2', -3] } } },
    [
      ['sidecar.timing.wakeRetriesMs[1]', /found "2"$/],
      ['sidecar.timing.wakeRetriesMs[2]', /found -3$/],
    ],
  ],
  ['half a backoff', { hub: { ...hub, timing: { backoff: { firstMs: 5 } } } }, [['hub.timing.backoff.maxMs', /^is missing/]]],
  [
    'a backoff that shrinks',
    { hub: { ...hub, timing: { backoff: { firstMs: 5, maxMs: 4 } } } },
    [['hub.timing.backoff.maxMs', /^expected at least firstMs, which is 5, found 4$/]],
  ],
  [
    'report repeats that shrink',
    { sidecar: { ...sidecar, timing: { reportRepeat: { firstMs: 5, maxMs: 4 } } } },
    [['sidecar.timing.reportRepeat.maxMs', /found 4$/]],
  ],
  [
    'a time in the wrong unit',
    { hub: { ...hub, timing: { leaseMs: 1e14 } } },
    [['hub.timing.leaseMs', /milliseconds from 1 to 31536000000/]],
  ],
  [
    'a grace below its sum',
    { hub: { ...hub, timing: { reconnectGraceMs: 119_999 } } },
    [
      [
        'hub.timing.reconnectGraceMs',
        /^expected at least 120000, which is heartbeatMs 30000 \+ pongWaitMs 10000 \+ reconnectMaxMs 60000 \+ graceMarginMs 20000, found 119999/,
      ],
    ],
  ],
  [
    'a heartbeat that outgrows the grace',
    { hub: { ...hub, timing: { heartbeatMs: 90_001 } } },
    [['hub.timing.reconnectGraceMs', /^expected at least 180001/]],
  ],
  [
    'a lease of less than three polls',
    { hub: { ...hub, timing: { hubLeaseMs: 14_999 } } },
    [['hub.timing.hubLeaseMs', /^expected at least 15000, which is 3 × pollMs 5000, found 14999/]],
  ],
  [
    'polls that are too rare for the lease',
    { hub: { ...hub, timing: { pollMs: 5_001 } } },
    [['hub.timing.hubLeaseMs', /^expected at least 15003/]],
  ],
  [
    'frames too small for a submit',
    { hub: { ...hub, limits: { frameBytes: 100_000 } } },
    [['hub.limits.frameBytes', /^expected at least 327680/]],
  ],
  [
    'frames too large for the send buffer of a socket',
    { hub: { ...hub, limits: { frameBytes: 8_388_608 } } },
    [['hub.limits.socketQueueBytes', /^expected at least frameBytes, which is 8388608, found 4194304/]],
  ],
  [
    'a submit that no sidecar could hold',
    { hub: { ...hub, limits: { submitBytes: 327_681 } } },
    [
      [
        'hub.limits.submitBytes',
        /^expected a whole number of bytes from 1 to 327680 \(no sidecar could hold a larger task\), found 327681/,
      ],
    ],
  ],
  [
    'more slots than the wire allows',
    { hub: { ...hub, limits: { slotsPerAgent: 129 } } },
    [['hub.limits.slotsPerAgent', /to 128, found 129$/]],
  ],
  [
    'listening everywhere without a token',
    { hub: { ...hub, listen: { host: '0.0.0.0', insecure: true } } },
    [['hub.adminToken', /^is missing; expected a secret, because hub\.listen\.host "0\.0\.0\.0" accepts connections from other machines/]],
  ],
  [
    'listening everywhere in the clear',
    { hub: { ...hub, adminToken: SECRET, listen: { host: '::' } } },
    [['hub.listen.host', /unencrypted.*hub\.listen\.tls.*hub\.listen\.insecure: true$/]],
  ],
  [
    'a certificate without its key',
    { hub: { ...hub, listen: { tls: { certFile: 'cert.pem', keyfile: 'key.pem' } } } },
    [
      ['hub.listen.tls.keyfile', /did you mean "keyFile"/],
      ['hub.listen.tls.keyFile', /^is missing; expected a file/],
    ],
  ],
  [
    'TLS that the transport does not have',
    { hub: { ...hub, transport: { ...transport, name: 'own', capabilities: {} }, listen: { tls: TLS } } },
    [['hub.listen.tls', /^expected a transport that serves TLS, such as ws\(\), found "own"/]],
  ],
  [
    'a lowest version that the transport cannot be set to',
    {
      hub: {
        ...hub,
        transport: { ...transport, name: 'uws', capabilities: { tls: true } },
        listen: { tls: { ...TLS, minVersion: 'TLSv1.3' } },
      },
    },
    [['hub.listen.tls.minVersion', /^expected TLSv1\.2, which is the lowest version that uws\(\) can be set to/]],
  ],
  [
    'TLS 1.1, and a fingerprint in another form',
    {
      hub: { ...hub, listen: { tls: { ...TLS, minVersion: 'TLSv1.1' } } },
      sidecar: { ...sidecar, tls: { fingerprints: ['AB:CD'] } },
    },
    [
      ['hub.listen.tls.minVersion', /^expected TLSv1\.2 or TLSv1\.3, found "TLSv1\.1"$/],
      ['sidecar.tls.fingerprints[0]', /^expected a fingerprint such as sha256\/.*found "AB:CD"$/],
    ],
  ],
  [
    'listening everywhere with TLS and without a token',
    { hub: { ...hub, transport: WITH_TLS, listen: { host: '0.0.0.0', tls: TLS } } },
    [['hub.adminToken', /^is missing; expected a secret/]],
  ],
  ['a short admin token', { hub: { ...hub, adminToken: 'S3CR3T' } }, [['hub.adminToken', /at least 32 .* found a text of 6 characters$/]]],
  ['a token that is a number', { sidecar: { ...sidecar, token: 12_345 } }, [['sidecar.token', /found a number$/]]],
  [
    'a password in an address',
    { sidecar: { ...sidecar, hubs: ['http://me:S3CR3T@hub/ws?token=S3CR3T'] } },
    [['sidecar.hubs[0]', /found "http:\/\/…@hub\/ws\?…"$/]],
  ],
];

t.test('every error has its path, what was expected and what was found', async (t) => {
  for (const [name, config, expected] of MISTAKES) {
    const found = check(config);
    t.strictSame(
      found.map(({ path }) => path),
      expected.map(([path]) => path),
      name,
    );
    for (const [index, [, message]] of expected.entries()) t.match(found[index]?.message, message, name);
    t.notMatch(JSON.stringify(found), /S3CR3T|12345/, `${name}: no secret is revealed`);
  }
});

t.test('all errors are reported at once, including conflicts between options', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`nonsense${index}`, index]));
  const config = {
    hub: { ...many, transport: storage, listen: { host: '0.0.0.0', prot: 1 }, timing: { hartbeatMs: 1, reconnectGraceMs: 1 }, dataDir: 7 },
    sidecar: { hubs: ['ws://far.example/ws', 3], agentId: '', slots: 'two' },
  };
  const paths = check(config).map(({ path }) => path);
  const expected = [
    ...Object.keys(many).map((key) => `hub.${key}`),
    'hub.storage',
    'hub.transport',
    'hub.listen.prot',
    'hub.listen.host',
    'hub.adminToken',
    'hub.timing.hartbeatMs',
    'hub.timing.reconnectGraceMs',
    'hub.dataDir',
    'sidecar.hubs[0]',
    'sidecar.hubs[1]',
    'sidecar.agentId',
    'sidecar.slots',
  ];
  t.strictSame([...paths].sort(), [...expected].sort());
});

t.test('valid options are accepted', async (t) => {
  const allowed: readonly (readonly [string, unknown])[] = [
    [
      'listening everywhere with a token and insecure',
      { hub: { ...hub, adminToken: SECRET, listen: { host: '0.0.0.0', insecure: true } } },
    ],
    [
      'loopback by name and by IPv6',
      { hub: { ...hub, listen: { host: '::1' } }, sidecar: { ...sidecar, hubs: ['ws://localhost:1/ws', 'ws://[::1]:1/ws'] } },
    ],
    ['TLS to another machine', { sidecar: { ...sidecar, hubs: ['wss://hub.example.org/ws'] } }],
    ['a plain socket on a trusted network', { sidecar: { ...sidecar, insecure: true, hubs: ['ws://10.0.0.5:4000/ws'] } }],
    ['a runner', { sidecar: { ...sidecar, wake } }],
    ['a grace of exactly its sum', { hub: { ...hub, timing: { reconnectGraceMs: 120_000 } } }],
    [
      'times scaled down together',
      { hub: { ...hub, timing: { heartbeatMs: 100, pongWaitMs: 50, reconnectMaxMs: 100, graceMarginMs: 50, reconnectGraceMs: 300 } } },
    ],
    ['listening everywhere with TLS', { hub: { ...hub, transport: WITH_TLS, adminToken: SECRET, listen: { host: '0.0.0.0', tls: TLS } } }],
    ['the defaults', { hub: { ...hub, timing: HUB_TIMING, limits: HUB_LIMITS }, sidecar: { ...sidecar, timing: SIDECAR_TIMING } }],
    ['the largest submit', { hub: { ...hub, limits: { submitBytes: 327_680 } } }],
    ['no request limit', { hub: { ...hub, limits: { requestsPerSecond: 0 } } }],
  ];
  for (const [name, config] of allowed) t.strictSame(check(config), [], name);
});

t.test('an admin token from the environment counts as the config’s, under the same rules', async (t) => {
  const open = { hub: { ...hub, listen: { host: '0.0.0.0', insecure: true } } };
  const answer = resolveConfig(open, { ...PLACE, adminToken: SECRET });
  t.equal(answer.kind === 'resolved' && answer.config.hub?.adminToken, SECRET);
  t.strictSame(
    problemsOf(resolveConfig(open, { ...PLACE, adminToken: 'short' })).map(({ path }) => path),
    ['hub.adminToken'],
  );
  t.match(problemsOf(resolveConfig(open, { ...PLACE, adminToken: 'short' }))[0]?.message, /5 characters; .* AGENTCOM_ADMIN_TOKEN$/);
  const own = SECRET.toLowerCase();
  const both = resolveConfig({ hub: { ...hub, adminToken: own } }, { ...PLACE, adminToken: SECRET });
  t.equal(both.kind === 'resolved' && both.config.hub?.adminToken, own, 'the config’s own wins');
});
