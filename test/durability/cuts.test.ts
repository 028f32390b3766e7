/**
 * Cut, refused and silent connections between sidecar and hub. If shorter than the grace period, they cost nothing; if
 * longer, they cost the assignment: the first agent is stopped, and its result is refused and set aside.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { HistoryEntry } from '../../apps/client/index.ts';
import { atWorkIn } from './at-work.ts';
import { endsOf, isGone, isAlive, neverTwice } from './ledger-rules.ts';
import { tcpProxy } from './tcp-proxy.ts';
import { makeWorld } from '../apps/app-world.ts';

const UNDISTURBED = ['submitted', 'eligible', 'assigned', 'accepted', 'woken', 'completed'];

const world = await makeWorld(t, {
  hubTiming: { heartbeatMs: 400, pongWaitMs: 600, reconnectGraceMs: 5_000, quietAfterStartMs: 5_000 },
});
const { api } = world;
await world.startHub();
const proxy = await tcpProxy(t, world.port);
const throughProxy = { hubUrl: `ws://127.0.0.1:${proxy.port}/ws`, extra: 'slots: 4' };
await world.startSidecar('a1', throughProxy);

const atWork = atWorkIn(world);

async function endsUndisturbed(t: Test, { id, pid }: { readonly id: string; readonly pid: number }): Promise<void> {
  await world.event(id, ['completed', 'dead_lettered']);
  t.match(await api.tasks.get(id), { status: 'completed', generation: 1, retry_count: 0, assigned_to: 'a1', result: { output: { pid } } });
  t.strictSame(await world.history(id), UNDISTURBED);
  t.strictSame(endsOf(world.ledger(), id), [pid]);
  neverTwice(t, world.ledger(), [id]);
}

/** The events with these names. */
async function eventsNamed(id: string, names: readonly string[]): Promise<readonly HistoryEntry[]> {
  return (await api.tasks.get(id)).history.filter((entry) => names.includes(entry.event));
}

t.test('a connection cut during a task, then refused for a moment: the same assignment continues', async (t) => {
  const continuing = await atWork('continues during the cut');
  const ends = await atWork('ends while connections are refused');
  const again = proxy.nextConnection();
  proxy.cut();
  await again;
  await proxy.refuse();
  world.release(ends.id);
  await world.ledgerLine(ends.id, 'end');
  await proxy.restore();
  await endsUndisturbed(t, ends);
  t.match(await api.tasks.get(continuing.id), { status: 'assigned', generation: 1 });
  world.release(continuing.id);
  await endsUndisturbed(t, continuing);
});

t.test('a connection that goes silent without closing is detected, and what was sent into it is resent', async (t) => {
  const task = await atWork('its result is sent into a dead connection first');
  const again = proxy.nextConnection();
  proxy.freeze();
  world.release(task.id);
  await again;
  await endsUndisturbed(t, task);
});

t.test('a cancel ends the whole process tree, even if SIGTERM is ignored, and the history has its confirmation', async (t) => {
  const { id, pid } = await atWork('cancelled', { ignore_term: true, child: true });
  const child = await world.ledgerLine(id, 'child');
  t.ok(await isAlive(pid));
  t.ok(await isAlive(child.pid));
  await api.tasks.cancel(id);
  await world.event(id, ['stop_confirmed']);
  t.notOk(await isAlive(pid), 'the agent is gone');
  t.notOk(await isAlive(child.pid), 'its child is gone');
  t.match(await api.tasks.get(id), { status: 'cancelled', assigned_to: null });
  t.strictSame(await world.history(id), [...UNDISTURBED.slice(0, -1), 'cancelled', 'stop_requested', 'stop_confirmed']);
  const [confirmed, ...more] = await eventsNamed(id, ['stop_confirmed']);
  t.match(confirmed, { agent_id: 'a1', generation: 1 });
  t.strictSame([confirmed?.details, more], [{ outcome: 'killed' }, []]);
  t.strictSame(endsOf(world.ledger(), id), []);
  t.strictSame((await api.agents.get('a1')).tasks, [], 'its slot is free');
});

t.test('away for longer than the grace period: another agent gets the tasks, and the first results do not count', async (t) => {
  const silentProxy = await tcpProxy(t, world.port);
  await world.startSidecar('a3', { hubUrl: `ws://127.0.0.1:${silentProxy.port}/ws`, capabilities: ['silent'] });
  const obeys = await atWork('its agent obeys SIGTERM');
  const deaf = await atWork('its agent ignores SIGTERM', { ignore_term: true });
  const late = await atWork('its agent ends while it is cut off');
  const { task_id: unheard } = await api.tasks.submit({ description: 'its agent goes silent', needed_capabilities: ['silent'] });
  await world.event(unheard, ['woken']);
  await world.startSidecar('a2', { capabilities: ['code', 'silent'], extra: 'slots: 4' });
  const ids = [obeys.id, deaf.id, late.id, unheard];

  await proxy.refuse();
  silentProxy.fallSilent();
  await Promise.all(ids.map((id) => world.event(id, ['woken'], 30_000, ({ agent_id: agentId }) => agentId === 'a2')));
  t.ok((await isAlive(obeys.pid)) && (await isAlive(deaf.pid)), 'cut off, the first agents continue to work');
  world.release(late.id, 1);
  t.equal((await world.ledgerLine(late.id, 'end')).pid, late.pid);
  await Promise.all([proxy.restore(), silentProxy.restore()]);
  silentProxy.cut();

  t.equal((await world.ledgerLine(obeys.id, 'stopped')).pid, obeys.pid, 'it was asked to stop');
  t.equal((await world.ledgerLine(unheard, 'stopped')).generation, 1, 'so was the one that went silent');
  t.ok((await isGone(obeys.pid)) && (await isGone(deaf.pid)), 'both are gone');
  await refusedReport(t, late);

  for (const id of ids) {
    const second = await world.ledgerLine(id, 'start', 3);
    world.release(id);
    await world.event(id, ['completed', 'dead_lettered']);
    const output = { pid: second.pid, generation: 3 };
    t.match(await api.tasks.get(id), { status: 'completed', generation: 3, retry_count: 1, assigned_to: 'a2', result: { output } });
    t.strictSame(await eventsNamed(id, ['late_result', 'retried', 'failed']), []);
    const confirmed = (await eventsNamed(id, ['stop_confirmed'])).map(({ details }) => details);
    t.strictSame(confirmed, [{ outcome: 'agent_away' }], 'the agent was disconnected for the grace period');
    // A regular sweep sends the confirmation, before or after the next assignment.
    const taken = await eventsNamed(id, ['assigned', 'lost', 'stop_requested', 'completed']);
    const first = id === unheard ? 'a3' : 'a1';
    t.strictSame(
      taken.map(({ event, agent_id: agent, generation }) => [event, agent, generation]),
      [
        ['assigned', first, 1],
        ['lost', first, 1],
        ['stop_requested', first, 1],
        ['assigned', 'a2', 3],
        ['completed', 'a2', 3],
      ],
    );
  }
});

/** The first agent's result is next to its sidecar's journal with the reason, and the outbox is empty. */
async function refusedReport(t: Test, { id, pid }: { readonly id: string; readonly pid: number }): Promise<void> {
  const folder = join(world.dir, 'a1', 'refused');
  const names = [`${id}.g1.json`, `${id}.g1.reason.txt`];
  for (const untilMs = Date.now() + 15_000; (await readdir(folder)).length < names.length && Date.now() < untilMs;) await sleep(20);
  t.strictSame(await readdir(folder), names, 'the only refused report');
  t.equal(await readFile(join(folder, `${id}.g1.reason.txt`), 'utf8'), 'stale_generation\n');
  t.match(JSON.parse(await readFile(join(folder, `${id}.g1.json`), 'utf8')), { generation: 1, result: { output: { pid, generation: 1 } } });
  t.strictSame(await readdir(join(world.dir, 'a1', 'outbox')), []);
}
