/** Plays a plan from its first act to its final checks and reports what was wrong. */
import { play } from '../acts.ts';
import { Clients } from '../machines/clients.ts';
import { endReport, unfinished } from '../judges/liveness.ts';
import type { Violation } from '../judges/sim-ledger.ts';
import type { Machine } from '../machines/simulated-machine.ts';
import type { Plan } from '../plan.ts';
import { NO_FAULTS, World } from '../sim-world.ts';

export interface Outcome {
  readonly plan: Plan;
  readonly violations: readonly Violation[];
  readonly hash: string;
  readonly lines: readonly string[];
  readonly seen: ReadonlyMap<string, number>;
  readonly virtualMs: number;
  /** Turns of the scheduler. */
  readonly turns: number;
}

export interface RunOptions {
  readonly keepTrace?: boolean | undefined;
}

/** Turns of one plan; more means an endless loop. */
const TURNS_MAX = 3_000_000;
/** Interval between checks whether everything has ended. */
const LOOK_EVERY_MS = 5_000;

/** Everything that can happen now without time advancing: all promises of the turn before. */
const drained = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<Outcome> {
  const world = new World(plan, options.keepTrace ?? false);
  const clients = new Clients(world);
  let turns = 0;

  /** Lets time pass until `untilMs`; false if something was wrong. */
  const pass = async (untilMs: number): Promise<boolean> => {
    const { clock, violations } = world;
    while (violations.length === 0 && clock.nextDueMs !== null && clock.nextDueMs <= untilMs) {
      clock.runNext();
      world.look();
      await drained();
      turns += 1;
      if (turns > TURNS_MAX) world.violated('liveness', `over ${TURNS_MAX} turns`);
    }
    if (violations.length > 0) return false;
    clock.advance(Math.max(0, untilMs - clock.monotonicMs()));
    return true;
  };

  for (const hub of world.hubs) hub.start();
  for (const machine of world.machines) machine.start();
  for (const hostile of world.hostiles) hostile.start();
  await drained();
  let isGood = true;
  for (const act of plan.acts) {
    isGood = await pass(act.atMs);
    if (!isGood) break;
    play(act, world, clients);
    await drained();
  }
  if (isGood) world.checkWhole();
  if (world.violations.length > 0) isGood = false;
  if (isGood && plan.liveness) {
    endFaults(world, clients);
    const { boundMs } = endReport(world);
    const endMs = world.clock.monotonicMs() + boundMs;
    let left = unfinished(world, clients);
    while (isGood && left !== null && world.clock.monotonicMs() < endMs) {
      isGood = await pass(world.clock.monotonicMs() + LOOK_EVERY_MS);
      left = unfinished(world, clients);
    }
    if (isGood && left !== null) world.violated('liveness', `${Math.round(boundMs / 1_000)} s after the last fault: ${left}`);
    if (isGood && left === null) checkEnd(world);
  }
  const virtualMs = world.clock.monotonicMs();
  return {
    plan,
    violations: world.violations,
    hash: world.trace.hash(),
    lines: world.trace.lines,
    seen: world.trace.seen,
    virtualMs,
    turns,
  };
}

/** Faults stop, and everything that is down comes up. */
function endFaults(world: World, clients: Clients): void {
  world.trace.add('act', 'faults stop');
  world.faults = NO_FAULTS;
  world.loseService(0);
  for (const hub of world.hubs) hub.endFaults();
  for (const machine of world.machines) machine.endFaults(world.storeMs);
  for (const hostile of world.hostiles) hostile.stop();
  // Connections with a fault of their own are closed for good.
  for (const connection of world.wire.open()) if (!world.network.isSound(connection)) world.wire.cut(connection);
  world.network.endFaults();
  const lookAfter = (): void => {
    for (const hub of world.hubs) hub.start();
    clients.withdraw(WAITING_KEPT);
    for (const machine of onDuty(world)) machine.start();
    for (const agent of world.database.agents.values()) if (agent.connected && agent.draining) clients.setAvailability('resume', agent.id);
    world.later(LOOK_AFTER_MS, lookAfter);
  };
  lookAfter();
}

/** Tasks that still wait when the faults are over and must be completed nevertheless. */
const WAITING_KEPT = 10;
/** Interval between checks of the operator who keeps everything running once the faults are over. */
const LOOK_AFTER_MS = 5_000;
/** Of machines with the same identity one is on at a time, for this long. */
const DUTY_MS = 900_000;

/** The one that may run now; the others are stopped. */
function onDuty(world: World): readonly Machine[] {
  const turn = Math.floor(world.clock.monotonicMs() / DUTY_MS);
  const agentIds = [...new Set(world.machines.map((machine) => machine.agentId))];
  return agentIds.map((agentId) => {
    const twins = world.machines.filter((machine) => machine.agentId === agentId);
    const chosen = twins[turn % twins.length] as Machine;
    for (const twin of twins) if (twin !== chosen) twin.kill();
    return chosen;
  });
}

function checkEnd(world: World): void {
  world.checkWhole();
  world.ledger.checkSubmits();
  world.ledger.checkResults(world.refusedResults());
}
