/**
 * A real hub under hostile peers of every kind, while honest clients submit and honest sidecars work. Judged by how
 * the hostile were answered, what the honest were promised, what was logged, and what is stored in the end.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { spawn, spawnSync } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestEnd } from '../apps/app-world.ts';
import type { BuiltTree } from '../rig/built-tree.ts';
import { eachSecond, readLag, sampleOf, type LagSample, type Sample } from '../chaos/rig/gauges.ts';
import { judgeLog } from '../chaos/rig/hub-log.ts';
import { invariantsOf } from '../chaos/rig/chaos-judge.ts';
import { readStored } from '../chaos/rig/stored.ts';
import { readStream, submitter } from '../chaos/rig/observed.ts';
import { MALLOC, makeChaosWorld, type ChaosWorld } from '../chaos/rig/chaos-world.ts';
import { startLight } from '../chaos/runs/soak-run.ts';
import type { Orders } from './hostile/main.ts';
import type { HostileToken } from './hostile/requests.ts';
import type { Tally } from './hostile/tally.ts';

export interface FuzzOptions {
  readonly tree: BuiltTree;
  readonly seed: string;
  readonly frames: number;
  readonly bodies: number;
  readonly hostileAgents: number;
  readonly honestSidecars: number;
  readonly honestPerSecond: number;
  /** Frames and bodies of a first round, after which memory is measured: caches are full and code is compiled then. */
  readonly warmUp: { readonly frames: number; readonly bodies: number } | null;
  /** How long honest clients are alone before the hostile peers start: the baseline for their latency. */
  readonly undisturbedMs: number;
  /**
   * Whether the hostile peers get only the CPU time that all others leave, as if they were other machines; on a busy
   * machine they starve.
   */
  readonly hostileIdle?: boolean;
  /** How long the hub is left idle before its memory is measured: garbage is collected and sockets are gone by then. */
  readonly restMs: number;
  readonly onProgress?: (frames: number, note: string) => void;
}

export interface FuzzOutcome {
  /** Of the round after the warm-up. */
  readonly tally: Tally;
  /** What the hub counted as refused, over both rounds. */
  readonly refused: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly seconds: number;
  /** Milliseconds, for each honest submit during the attack. */
  readonly honestMs: readonly number[];
  /** The same before the attack, after the warm-up. */
  readonly undisturbedMs: readonly number[];
  readonly honest: { readonly answered: number; readonly completed: number; readonly repeated: number };
  readonly rss: { readonly before: Sample; readonly during: readonly Sample[]; readonly after: Sample };
  readonly lag: readonly LagSample[];
  readonly stored: { readonly tasks: number; readonly events: number };
  /** Everything that must not happen. */
  readonly violations: readonly string[];
}

/** Parallel plays: as many as keep the hub busy without keeping the honest waiting on this machine's own cores. */
const AT_ONCE = { sockets: 24, requests: 8 };
const DRAINED_WITHIN_MS = 120_000;
const SHOWN = 10;
/** How much of a second honest work takes. */
const WORK_SECONDS = 0.05;
const FILLING = { bulks: 40, tasks: 500, characters: 2_000 };
const COLLECTED_WITHIN_MS = 3_000;
const MIB = 2 ** 20;

export async function fuzzRun(t: TestEnd, options: FuzzOptions): Promise<FuzzOutcome> {
  const { tree, seed, onProgress } = options;
  const world = await makeChaosWorld(t, { tree, limits: {} });
  const hub = world.startHub({ env: MALLOC });
  if ((await hub.ready) === null) throw new Error(`the hub did not start: ${readFileSync(world.logOf('hub'), 'utf8')}`);
  const light = await startLight(t, world, tree, { count: options.honestSidecars, ports: [world.hubPort] });
  if ((await light.ready) === null) throw new Error(`the honest sidecars did not start: ${readFileSync(world.logOf('light'), 'utf8')}`);
  const orders = await ordersFor(world, options);
  const hostile = { t, world, tree, isIdle: options.hostileIdle === true };
  const completed = new Set<string>();
  const stream = readStream(world.api, ({ event, taskId }) => {
    if (event === 'completed') completed.add(taskId);
  });
  const violations: string[] = [];

  const submits = submitter(world.api, new AbortController().signal);
  const honestMs: number[] = [];
  const honestly = honestLoad(options.honestPerSecond, async (n) => {
    const beganMs = performance.now();
    await submits.submit(`${seed}-${n}`, { description: `${seed}-${n} ok ${WORK_SECONDS}`, needed_capabilities: ['code'] });
    honestMs.push(performance.now() - beganMs);
  });

  if (options.warmUp !== null) {
    await fillStore(world);
    await hostileRound(hostile, { ...orders, seed: `${seed} warm-up`, ...options.warmUp }, (tally) =>
      onProgress?.(0, `frames, ${tally.frames} of the warm-up`),
    );
  }
  await sleep(options.restMs);
  honestMs.length = 0;
  await sleep(options.undisturbedMs);
  const undisturbedMs = honestMs.splice(0);
  const before = await collected(hub.pid);
  // Submits that waited for that collection belong to neither round.
  honestMs.length = 0;
  const during: Sample[] = [];
  const beganMs = Date.now();
  const stopLooking = eachSecond(() => {
    const sample = sampleOf(hub.pid);
    if (sample !== null) during.push(sample);
  });
  const tally = await hostileRound(hostile, { ...orders, seed }, (so) => {
    const rssMiB = Math.round((during.at(-1)?.rssBytes ?? 0) / MIB);
    onProgress?.(so.frames, `frames, ${so.bodies} bodies, hub ${rssMiB} MiB, ${honestMs.length} honest`);
  });
  stopLooking();
  const lag = readLag(world.lagFile).filter(({ atMs }) => atMs >= beganMs);
  const seconds = Math.round((Date.now() - beganMs) / 1_000);
  const underFireMs = [...honestMs];

  violations.push(...(await honestly.stop()));
  const untilMs = Date.now() + DRAINED_WITHIN_MS;
  const waiting = (): string[] => [...submits.answered.keys()].filter((id) => !completed.has(id));
  while (waiting().length > 0 && Date.now() < untilMs) await sleep(100);
  await sleep(options.restMs);
  const after = await collected(hub.pid);
  const { refused = {} } = (await world.api.tasks.stats()) as Partial<Pick<FuzzOutcome, 'refused'>>;
  await stream.stop();
  await light.kill('SIGTERM');
  const end = await hub.kill('SIGTERM');

  if (end !== 0) violations.push(`the hub ended with ${end}`);
  violations.push(...tally.surprises.map((surprise) => `hostile: ${surprise}`));
  violations.push(...(await judgeStore(world, submits.answered)));
  violations.push(...submits.changed.map((key) => `the key ${key} was answered with another task than at first`));
  violations.push(...judgeLog(world.logOf('hub')));
  const stored = await readStored(world.database);
  return {
    tally,
    refused,
    seconds,
    honestMs: underFireMs,
    undisturbedMs,
    honest: { answered: submits.answered.size, completed: submits.answered.size - waiting().length, repeated: submits.repeated },
    rss: { before, during, after },
    lag,
    stored: { tasks: stored.tasks.size, events: stored.events.length },
    violations,
  };
}

/** Tokens of every role for the hostile, who include known people and agents as well as unknown peers. */
async function ordersFor(world: ChaosWorld, options: FuzzOptions): Promise<Orders> {
  const { api } = world;
  const agents: { agentId: string; token: string }[] = [];
  for (let n = 1; n <= options.hostileAgents; n += 1) {
    const agentId = `hostile-${n}`;
    // Fixed by the token: whatever they claim, no honest task is ever assigned to them.
    const { token = '' } = await api.tokens.create({ agent_id: agentId, capabilities: ['hostile'], max_slots: 4 });
    agents.push({ agentId, token });
  }
  const people: HostileToken[] = [];
  for (const role of ['submitter', 'viewer', 'operator', 'admin'] as const) {
    const { token = '' } = await api.tokens.create({ name: `hostile ${role}`, role });
    people.push({ token, mayEnd: role === 'operator' || role === 'admin' });
  }
  for (const [n, { agentId }] of agents.entries()) {
    if (n % 2 === 0) await api.tasks.submit({ description: 'for the hostile', assign_to: agentId, max_retries: 100 }, `for ${agentId}`);
  }
  const { frames, bodies, seed } = options;
  const others = [agents[0]?.token ?? '', '', 'wrong', 'x'.repeat(2_000)].map((token) => ({ token, mayEnd: false }));
  const tokens = [...people, ...people, ...people, ...others];
  return { port: world.hubPort, seed, frames, bodies, agents, tokens, viewerToken: people[1]?.token ?? '', atOnce: AT_ONCE };
}

/** One hostile process from its start to its end. */
async function hostileRound(
  { t, world, tree, isIdle }: { readonly t: TestEnd; readonly world: ChaosWorld; readonly tree: BuiltTree; readonly isIdle: boolean },
  orders: Orders,
  onTally: (tally: Tally) => void,
): Promise<Tally> {
  const file = join(world.dir, 'hostile.json');
  writeFileSync(file, JSON.stringify(orders), { mode: 0o600 });
  const program = [process.execPath, tree.compiled('test/fuzz/hostile/main.ts'), file];
  // It represents other machines, so it gets what the hub and the honest leave of this machine's CPUs: even a process of
  // the lowest priority keeps a CPU for milliseconds after another needs it.
  const hasIdle = isIdle && spawnSync('chrt', ['--idle', '0', 'true']).status === 0;
  const [command = '', ...args] = hasIdle ? ['chrt', '--idle', '0', ...program] : program;
  const child = spawn(command, args, { cwd: world.dir, stdio: ['ignore', 'pipe', 'inherit'] });
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let last: Tally | null = null;
  for await (const line of createInterface({ input: child.stdout as Readable })) {
    last = JSON.parse(line) as Tally;
    onTally(last);
  }
  const [code, signal] = await ended;
  if (code !== 0 || last === null) throw new Error(`the hostile process ended with ${code ?? signal}`);
  return last;
}

/** Submits at an even rate until it is stopped; returns what went wrong, which is nothing. */
function honestLoad(perSecond: number, submit: (n: number) => Promise<void>): { stop(): Promise<readonly string[]> } {
  const failures: string[] = [];
  const pending = new Set<Promise<void>>();
  let n = 0;
  const timer = setInterval(() => {
    const one = submit((n += 1)).catch((thrown: unknown) => void failures.push(`an honest submit failed: ${String(thrown)}`));
    pending.add(one);
    void one.then(() => pending.delete(one));
  }, 1_000 / perSecond);
  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(pending);
      return failures.slice(0, SHOWN);
    },
  };
}

/** Every honest task that was acknowledged exists, with its text, and is completed; and the store is sound. */
async function judgeStore(world: ChaosWorld, answered: ReadonlyMap<string, string>): Promise<readonly string[]> {
  const stored = await readStored(world.database);
  const violations: string[] = [];
  for (const [id, description] of answered) {
    const found = stored.tasks.get(id);
    if (found?.description !== description)
      violations.push(`J1: ${id} was acknowledged and is ${found === undefined ? 'not there' : 'another'}`);
    else if (found.task.status !== 'completed')
      violations.push(`J1: ${id} is ${found.task.status} (${found.task.lastError ?? 'no error'})`);
  }
  for (const { invariant, what, taskId, agentId } of invariantsOf(stored))
    violations.push(`${invariant}: ${taskId ?? agentId ?? ''} ${what}`);
  if (stored.integrity !== 'ok') violations.push(`SQLite says: ${stored.integrity}`);
  return violations.slice(0, SHOWN * 3);
}

/** More than the database writer keeps in memory, 32 MiB: a store that has grown is not a leak. */
async function fillStore({ api }: ChaosWorld): Promise<void> {
  const body = { description: 'x'.repeat(FILLING.characters), needed_capabilities: ['offered by no agent'] };
  for (let n = 0; n < FILLING.bulks; n += 1) await api.tasks.submitMany(Array.from({ length: FILLING.tasks }, () => body));
}

/** The hub's memory, without garbage. */
async function collected(pid: number): Promise<Sample> {
  process.kill(pid, 'SIGUSR2');
  await sleep(COLLECTED_WITHIN_MS);
  const sample = sampleOf(pid);
  if (sample === null) throw new Error('the hub is gone');
  return sample;
}
