/** What a seed stands for: a world, its faults, and the acts that are played in it. Plain JSON, so that it can be stored and shrunk. */
import { HUB_TIMING, SIDECAR_TIMING, type HubTiming, type SidecarTiming } from '../../core/config/times.ts';
import { chance, type Chance } from './seeded-chance.ts';
import { edgesOf, troublesOf, type EdgeActKind, type EdgePlan } from './edges.ts';

export interface MachinePlan {
  readonly agentId: string;
  readonly version: 1 | 2;
  readonly slots: number;
  readonly capabilities: readonly string[];
  readonly adoptable: boolean;
  /** How far its wall clock is off. */
  readonly clockOffMs: number;
}

export interface HubPlan {
  /** How far its machine's clock is off. */
  readonly clockOffMs: number;
}

/** How often things go wrong by themselves, as shares of all cases. */
export interface FaultPlan {
  /** Transactions: those that the store asks to repeat, those of unknown outcome, and those that fail. */
  readonly busy: number;
  readonly unknownCommit: number;
  readonly failedCommit: number;
  /** The longest time that a commit takes. */
  readonly commitMs: number;
  /** Connections that are slow from the start; task frames that arrive twice. */
  readonly slow: number;
  readonly doubled: number;
  /** How much may be queued for one connection before the hub closes it; 0: the hub's own limit. */
  readonly queueBytes: number;
  /** Wakes that cannot be spawned; agents that do not do what they should. */
  readonly spawnFails: number;
  readonly badAgents: number;
  /** Writes of a journal that fail. */
  readonly journalFails: number;
  /** Notifications between hubs that never arrive. */
  readonly notificationsLost: number;
  /** Answers to the end of an assignment that never arrive, like everything after them on their connection. Older stored plans have none. */
  readonly answersLost?: number;
  /** Wakes whose runner reports megabytes, or tens of thousands of names. Older stored plans have none. */
  readonly hugeWords?: number;
  /** Tasks that count in the send window of their agent, which is small then. Older stored plans have none. */
  readonly largeTasks?: number;
}

export const ACT_KINDS = [
  'submit',
  'bulk',
  'push',
  'cancel',
  'retry',
  'adopt',
  'drain',
  'resume',
  'takeover',
  'hub_kill',
  'hub_stop',
  'hub_freeze',
  'stall',
  'hub_jump',
  'store_outage',
  'machine_kill',
  'machine_reboot',
  'machine_stop',
  'machine_freeze',
  'machine_jump',
  'journal_fails',
  'prepare_fails',
  'cut',
  'half_open',
  'partition',
  'slow',
  'agent_dies',
  'reset',
  'foreign',
] as const;
export type ActKind = (typeof ACT_KINDS)[number];

/** `n`: three numbers from 0 to 1, which choose the target, the variant and the duration. */
export interface Act {
  readonly atMs: number;
  readonly kind: ActKind | EdgeActKind;
  readonly n: readonly [number, number, number];
}

export interface Plan {
  readonly seed: number;
  /** At the end, faults stop and everything must end. */
  readonly liveness: boolean;
  readonly timing: HubTiming;
  readonly sidecarTiming: SidecarTiming;
  readonly hubs: readonly HubPlan[];
  /** Several hubs may use the store, whose clock then counts; otherwise one hub has it to itself, as with SQLite. */
  readonly shared: boolean;
  readonly machines: readonly MachinePlan[];
  readonly faults: FaultPlan;
  readonly acts: readonly Act[];
  /** Its edges. Most worlds, and older stored plans, have none. */
  readonly edges?: EdgePlan;
}

const CAPABILITIES = ['code', 'gpu', 'web'];

/** Weight of each kind of act in a world where it is enabled. */
const WEIGHTS: Readonly<Record<ActKind, number>> = {
  submit: 18,
  bulk: 1,
  push: 3,
  cancel: 6,
  retry: 5,
  adopt: 2,
  drain: 0.7,
  resume: 1.5,
  takeover: 0.3,
  hub_kill: 2,
  hub_stop: 0.7,
  hub_freeze: 1,
  stall: 2,
  hub_jump: 0.7,
  store_outage: 1,
  machine_kill: 4,
  machine_reboot: 1,
  machine_stop: 1.5,
  machine_freeze: 1.5,
  machine_jump: 1,
  journal_fails: 1.5,
  prepare_fails: 1,
  cut: 4,
  half_open: 2,
  partition: 3,
  slow: 2,
  agent_dies: 4,
  reset: 5,
  foreign: 2,
};

/** Acts that are not faults, and are always enabled. */
const ALWAYS: readonly ActKind[] = ['submit', 'bulk', 'push', 'cancel', 'retry', 'adopt', 'resume'];

/** After each of these, the hub reclaims nothing for a while, so they are disabled in worlds where sidecars are to be away for too long. */
const OF_THE_HUB: readonly ActKind[] = ['hub_kill', 'hub_stop', 'hub_freeze', 'hub_jump', 'store_outage'];

const UNLIMITED_EVERY = 10;
/** Numbers of acts. Most problems need few acts; those that build up over time need many. */
const SMALL = [60, 240] as const;
const LARGE = [240, 2_000] as const;
const LARGE_SHARE = 0.04;
const SEVERAL_HUBS_SHARE = 0.5;
const NOTIFICATIONS_LOST = 0.2;
const ANSWERS_LOST_SHARE = 0.3;
const ANSWERS_LOST_MAX = 0.5;
const HUGE_WORDS_SHARE = 0.1;
const HUGE_WORDS_MAX = 0.2;
const LARGE_TASKS_SHARE = 0.2;
const CLOCK_OFF_MS = 3_600_000;
const SHORT: HubTiming = {
  ...HUB_TIMING,
  reconnectMaxMs: 20_000,
  graceMarginMs: 20_000,
  reconnectGraceMs: 80_000,
  quietAfterStartMs: 90_000,
  acceptMs: 15_000,
  leaseMs: 90_000,
  runMaxMs: 600_000,
  v1RunMaxMs: 600_000,
  breaker: { firstMs: 20_000, maxMs: 120_000 },
};
const SHORT_SIDECAR: SidecarTiming = { ...SIDECAR_TIMING, silenceMs: 300_000, idleMs: 120_000 };
const LONG: HubTiming = { ...HUB_TIMING, runMaxMs: 3_600_000, v1RunMaxMs: 3_600_000 };

/** The plan of a seed. */
export function planOf(seed: number): Plan {
  const from = chance(`plan ${seed}`);
  const isShort = !from.is(0.15);
  const isHubUndisturbed = from.is(0.4);
  const isOn = (kind: ActKind): boolean => ALWAYS.includes(kind) || (!(isHubUndisturbed && OF_THE_HUB.includes(kind)) && from.is(0.55));
  const kinds = ACT_KINDS.filter(isOn);
  const machines = machinesOf(from);
  const gapMs = from.skewed(300, 6_000);
  const hubs = hubsOf(chance(`hubs ${seed}`));
  const timing = isShort ? { ...SHORT, leaseMs: from.pick([45_000, 90_000]) } : LONG;
  const faults = {
    ...faultsOf(from),
    ...(isHubUndisturbed ? { failedCommit: 0 } : {}),
    notificationsLost: hubs.shared ? NOTIFICATIONS_LOST : 0,
    answersLost: answersLostOf(chance(`answers ${seed}`)),
    hugeWords: hugeWordsOf(chance(`huge ${seed}`)),
    largeTasks: largeTasksOf(chance(`large ${seed}`)),
  };
  const acts = actsOf(from, kinds, countOf(from, hubs.hubs.length), gapMs);
  const lastMs = acts.at(-1)?.atMs ?? 0;
  const edges = edgesOf(seed, { shared: hubs.shared, lastMs });
  const others = [...(edges?.acts ?? []), ...troublesOf(seed, lastMs)];
  return {
    seed,
    liveness: seed % UNLIMITED_EVERY !== 0,
    timing,
    sidecarTiming: isShort ? SHORT_SIDECAR : SIDECAR_TIMING,
    ...hubs,
    machines,
    faults,
    acts: [...acts, ...others].sort((a, b) => a.atMs - b.atMs),
    ...(edges === null ? {} : { edges: edges.edges }),
  };
}

/** One hub that has its store to itself, or up to three that share it. Drawn from a stream of their own, so that other choices do not change. */
function hubsOf(from: Chance): Pick<Plan, 'hubs' | 'shared'> {
  const place = from.next();
  const count = place < 0.65 ? 1 : place < 0.85 ? 2 : 3;
  const shared = place > 0.6;
  const hubs = Array.from({ length: count }, () => ({
    clockOffMs: shared && from.is(0.7) ? from.between(-CLOCK_OFF_MS, CLOCK_OFF_MS) : 0,
  }));
  return { hubs, shared };
}

/** Also drawn from a random stream of its own. */
const answersLostOf = (from: Chance): number => (from.is(ANSWERS_LOST_SHARE) ? from.next() * ANSWERS_LOST_MAX : 0);

const hugeWordsOf = (from: Chance): number => (from.is(HUGE_WORDS_SHARE) ? from.next() * HUGE_WORDS_MAX : 0);

const largeTasksOf = (from: Chance): number => (from.is(LARGE_TASKS_SHARE) ? from.next() : 0);

/** A world of several hubs costs more for each act. */
const countOf = (from: Chance, hubs: number): number =>
  Math.round((from.is(LARGE_SHARE) ? from.skewed(...LARGE) : from.skewed(...SMALL)) * (hubs === 1 ? 1 : SEVERAL_HUBS_SHARE));

function machinesOf(from: Chance): readonly MachinePlan[] {
  const count = from.is(0.2) ? 1 : from.skewed(1, 12);
  const machines: MachinePlan[] = [];
  const hasV1 = from.is(0.5);
  const hasTwins = from.is(0.2);
  for (let n = 1; n <= count; n += 1) {
    const version = hasV1 && from.is(0.35) ? 1 : 2;
    const before = machines.at(-1);
    const isTwin = hasTwins && before !== undefined && from.is(0.3);
    machines.push({
      agentId: isTwin ? before.agentId : `agent-${n}`,
      version: isTwin ? before.version : version,
      slots: version === 1 ? 1 : from.skewed(1, 4),
      capabilities: CAPABILITIES.filter(() => from.is(0.6)),
      adoptable: from.is(0.8),
      clockOffMs: from.is(0.2) ? from.between(-600_000, 600_000) : 0,
    });
  }
  return machines;
}

function faultsOf(from: Chance): Omit<FaultPlan, 'notificationsLost' | 'answersLost' | 'hugeWords' | 'largeTasks'> {
  const share = (on: number, most: number): number => (from.is(on) ? from.next() * most : 0);
  return {
    busy: share(0.4, 0.1),
    unknownCommit: share(0.4, 0.05),
    failedCommit: share(0.25, 0.02),
    commitMs: from.skewed(4, from.is(0.2) ? 2_000 : 40),
    slow: share(0.4, 0.3),
    doubled: share(0.25, 0.1),
    queueBytes: from.is(0.25) ? from.skewed(600, 4_000) : 0,
    spawnFails: share(0.4, 0.15),
    badAgents: from.is(0.85) ? from.next() * 0.6 : 0,
    journalFails: share(0.3, 0.01),
  };
}

function actsOf(from: Chance, kinds: readonly ActKind[], count: number, gapMs: number): readonly Act[] {
  const acts: Act[] = [];
  const total = kinds.reduce((sum, kind) => sum + WEIGHTS[kind], 0);
  const draw = (): ActKind => {
    let left = from.next() * total;
    for (const kind of kinds) {
      left -= WEIGHTS[kind];
      if (left < 0) return kind;
    }
    return 'submit';
  };
  let atMs = 1_000;
  for (let made = 0; made < count; made += 1) {
    // Usually apart, but often together: races need things to happen at the same moment.
    atMs += from.is(0.3) ? from.between(0, 40) : Math.round(-Math.log(1 - from.next()) * gapMs);
    acts.push({ atMs, kind: draw(), n: [from.next(), from.next(), from.next()] });
  }
  return acts;
}
