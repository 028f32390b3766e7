/** Plays the acts of a plan in its world. */
import type { KeptTask } from '../../adapters/storage-memory/memory-database.ts';
import { placed } from './seeded-chance.ts';
import type { Clients } from './machines/clients.ts';
import type { Machine } from './machines/simulated-machine.ts';
import { playEdge } from './edge-acts.ts';
import { EDGE_ACTS, type EdgeAct } from './edges.ts';
import type { Act, ActKind } from './plan.ts';
import type { World } from './sim-world.ts';

const HOUR_MS = 3_600_000;

/** The duration that a number from 0 to 1 stands for, on a logarithmic scale: each doubling is as likely as the one before. */
const spanMs = (place: number, lowMs: number, highMs: number): number => Math.round(lowMs * (highMs / lowMs) ** place);

export function play(act: Act, world: World, clients: Clients): void {
  const [which, how, long] = act.n;
  const { network, trace, wire } = world;
  const hub = placed(world.hubs, which);
  const machine = victim(world.machines, which);
  trace.add('act', `${act.kind} ${act.n.map((n) => n.toFixed(3)).join(' ')}`);
  trace.rare(`act ${act.kind}`);
  if (isOfTheEdge(act)) return playEdge(act, world, clients, machine);
  switch (act.kind) {
    case 'submit':
      return clients.submit(1, how);
    case 'bulk':
      return clients.submit(2 + Math.floor(how * 12), 1);
    case 'push':
      return clients.push(which);
    case 'cancel':
    case 'retry':
    case 'adopt':
      return clients.operate(act.kind, how);
    case 'drain':
    case 'resume':
    case 'takeover':
      return clients.setAvailability(act.kind, machine.agentId);
    case 'hub_kill':
      return hub.killFor(spanMs(long, 100, 400_000), placed(KILL_STEPS, how));
    case 'hub_stop':
      hub.stop().catch((error: unknown) => world.violated('hub', `it did not stop: ${String(error)}`));
      return world.later(spanMs(long, 3_000, 60_000), () => hub.start());
    case 'hub_freeze':
      return hub.freeze(spanMs(long, 200, 300_000));
    case 'stall':
      return freezeOverDeadline(world, long);
    case 'hub_jump':
      return hub.jump(how < 0.5 ? -spanMs(long, 1_000, HOUR_MS) : spanMs(long, 1_000, HOUR_MS));
    case 'store_outage':
      // Either one hub loses it, or all hubs do: then the database itself is gone.
      for (const each of how < 0.3 ? world.hubs : [hub]) each.loseStore(spanMs(long, 500, 300_000));
      return;
    case 'cut':
      return machine.connection === 0 ? undefined : wire.cut(machine.connection);
    case 'half_open':
      return network.halfOpen(machine.connection, how < 0.33 ? 'up' : how < 0.66 ? 'down' : 'both');
    case 'partition':
      return partition(machine, world, how, spanMs(long, 40_000, 600_000));
    case 'slow':
      return network.slow(machine.connection, spanMs(long, 50, 40_000));
    default:
      return playOn(machine, act.kind as MachineAct, act, world);
  }
}

const isOfTheEdge = (act: Act): act is Act & EdgeAct => (EDGE_ACTS as readonly string[]).includes(act.kind);

/** Cuts the machine off from everybody or, if there are several hubs, often only from the one that it is connected to. */
function partition({ name, connection }: Machine, { hubs, network, later }: World, how: number, ms: number): void {
  const hub = hubs.length > 1 && how < 0.6 ? network.hubOf(connection) : undefined;
  network.part(name, hub);
  later(ms, () => network.join(name, hub));
}

/** Usually a busy machine: what goes wrong with an idle one teaches little. */
function victim(machines: readonly Machine[], which: number): Machine {
  const busy = machines.filter((machine) => machine.busyWith !== null);
  const isAny = busy.length === 0 || (which * 100) % 1 < 0.3;
  return placed(isAny ? machines : busy, which);
}

const KILL_STEPS = ['begin', 'commit', 'committed', 'rest'] as const;

/**
 * A sidecar reports on an assignment of another agent, or on an older one of its own, like an echo from a network that held
 * it back.
 */
function sendForeignReport(machine: Machine, how: number, which: number, { database, trace }: World): void {
  const live = [...database.current.values()].map(({ task }) => task).filter((task) => task.status === 'assigned');
  const others = live.filter((task) => task.assignedTo !== machine.agentId);
  const again = live.filter((task) => task.assignedTo === machine.agentId && task.generation > 2);
  const isEcho = again.length > 0;
  if (!isEcho && others.length === 0) return;
  const { id, generation } = placed(isEcho ? again : others, which);
  const isNameless = machine.version === 1 && how < 0.66;
  const name = { task_id: id, ...(isNameless ? {} : { generation: isEcho ? generation - 2 : generation }) };
  trace.rare(isEcho ? 'echo of an older generation' : 'word of a foreign agent');
  if (how < 0.33) machine.say({ type: 'task_accepted', ...name });
  else if (how < 0.66) machine.say({ type: 'task_progress', ...name, percent: 7 });
  else machine.say({ type: 'task_failed', ...name, error: 'not mine' });
}

/**
 * Freezes a machine until the deadline of its assignment has passed. The hubs freeze across that deadline too, so briefly that
 * they do not notice, and what reaches them meanwhile is there before the next sweep.
 */
function freezeOverDeadline(world: World, long: number): void {
  const { hubs, database, machines, storeMs } = world;
  const dueInMs = ({ task }: KeptTask): number => (task.status === 'assigned' ? (task.deadlineAtMs ?? 0) - storeMs : 0);
  const [first] = [...database.current.values()]
    .filter((kept) => dueInMs(kept) > BEFORE_DUE_MS && dueInMs(kept) < DUE_WITHIN_MS)
    .sort((a, b) => dueInMs(a) - dueInMs(b));
  if (first === undefined) return;
  const holders = machines.filter((machine) => machine.agentId === first.task.assignedTo);
  world.trace.rare('hub stalled over a deadline');
  for (const machine of holders) machine.freeze(dueInMs(first) + 5_000);
  world.later(dueInMs(first) - BEFORE_DUE_MS, () => {
    for (const machine of holders) for (const word of ownWords(machine, world)) machine.say(word);
    for (const hub of hubs) hub.freeze(spanMs(long, 2 * BEFORE_DUE_MS, 4_000));
  });
}

/** How often each frame is sent, so that one of them arrives at the moment that matters. */
const SAID_TIMES = 8;
const BEFORE_DUE_MS = 100;
/** A machine that is silent for longer than this is cut off. */
const DUE_WITHIN_MS = 40_000;

/** Frames that a sidecar may send about its own assignments, each several times. */
function ownWords(machine: Machine, { database }: World): readonly Readonly<Record<string, unknown>>[] {
  const own = [...database.current.values()].filter(({ task }) => task.status === 'assigned' && task.assignedTo === machine.agentId);
  const once = own.map(({ task }) => ({ type: 'task_progress', task_id: task.id, generation: task.generation, percent: 9 }));
  return Array.from({ length: SAID_TIMES }, () => once).flat();
}

type MachineAct = Extract<ActKind, `machine_${string}` | 'journal_fails' | 'prepare_fails' | 'agent_dies' | 'reset' | 'foreign'>;

function playOn(machine: Machine, kind: MachineAct, { n: [, how, long] }: Act, world: World): void {
  switch (kind) {
    case 'machine_kill':
      return machine.killFor(spanMs(long, 100, 300_000), how < 0.5 ? 0 : 1 + Math.floor((how - 0.5) * 8));
    case 'machine_reboot':
      machine.reboot();
      return world.later(spanMs(long, 5_000, 300_000), () => machine.start());
    case 'machine_stop':
      machine.stop();
      return world.later(spanMs(long, 12_000, 120_000), () => machine.start());
    case 'machine_freeze':
      return machine.freeze(spanMs(long, 200, 300_000));
    case 'machine_jump':
      return machine.jumpClock(how < 0.5 ? -spanMs(long, 1_000, HOUR_MS) : spanMs(long, 1_000, HOUR_MS));
    case 'journal_fails':
      return machine.failJournal(1 + Math.floor(how * 3));
    case 'prepare_fails':
      return machine.failPrepare();
    case 'agent_dies':
      return machine.killAgent(how);
    case 'reset':
      if (how < 0.5) return machine.resetLink(ownWords(machine, world));
      world.network.slow(machine.connection, spanMs(long, 1_000, 20_000));
      for (const word of ownWords(machine, world)) machine.say(word);
      return machine.resetLink([]);
    case 'foreign':
      return sendForeignReport(machine, how, long, world);
  }
}
