/** One assembly: the order in which a hub starts and stops, and that it ends when an internal rule throws. */
import t from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { seededIds } from '../../product/twins/ids-seeded/seeded-ids.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { memoryStorage } from '../../../adapters/storage-memory/memory-storage.ts';
import { memoryWire } from '../../product/twins/wire-memory/memory-wire.ts';
import { createHub, type HubPorts } from '../../../core/application/hub/hub.ts';
import { HUB_LIMITS } from '../../../core/config/limits.ts';
import { HUB_TIMING } from '../../../core/config/times.ts';
import type { AgentId } from '../../../core/domain/ids.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { memoryDatabase } from '../../../adapters/storage-memory/memory-database.ts';
import { aDraft, hubRig, settle } from './hub-rig.ts';

/** A hub whose ports record their calls, in order. */
function notedHub(over: Partial<HubPorts['storage']> = {}) {
  const calls: string[] = [];
  const noted = <T extends object>(name: string, port: T, members: readonly (keyof T & string)[]): T =>
    new Proxy(port, {
      get(target, member, receiver): unknown {
        const found: unknown = Reflect.get(target, member, receiver);
        if (typeof found !== 'function' || !members.includes(member as keyof T & string)) return found;
        return (...parts: unknown[]): unknown => {
          calls.push(`${name}.${String(member)}`);
          return Reflect.apply(found, target, parts);
        };
      },
    });
  const clock = virtualClock();
  const ids = seededIds({ seed: 'hub' });
  const log = memoryLog();
  const storage = memoryStorage({ clock, shared: true });
  const transport = noted('transport', memoryWire({ clock }).transport(), ['listen', 'refuseNew', 'close']);
  const notifier = noted('notifier', storage.notifier, ['listen']);
  const hub = createHub(
    { storage: noted('storage', { ...storage, notifier, ...over }, ['open', 'close']), transport, clock, ids, digest: systemDigest(), log },
    {
      host: 'hub',
      port: 4_000,
      timing: HUB_TIMING,
      limits: HUB_LIMITS,
      agentMessages: true,
      trustedProxies: [],
      isAllowedOrigin: () => true,
    },
  );
  const parts = hub.parts({
    handle: () => ({ status: 404, headers: {}, body: null }),
    close: () => void calls.push('front.close'),
    beforePort: {
      name: 'enrolment',
      start: async () => void calls.push('enrolment.start'),
      stop: async () => void calls.push('enrolment.stop'),
    },
  });
  return { hub, parts, calls, clock, ids };
}

t.test('the port opens once everything behind it runs, and closes before any of it stops', async (t) => {
  const { parts, calls, clock } = notedHub();
  t.strictSame(
    parts.map(({ name }) => name),
    ['storage memory', 'queue', 'token use', 'output', 'audit log', 'enrolment', 'transport memory', 'gate'],
  );
  for (const part of parts) await part.start();
  t.strictSame(calls, ['storage.open', 'notifier.listen', 'enrolment.start', 'transport.listen']);
  calls.length = 0;
  for (const part of parts.toReversed()) {
    const stopped = part.stop();
    await settle(clock);
    clock.advance(5_000);
    await stopped;
  }
  t.strictSame(calls, ['transport.refuseNew', 'front.close', 'transport.close', 'enrolment.stop', 'storage.close']);
});

t.test('R2: a hub in which something throws after a commit ends, and refuses waiting commands', async (t) => {
  const planted = new Error('planted');
  let isBroken = false;
  const { hub, parts, ids, clock } = notedHub({
    notifier: {
      listen: () => () => undefined,
      notify() {
        if (isBroken) throw planted;
      },
    },
  });
  for (const part of parts) await part.start();
  let ended: unknown = null;
  hub.finished.catch((cause: unknown) => (ended = cause));
  const submit = () => hub.queue.do({ kind: 'submit', drafts: [aDraft(ids.task())], submittedBy: 'tok-1', idempotency: null });
  t.match(await submit(), { kind: 'submitted' });
  await settle(clock);
  t.equal(ended, null);
  isBroken = true;
  t.match(await submit(), { kind: 'submitted' }, 'a committed command is answered');
  await settle(clock);
  t.equal(ended, planted);
  await t.rejects(submit(), { code: 'AC_HUB_STOPPING' });
});

t.test('R15: a retried sweep skips no agent left behind by a hub crash', async (t) => {
  const clock = virtualClock();
  const database = memoryDatabase('crashed');
  const first = await hubRig({ clock, store: { database } });
  const agents = Array.from({ length: 401 }, (_, n) => `a${n}` as AgentId);
  for (const agent of agents) await (await first.peer(agent)).identify();
  await first.kill();
  let commits = 0;
  const onStep = (step: string): void => {
    if (step === 'commit' && (commits += 1) === 2) throw new AgentcomError('AC_STORE_RETRY', 'another transaction was faster');
  };
  const second = await hubRig({ clock, hubId: 'hub-2', store: { database, onStep } });
  await second.pass(1_000);
  const found = await Promise.all(agents.map((id) => second.storage.agents.getAgent(id)));
  t.strictSame(
    found.filter((one) => one?.agent.connected !== false).map((one) => one?.agent.id),
    [],
    'all are marked as disconnected',
  );
  t.ok(commits > 2);
  await second.stop();
});
