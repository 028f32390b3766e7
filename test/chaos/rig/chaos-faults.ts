/** Injects faults into a running world, at moments that only the seed and the world's progress determine. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RandomBits } from '../../product/twins/ids-seeded/seeded-random.ts';
import type { TcpProxy } from '../../durability/tcp-proxy.ts';
import type { Absence } from './chaos-judge.ts';
import { isAlive, runOf, uptimeSeconds } from './chaos-ledger.ts';
import type { Program, ProgramEnd } from './chaos-program.ts';
import type { ChaosWorld, StartMore } from './chaos-world.ts';

/** A process that is restarted after each kill. */
export interface Kept {
  /** The current process; while it is down, the previous one. */
  current(): Program;
  /** Whether the current process has reported that it is ready. */
  isReady(): boolean;
  /** Kills it at once, whatever it is doing, even during its startup; starts the next one `downMs` later. */
  kill(downMs: number): Promise<void>;
  /** Kills it, if it is alive, and starts the next one, which may end itself with SIGKILL. */
  restart(env: Readonly<Record<string, string>>): Promise<Program>;
  /** Stops it for good and resolves with how it ended. */
  stop(): Promise<ProgramEnd>;
  /** Unexpected ends of its processes. */
  readonly unasked: readonly string[];
}

export interface KeepOptions {
  readonly name: string;
  readonly start: (env: Readonly<Record<string, string>>) => Program;
  readonly onDown?: () => void;
  readonly onUp?: () => void;
}

export function keepRunning({ name, start, onDown, onUp }: KeepOptions): Kept {
  const unasked: string[] = [];
  const expectedEnds = new Map<Program, readonly ProgramEnd[]>();
  let isDown = false;
  let isReady = false;
  const begin = (env: Readonly<Record<string, string>>, mayEndWith: readonly ProgramEnd[] = []): Program => {
    const program = start(env);
    expectedEnds.set(program, mayEndWith);
    isReady = false;
    void program.ready.then((line) => {
      if (line === null) return;
      isReady = true;
      onUp?.();
    });
    void program.ended.then((end) => {
      onDown?.();
      if (expectedEnds.get(program)?.includes(end) !== true) unasked.push(`${name} (pid ${program.pid}) ended with ${end}`);
      expectedEnds.delete(program);
    });
    return program;
  };
  let program = begin({});
  const end = (signal: NodeJS.Signals, mayEndWith: ProgramEnd): Promise<ProgramEnd> => {
    if (program.isAlive()) expectedEnds.set(program, [mayEndWith]);
    return program.kill(signal);
  };
  return {
    current: () => program,
    isReady: () => isReady,
    unasked,
    async kill(downMs) {
      if (isDown) return;
      isDown = true;
      await end('SIGKILL', 'SIGKILL');
      await sleep(downMs);
      program = begin({});
      isDown = false;
    },
    async restart(env) {
      await end('SIGKILL', 'SIGKILL');
      program = begin(env, ['SIGKILL']);
      return program;
    },
    stop: () => end('SIGTERM', 0),
  };
}

export interface KeptSidecar extends Kept {
  readonly agentId: string;
}

/** Keeps a sidecar running and records its absences: from each end of its process until it is ready again. */
export function keepSidecar(world: ChaosWorld, agentId: string, absences: Absence[], more: StartMore = {}): KeptSidecar {
  let awaySince: number | null = null;
  const kept = keepRunning({
    name: agentId,
    start: (env) => world.startSidecar(agentId, { ...more, env: { ...more.env, ...env } }),
    onDown: () => (awaySince ??= uptimeSeconds()),
    onUp() {
      if (awaySince !== null) absences.push({ agent: agentId, from: awaySince, to: uptimeSeconds(), why: 'killed' });
      awaySince = null;
    },
  });
  return { ...kept, agentId };
}

export type CutKind = 'cut' | 'half-open' | 'refused' | 'beyond the grace';

export interface FaultLog {
  hub: number;
  sidecar: number;
  agent: number;
  cut: number;
  /** Sidecars that were left dead for longer than the grace period. */
  longDead: number;
  readonly cutKinds: Record<CutKind, number>;
  /** Kills that hit a process before it was ready. */
  inStart: number;
  readonly absences: Absence[];
  /** Killed runs. */
  readonly killed: Set<string>;
}

export const newFaultLog = (): FaultLog => ({
  hub: 0,
  sidecar: 0,
  agent: 0,
  cut: 0,
  longDead: 0,
  cutKinds: { cut: 0, 'half-open': 0, refused: 0, 'beyond the grace': 0 },
  inStart: 0,
  absences: [],
  killed: new Set(),
});

export interface Line {
  readonly proxy: TcpProxy;
  /** The agents whose connections go through it. */
  readonly agents: readonly string[];
  isBusy: boolean;
}

export interface FaultParts {
  readonly world: ChaosWorld;
  readonly random: RandomBits;
  readonly hub: Kept;
  readonly sidecars: readonly KeptSidecar[];
  readonly lines: readonly Line[];
  readonly log: FaultLog;
  readonly reconnectGraceMs: number;
  /** One outage in this many lasts longer than the grace period; 0: none. */
  readonly longEvery: number;
}

/** A killed sidecar is restarted within this time, unless it is to stay away for long. Milliseconds. */
const DOWN_MS = 1_500;
const REFUSED_MS = 3_000;
const BEYOND_MS = 5_000;
/** How long a fault waits for a target, and how often it looks for one. Milliseconds. */
const TARGET_WITHIN_MS = 60_000;
const LOOK_MS = 25;

export type FaultKind = 'hub' | 'sidecar' | 'agent' | 'cut';

/** Injects one fault and resolves when its outage is over. */
export async function doFault(kind: FaultKind, parts: FaultParts): Promise<void> {
  const { random, log, reconnectGraceMs, longEvery } = parts;
  const isLong = longEvery > 0 && random() % longEvery === 0;
  const beyondMs = reconnectGraceMs + BEYOND_MS;
  switch (kind) {
    case 'hub': {
      log.hub += 1;
      if (!parts.hub.isReady()) log.inStart += 1;
      return parts.hub.kill(0);
    }
    case 'sidecar': {
      const sidecar = await target(parts, () => parts.sidecars.filter((one) => one.current().isAlive()));
      log.sidecar += 1;
      if (isLong) log.longDead += 1;
      if (!sidecar.isReady()) log.inStart += 1;
      return sidecar.kill(isLong ? beyondMs : random() % DOWN_MS);
    }
    case 'agent': {
      const run = await target(parts, () => parts.world.ledger.living());
      if (!isAlive(run) || !killed(run.pid)) return doFault(kind, parts);
      log.agent += 1;
      log.killed.add(runOf(run));
      return;
    }
    case 'cut':
      return cut(parts, isLong, beyondMs);
  }
}

/** False if the process ended by itself at that very moment. */
function killed(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

async function cut(parts: FaultParts, isLong: boolean, beyondMs: number): Promise<void> {
  const { random, log } = parts;
  const line = await target(parts, () => parts.lines.filter((one) => !one.isBusy));
  line.isBusy = true;
  log.cut += 1;
  const draw = random() % 10;
  const kind: CutKind = isLong ? 'beyond the grace' : draw < 5 ? 'cut' : draw < 8 ? 'half-open' : 'refused';
  log.cutKinds[kind] += 1;
  const from = uptimeSeconds();
  if (kind === 'cut') line.proxy.cut();
  else if (kind === 'half-open') line.proxy.freeze();
  else {
    await line.proxy.refuse();
    await sleep(isLong ? beyondMs : random() % REFUSED_MS);
    await line.proxy.restore();
    const to = uptimeSeconds();
    for (const agent of line.agents) log.absences.push({ agent, from, to, why: 'cut off' });
  }
  line.isBusy = false;
}

async function target<T>({ random }: FaultParts, find: () => readonly T[]): Promise<T> {
  const untilMs = performance.now() + TARGET_WITHIN_MS;
  for (;;) {
    const found = find();
    const one = found[random() % Math.max(1, found.length)];
    if (one !== undefined) return one;
    if (performance.now() > untilMs) throw new Error(`this fault had no target within ${TARGET_WITHIN_MS} ms`);
    await sleep(LOOK_MS);
  }
}
