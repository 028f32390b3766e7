/** Several hubs on one Postgres, both killed and stopped at random moments while tasks run. What `npm run chaos:pg` does. */
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom, type RandomBits } from '../../product/twins/ids-seeded/seeded-random.ts';
import type { HubClient } from '../../../apps/client/index.ts';
import { postgresServer, type PostgresPower } from '../../adapters/storage-places/postgres-server.ts';
import type { TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import { keepHub, type KeptHub } from '../pg/kept-hub.ts';
import { judgeWorld, settle, stopAll } from '../rig/closing.ts';
import { keepSidecar } from '../rig/chaos-faults.ts';
import type { Absence, Verdict } from '../rig/chaos-judge.ts';
import { shuffled } from '../rig/shuffled.ts';
import { submitAll } from '../rig/tasks/submit-all.ts';
import { readStream, submitter } from '../rig/observed.ts';
import { makeChaosWorld, type ChaosWorld } from '../rig/chaos-world.ts';

export interface ChaosPgCounts {
  readonly tasks: number;
  readonly hubs: number;
  readonly sidecars: number;
  /** Of a hub, with -9. */
  readonly kills: number;
  /** Of a hub, with SIGTERM. */
  readonly drains: number;
  /** Of Postgres; every other one is a crash. */
  readonly restarts: number;
  /** The percentage of notifications between hubs that do not arrive. */
  readonly lostPercent: number;
  /** The clocks of hubs are off by up to this, in either direction. */
  readonly clockMinutes: number;
}

export interface ChaosPgOptions extends ChaosPgCounts {
  readonly tree: BuiltTree;
  readonly seed: string;
  readonly onProgress?: (completed: number, note: string) => void;
}

export interface ChaosPgOutcome {
  readonly verdict: Verdict;
  readonly done: Readonly<Record<FaultKind, number>>;
  readonly failedStarts: number;
  readonly repeatedSubmits: number;
  readonly askedAgain: number;
  /** What ended by itself, did not stop when told, or answered a repeat differently. */
  readonly surprises: readonly string[];
  readonly seconds: number;
}

type FaultKind = 'kill' | 'drain' | 'restart';

const HUB_PROGRAM = 'test/chaos/pg/pg-hub.ts';
const SLOTS = 2;
const SUBMITTERS = 6;
/** Faults are injected while tasks up to this share are completed, so that the last ones still hit running work. */
const FAULTS_UNTIL = 0.9;
/** After its moment has come a fault waits for up to this; a dead hub or Postgres comes back within it. Milliseconds. */
const JITTER_MS = 400;
const HUB_DOWN_MS = 2_000;
const POSTGRES_DOWN_MS = 3_000;
/** A hub that started this shortly after the store came back may still have met it starting. */
const STARTING_MS = 5_000;
const RECONNECT_GRACE_MS = 30_000;
const STUCK_MS = 180_000;
const LOOK_MS = 25;

/** Postgres, and since when it was last unavailable. */
interface Server {
  readonly power: PostgresPower;
  isAway: boolean;
  backAtMs: number;
}

export async function chaosPgRun(t: TestEnd, options: ChaosPgOptions): Promise<ChaosPgOutcome> {
  const { seed, onProgress } = options;
  const random = seededRandom(seed);
  const beganMs = performance.now();
  const postgres = await postgresServer();
  t.teardown(() => postgres.end());
  if (postgres.power === null) throw new Error('Postgres is stopped here: unset AGENTCOM_TEST_DATABASE_URL, so that it is our own');
  const server: Server = { power: postgres.power, isAway: false, backAtMs: 0 };
  const world = await makeChaosWorld(t, {
    tree: options.tree,
    hubTiming: { reconnectGraceMs: RECONNECT_GRACE_MS, quietAfterStartMs: RECONNECT_GRACE_MS },
    postgres: { options: { url: postgres.url, schema: 'chaos' }, hubs: options.hubs },
  });
  const hubs = keepHubs(world, options, server, random);
  while (!hubs.every((hub) => hub.isReady())) await sleep(LOOK_MS);
  const agents = Array.from({ length: options.sidecars }, (_, n) => `agent-${String(n + 1).padStart(2, '0')}`);
  for (const agentId of agents) await world.enrol({ agentId, slots: SLOTS });
  const absences: Absence[] = [];
  const sidecars = agents.map((agentId) => keepSidecar(world, agentId, absences));
  const ending = new AbortController();
  const done: Record<FaultKind, number> = { kill: 0, drain: 0, restart: 0 };
  let ended = 0;
  let endedAtMs = performance.now();
  const stream = readStream(world.api, ({ event }) => {
    if (event !== 'completed' && event !== 'dead_lettered') return;
    ended += 1;
    endedAtMs = performance.now();
    onProgress?.(ended, `tasks ended; hubs killed ${done.kill}, drained ${done.drain}; Postgres restarted ${done.restart}`);
  });
  const told = submitter(spreadOver(world.apis), ending.signal);
  t.teardown(async () => {
    ending.abort();
    await stream.stop();
  });

  const isStuck = (): boolean => performance.now() - endedAtMs > STUCK_MS;
  const faulting = doFaults({ ...options, hubs, server, random, done, ended: () => ended, isStuck });
  const all = await Promise.all([submitAll(told, { ...options, submitters: SUBMITTERS, random, ended: () => ended }), faulting]).then(
    () => options.tasks,
  );
  while (ended < all && !isStuck()) await sleep(LOOK_MS);
  if (isStuck()) ending.abort();

  await settle(world, stream, agents);
  // A process that has only just begun does not know yet how to handle SIGTERM.
  while (!hubs.every((hub) => hub.isReady()) && !isStuck()) await sleep(LOOK_MS);
  const failedStarts = hubs.reduce((sum, hub) => sum + hub.failedStarts, 0);
  const surprises = [
    ...(await stopAll(sidecars, ...hubs)),
    ...told.changed.map((key) => `${key} was answered with another task than at first`),
  ];
  if (isStuck()) surprises.push(`no task ended for ${STUCK_MS} ms; ${ended} had`);
  const evidence = { told, stream, log: { killed: new Set<string>(), absences }, reconnectGraceMs: RECONNECT_GRACE_MS, agents };
  const verdict = await judgeWorld(world, { ...evidence, wanted: () => 'completed' });
  return {
    verdict,
    done,
    failedStarts,
    repeatedSubmits: told.repeated,
    askedAgain: told.askedAgain,
    surprises,
    seconds: Math.round((performance.now() - beganMs) / 1_000),
  };
}

function keepHubs(
  world: ChaosWorld,
  { hubs, clockMinutes, lostPercent }: ChaosPgCounts,
  server: Server,
  random: RandomBits,
): readonly KeptHub[] {
  const rangeMs = clockMinutes * 60_000;
  const mayFail = (sinceMs: number): boolean => server.isAway || server.backAtMs + STARTING_MS > sinceMs;
  return Array.from({ length: hubs }, (_, hub) => {
    const start = () => {
      const offsetMs = rangeMs === 0 ? 0 : (random() % (2 * rangeMs + 1)) - rangeMs;
      const env = { CHAOS_CLOCK_OFFSET_MS: String(offsetMs), CHAOS_NOTIFICATIONS_LOST: String(lostPercent / 100) };
      return world.startHub({ hub, program: HUB_PROGRAM, env });
    };
    return keepHub(`hub ${hub + 1}`, world.logOf(hub === 0 ? 'hub' : `hub-${hub + 1}`), start, mayFail);
  });
}

/** Sends each submit to the next hub, and its repeat to the one after that. */
function spreadOver(apis: readonly HubClient[]): HubClient {
  let calls = 0;
  const first = apis[0] as HubClient;
  return {
    ...first,
    tasks: {
      ...first.tasks,
      submit(body, key) {
        calls += 1;
        return (apis[calls % apis.length] as HubClient).tasks.submit(body, key);
      },
    },
  };
}

interface Faulting extends Omit<ChaosPgCounts, 'hubs'> {
  readonly hubs: readonly KeptHub[];
  readonly server: Server;
  readonly random: RandomBits;
  readonly done: Record<FaultKind, number>;
  readonly ended: () => number;
  readonly isStuck: () => boolean;
}

/** Each fault has its moment: a number of ended tasks, and a moment after. */
async function doFaults(faulting: Faulting): Promise<void> {
  const { tasks, kills, drains, restarts, random, done, ended, isStuck } = faulting;
  const of = (kind: FaultKind, count: number): FaultKind[] => Array.from({ length: count }, () => kind);
  const faults = shuffled([...of('kill', kills), ...of('drain', drains), ...of('restart', restarts)], random);
  const running: Promise<void>[] = [];
  for (const [index, kind] of faults.entries()) {
    const dueAt = Math.floor((tasks * FAULTS_UNTIL * (index + (random() % 100) / 100)) / faults.length);
    while (ended() < dueAt && !isStuck()) await sleep(LOOK_MS);
    if (isStuck()) break;
    await sleep(random() % JITTER_MS);
    done[kind] += 1;
    const doing = doFault(kind, faulting);
    running.push(doing);
    // Drains run one after the other, since each ends with what the store says; Postgres is one. Kills run
    // independently.
    if (kind !== 'kill') await doing;
  }
  await Promise.all(running);
}

async function doFault(kind: FaultKind, { hubs, server, random, done }: Faulting): Promise<void> {
  const downMs = random() % HUB_DOWN_MS;
  if (kind === 'kill') return (hubs[random() % hubs.length] as KeptHub).kill(downMs);
  if (kind === 'drain') {
    for (;;) {
      const ready = hubs.filter((hub) => hub.isReady());
      const one = ready[random() % Math.max(1, ready.length)];
      if (one !== undefined) return one.drain(downMs);
      await sleep(LOOK_MS);
    }
  }
  server.isAway = true;
  await (done.restart % 2 === 0 ? server.power.crash() : server.power.stop());
  await sleep(random() % POSTGRES_DOWN_MS);
  await server.power.start();
  server.backAtMs = performance.now();
  server.isAway = false;
}
