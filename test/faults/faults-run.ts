/** Plays every scenario once for each call that can fail: N = 1, 2, … until a run hits no fault. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { virtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import { sqliteStorage } from '../adapters/storage-places/sqlite-storage-place.ts';
import type { CallCount } from './rig/call-count.ts';
import { DISK_FAULTS, type DiskFault } from './rig/disk.ts';
import { judge } from './rig/faults-judge.ts';
import { statementFaults, STORE_FAULTS, type StatementFaults, type StoreFault } from './rig/statement-faults.ts';
import { World } from './rig/faults-world.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';

/** What fails and how; with `lasting`, so does everything after it, until the end of the scenario. */
export type Kind =
  | { readonly where: 'store'; readonly fault: StoreFault; readonly lasting: boolean }
  | { readonly where: 'journal'; readonly fault: DiskFault; readonly lasting: boolean }
  | { readonly where: 'folders'; readonly fault: 'fails'; readonly lasting: boolean };

export const KINDS: readonly Kind[] = [
  ...STORE_FAULTS.flatMap((fault) => [false, true].map((lasting) => ({ where: 'store', fault, lasting }) as const)),
  ...DISK_FAULTS.filter((fault) => fault !== 'killed' && fault !== 'power').flatMap((fault) =>
    [false, true].map((lasting) => ({ where: 'journal', fault, lasting }) as const),
  ),
  { where: 'journal', fault: 'killed', lasting: false },
  { where: 'journal', fault: 'power', lasting: false },
  { where: 'folders', fault: 'fails', lasting: false },
  { where: 'folders', fault: 'fails', lasting: true },
];

export const nameOf = ({ where, fault, lasting }: Kind): string => `${where}: ${fault}${lasting ? ', from there on' : ''}`;

export interface Outcome {
  readonly scenario: string;
  readonly kind: string;
  /** Calls that were failed, each in its own run. */
  readonly failed: number;
  readonly violations: readonly { readonly nth: number; readonly what: string }[];
}

export interface FaultsOptions {
  readonly scenarios?: readonly Scenario[] | undefined;
  readonly kinds?: readonly Kind[] | undefined;
  /** Fail only every n-th call; 1: every one. */
  readonly step?: number | undefined;
  /** The first call of each `step`: from 1. */
  readonly first?: number | undefined;
  readonly onProgress?: ((done: number, of: number, note: string) => void) | undefined;
  /** Called with each pair of scenario and fault once it was played, so that an aborted run has reported what it found. */
  readonly onOutcome?: ((outcome: Outcome) => void) | undefined;
}

export interface Pair {
  readonly scenario: Scenario;
  readonly kind: Kind;
}

export const pairsOf = (scenarios = SCENARIOS, kinds = KINDS): readonly Pair[] =>
  scenarios.flatMap((scenario) => kinds.filter(({ where }) => scenario.fails.includes(where)).map((kind) => ({ scenario, kind })));

interface Calls {
  readonly first: number;
  readonly step: number;
}

type Play = (pair: Pair, calls: Calls) => Promise<Outcome>;

/** Plays them all, one after the other, in this process. */
export const faultsRun = (options: FaultsOptions = {}): Promise<readonly Outcome[]> =>
  withPlayer(async (play) => {
    const { step = 1, first = 1, onProgress = () => undefined, onOutcome = () => undefined } = options;
    const pairs = pairsOf(options.scenarios, options.kinds);
    const outcomes: Outcome[] = [];
    for (const pair of pairs) {
      onProgress(outcomes.length, pairs.length, `${pair.scenario.name}; ${nameOf(pair.kind)}`);
      const outcome = await play(pair, { first, step });
      onOutcome(outcome);
      outcomes.push(outcome);
    }
    return outcomes;
  });

/** Starts with the faults in the driver of this process, and an empty database; removes both at the end. */
export async function withPlayer<T>(work: (play: Play) => Promise<T>): Promise<T> {
  const statements = statementFaults();
  const template = await emptyDatabase();
  try {
    return await work(({ scenario, kind }, calls) => everyCall(scenario, kind, calls, { statements, template: template.file }));
  } finally {
    statements.remove();
    template.remove();
  }
}

async function everyCall(scenario: Scenario, kind: Kind, calls: Calls, rig: Rig): Promise<Outcome> {
  const violations: { nth: number; what: string }[] = [];
  let failed = 0;
  for (let nth = calls.first; ; nth += calls.step) {
    const { isMet, found } = await playOnce(scenario, kind, nth, rig);
    violations.push(...found.map((what) => ({ nth, what })));
    if (!isMet) break;
    failed += 1;
  }
  return { scenario: scenario.name, kind: nameOf(kind), failed, violations };
}

interface Rig {
  readonly statements: StatementFaults;
  /** A database with its schema and no rows. */
  readonly template: string;
}

/** One run, in which at most the Nth call fails, or it and all after it. */
export async function playOnce(
  scenario: Scenario,
  kind: Kind,
  nth: number,
  { statements, template }: Rig,
): Promise<{ readonly isMet: boolean; readonly found: readonly string[] }> {
  const world = await World.make(statements, template);
  try {
    await scenario.prepare(world);
    const armed = (): readonly CallCount[] => countsOf(world, kind);
    world.onMachine = (): void => arm(world, kind, nth);
    arm(world, kind, nth);
    await scenario.act(world);
    const isMet = armed().some((count) => count.isMet);
    for (const count of armed()) count.disarm();
    world.onMachine = null;
    const losses = [...(scenario.losses ?? [])];
    // A machine without power loses its agents, and one that stays away for longer than the grace period loses its
    // assignments.
    if (kind.fault === 'power') losses.push('lost', 'not_held');
    if (world.machines.some((machine) => !machine.isRunning)) losses.push('disconnected');
    await world.checkAcknowledged();
    await world.recover();
    await judge(world, { ...scenario, losses });
    return { isMet, found: world.evidence.violations };
  } catch (thrown) {
    return {
      isMet: true,
      found: [...world.evidence.violations, `rig: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`],
    };
  } finally {
    for (const count of countsOf(world, kind)) count.disarm();
    await world.end();
  }
}

function countsOf(world: World, { where }: Kind): readonly CallCount[] {
  switch (where) {
    case 'store':
      return [world.statements.count];
    case 'journal':
      return world.machines.slice(0, 1).map(({ disk }) => disk.count);
    case 'folders':
      return world.machines.slice(0, 1).map(({ inboxFaults }) => inboxFaults.count);
  }
}

function arm(world: World, kind: Kind, nth: number): void {
  if (kind.where === 'store') world.statements.fault = kind.fault;
  if (kind.where === 'journal') for (const { disk } of world.machines) disk.fault = kind.fault;
  for (const count of countsOf(world, kind)) if (!count.isArmed) count.arm({ nth, lasting: kind.lasting });
}

async function emptyDatabase(): Promise<{ readonly file: string; remove(): void }> {
  const folder = mkdtempSync(join(tmpdir(), 'agentcom-faults-template-'));
  const file = join(folder, 'hub.db');
  // Created in the world's time: a store's time never goes back.
  const storage = sqliteStorage(file, { time: virtualClock() });
  await storage.open();
  await storage.close();
  return { file, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
