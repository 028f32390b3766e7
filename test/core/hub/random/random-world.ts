/**
 * A hub whose sidecars, operators, storage and clock act out a random history. After each act it reports what is
 * wrong: violated invariants of the store, and frames that report something that was never committed.
 */
import { memoryDatabase, type MemoryDatabase } from '../../../../adapters/storage-memory/memory-database.ts';
import type { TransactionStep } from '../../../../adapters/storage-memory/memory-task-store.ts';
import { virtualClock } from '../../../product/twins/clock-virtual/virtual-clock.ts';
import type { Command } from '../../../../core/application/hub/batch/commands.ts';
import type { StoredEvent } from '../../../../core/domain/task/event.ts';
import type { AgentId, Generation, TaskId } from '../../../../core/domain/ids.ts';
import { checkInvariants } from '../../../../core/domain/invariants/invariants.ts';
import { isEnded, PRIORITIES, type Task } from '../../../../core/domain/task/task.ts';
import type { HubTiming } from '../../../../core/config/times.ts';
import { AgentcomError, messageOf } from '../../../../core/errors/agentcom-error.ts';
import { aDraft, hubRig, settle, type HubRig } from '../hub-rig.ts';
import { RandomSidecar } from './random-sidecar.ts';
import { AGENTS, type Act, type ActOf } from './random-acts.ts';
import { gate, type Gate } from '../../../rig/gate.ts';

const SWEEP_MS = 10_000;
const TIMING: Partial<HubTiming> = {
  acceptMs: 8_000,
  leaseMs: 20_000,
  reconnectGraceMs: 15_000,
  quietAfterStartMs: 10_000,
  sweepMs: SWEEP_MS,
  stopResendMs: 10_000,
  killGraceMs: 1_000,
  graceMarginMs: 1_000,
  runMaxMs: 100_000,
  v1RunMaxMs: 60_000,
  backoff: { firstMs: 500, maxMs: 4_000 },
  breaker: { firstMs: 10_000, maxMs: 60_000 },
  // No agent here answers probes, so none is sent.
  heartbeatMs: 1_000_000_000,
  pongWaitMs: 1_000_000_000,
};
/** Errors that the storage may fail with. */
const PLANTED = ['AC_STORE_RETRY', 'AC_STORE_UNAVAILABLE', 'AC_COMMIT_UNKNOWN'] as const;
/** A runnable task and a free agent are matched within this time (R16), and due work is handled. */
const MEET_MS = 1_000;
/** If store time gains more than this between two readings, it was moved. */
const STEP_MS = 100;
/** A version 1 agent that was replaced too often is refused for 5 min; within this many rounds everything must have ended. */
const ROUNDS_MAX = 45;
const ROUND_MS = 10_000;
/** A task that a clock jump scheduled later than this is not waited for. */
const PATIENCE_MS = 120_000;

export class RandomWorld {
  readonly #clock = virtualClock();
  readonly #database: MemoryDatabase = memoryDatabase('store-1');
  readonly #sidecars: readonly RandomSidecar[] = AGENTS.map((agent) => new RandomSidecar(agent));
  readonly #tasks: TaskId[] = [];
  #rig: HubRig | null = null;
  #hubs = 0;
  /** Number of its log lines already checked. */
  #linesSeen = 0;
  #healthySinceMs = 0;
  /** The store's time minus the monotonic clock, as last seen. */
  #aheadMs = 0;
  #failing: ActOf<'fail'> | null = null;
  #gate: Gate | null = null;

  /** Starts a hub; when the first one starts, every agent connects. */
  async start(): Promise<void> {
    await this.#startHub();
    for (const [agent, sidecar] of this.#sidecars.entries())
      await sidecar.act({ act: 'identify', agent, held: 'nothing', cutFirst: false }, this.#sidecars, this.#tasks);
  }

  async #startHub(): Promise<void> {
    this.#failing = null;
    this.#hubs += 1;
    const hub = { isDead: false };
    this.#rig = await hubRig({
      clock: this.#clock,
      hubId: `hub-${this.#hubs}`,
      timing: TIMING,
      store: { database: this.#database, onStep: (step) => this.#onStep(step, hub) },
    });
    this.#kill = () => (hub.isDead = true);
    this.#linesSeen = 0;
    for (const sidecar of this.#sidecars) await sidecar.meet(this.#rig);
    this.#unwellFor(0);
  }
  #kill: () => void = () => undefined;

  /** Ends it; nothing is left open. */
  async stop(): Promise<void> {
    await this.#release();
    this.#failing = null;
    await this.#hub().stop();
  }

  /** Performs the act, lets everything settle, and returns what went wrong since. */
  async act(act: Act): Promise<readonly string[]> {
    await this.#do(act);
    await settle(this.#clock);
    return this.#look();
  }

  /** Faults end and every agent is back and behaves: which tasks have not ended after a while although they could? */
  async finish(): Promise<readonly string[]> {
    await this.#release();
    this.#failing = null;
    for (const { id } of AGENTS) await this.#ask({ kind: 'agent_control', agentId: id as string as AgentId, change: 'resume' });
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      for (const sidecar of this.#sidecars) await sidecar.work();
      const problems = this.#look();
      if (problems.length > 0) return problems;
      if (this.#unfinished().length === 0) return [];
      await this.#hub().pass(ROUND_MS);
    }
    return this.#unfinished().map((task) => `liveness: ${JSON.stringify(task)}`);
  }

  #hub(): HubRig {
    if (this.#rig === null) throw new Error('the world was not started');
    return this.#rig;
  }

  async #do(act: Act): Promise<void> {
    switch (act.act) {
      case 'submit':
        return this.#ask(this.#submit(act));
      case 'operate':
        return this.#operate(act);
      case 'availability':
        return this.#ask({ kind: 'agent_control', agentId: sidecarId(act.agent), change: act.change });
      case 'pass':
        return this.#hub().pass(act.ms);
      case 'jump':
        this.#clock.jumpWall(act.ms);
        return;
      case 'fail':
        this.#failing = act;
        return;
      case 'hold':
        this.#hold();
        return;
      case 'release':
        return this.#release();
      case 'restart':
        return this.#restart(act.how);
      case 'identify':
      case 'cut':
      case 'report':
      case 'confirm':
      case 'say':
      case 'recover':
        await this.#sidecars[act.agent]?.act(act, this.#sidecars, this.#tasks);
    }
  }

  /** Not awaited, since the store may be held. A refusal or failure is fine: the store shows the outcome. */
  async #ask(command: Command): Promise<void> {
    this.#hub().queue.post(command, (outcome) => {
      if (outcome.ok && command.kind === 'submit' && 'tasks' in outcome.answer) {
        for (const { id } of outcome.answer.tasks) if (!this.#tasks.includes(id)) this.#tasks.push(id);
      }
    });
    await settle(this.#clock);
  }

  #submit(act: ActOf<'submit'>): Command {
    const nowMs = this.#storeMs();
    const after = (ms: number | null): number | null => (ms === null ? null : nowMs + ms);
    const draft = aDraft(this.#newTaskId(), {
      priority: PRIORITIES[act.lane] ?? 'normal',
      maxRetries: act.maxRetries,
      neededCapabilities: act.needsGpu === null ? [] : ['gpu'],
      assignTo: act.assignTo === null || act.needsGpu !== null ? null : sidecarId(act.assignTo),
      runAtMs: after(act.runAfterMs),
      ttlMs: act.ttlMs,
      completeByMs: after(act.withinMs),
      runMaxMs: act.runMaxMs,
      dependsOn: act.dependsOn.flatMap((place) => this.#task(place) ?? []),
    });
    const idempotency = act.key === null ? null : { key: `key-${act.key}`, name: null, digest: 'the same' };
    return { kind: 'submit', drafts: [draft], submittedBy: 'tok-1', idempotency };
  }

  async #operate({ task: place, how }: ActOf<'operate'>): Promise<void> {
    const taskId = this.#task(place);
    if (taskId === undefined) return;
    const takenBack = this.#database.tasks.get(taskId)?.task.takenBack?.generation ?? (1 as Generation);
    await this.#ask(how === 'adopt' ? { kind: how, taskId, generation: takenBack, by: 'op' } : { kind: how, taskId, by: 'op' });
  }

  #task(place: number): TaskId | undefined {
    return this.#tasks[this.#tasks.length - 1 - (place % Math.max(1, this.#tasks.length))];
  }

  #taskIds = 0;
  #newTaskId(): TaskId {
    this.#taskIds += 1;
    return `task-${this.#taskIds.toString(16).padStart(16, '0')}` as TaskId;
  }

  async #restart(how: 'stop' | 'kill'): Promise<void> {
    const old = this.#hub();
    if (how === 'kill') this.#kill();
    await this.#release();
    this.#failing = null;
    await old[how]();
    await this.#startHub();
  }

  #hold(): void {
    if (this.#gate !== null) return;
    this.#gate = gate();
  }

  async #release(): Promise<void> {
    this.#gate?.open();
    this.#gate = null;
    this.#unwellFor(0);
    await settle(this.#clock);
  }

  async #onStep(step: TransactionStep, hub: { readonly isDead: boolean }): Promise<void> {
    if (step === 'begin') await this.#gate?.opened;
    if (hub.isDead) throw new AgentcomError('AC_STORE_UNAVAILABLE', 'its hub was killed');
    const failing = this.#failing;
    if (failing === null || failing.step !== step) return;
    this.#failing = failing.times > 1 ? { ...failing, times: failing.times - 1 } : null;
    this.#unwellFor(0);
    // After a commit no other answer would be true.
    throw new AgentcomError(step === 'committed' ? 'AC_COMMIT_UNKNOWN' : failing.code, 'planted');
  }

  /** Something happened that excuses it for being late, until then. */
  #unwellFor(ms: number): void {
    this.#healthySinceMs = Math.max(this.#healthySinceMs, this.#storeMs() + ms);
  }

  /** The store's time, which follows the clock without jumping with it. */
  #storeMs = (): number => this.#hub().storage.tasks.nowMs();

  #look(): readonly string[] {
    // Moved forward to a clock that stayed ahead: the next regular sweep handles what that made due.
    const aheadMs = this.#storeMs() - this.#clock.monotonicMs();
    if (aheadMs > this.#aheadMs + STEP_MS) this.#unwellFor(SWEEP_MS);
    this.#aheadMs = aheadMs;
    const { tasks, agents, stops, keys, events, eventsOf } = this.#database;
    const state = {
      tasks: [...tasks.values()].map(({ task }) => task),
      agents: [...agents.values()],
      stops: [...stops.values()],
      keys: [...keys.values()],
      sweepMs: MEET_MS,
      healthySinceMs: this.#gate === null ? this.#healthySinceMs : this.#storeMs(),
    };
    const violations = checkInvariants(state, events, this.#storeMs());
    const lies = this.#sidecars.flatMap((sidecar) => sidecar.hear((taskId) => eventsOf.get(taskId) ?? []));
    return [
      ...this.#complaints(),
      ...lies,
      ...this.#neverReported(events),
      ...violations.map(({ invariant, what, taskId, agentId }) => `${invariant} ${taskId ?? ''} ${agentId ?? ''}: ${what}`),
    ];
  }

  /** What the hub itself logs as broken, except for the planted faults. */
  #complaints(): readonly string[] {
    const lines = this.#hub().log.lines.slice(this.#linesSeen);
    this.#linesSeen += lines.length;
    const isPlanted = (error: unknown): boolean => PLANTED.some((code) => AgentcomError.is(error, code));
    return lines
      .filter(({ level, message, fields }) => level === 'error' && !message.includes('was rolled back') && !isPlanted(fields['error']))
      .map(({ message, fields }) => `log: ${message}: ${messageOf(fields['error'])}`);
  }

  /** Ends in the history attributed to an agent that never reported them: of another task, generation or agent. */
  #neverReported(events: readonly StoredEvent[]): readonly string[] {
    const isEnd = ({ event, session }: StoredEvent): boolean =>
      session !== null && (event === 'completed' || event === 'failed' || event === 'rejected' || event === 'released');
    const isTrue = ({ event, taskId, generation, agentId }: StoredEvent): boolean =>
      this.#sidecars.some((sidecar) => sidecar.id === agentId && sidecar.hasReported(event, taskId, generation));
    return events.filter((event) => isEnd(event) && !isTrue(event)).map((event) => `never reported: ${JSON.stringify(event)}`);
  }

  /** Tasks that should have ended by themselves. */
  #unfinished(): readonly Task[] {
    const farMs = this.#storeMs() + PATIENCE_MS;
    const isFar = (task: Task): boolean => (task.status === 'scheduled' ? (task.runAtMs ?? 0) : (task.eligibleAtMs ?? 0)) > farMs;
    const all = [...this.#database.tasks.values()].map(({ task }) => task);
    const stuck = new Set(all.filter((task) => task.status === 'cancelled' || task.status === 'dead_letter' || task.parked || isFar(task)));
    const waitsForStuck = (task: Task): boolean =>
      task.dependsOn.some((id) => {
        const dependency = this.#database.tasks.get(id)?.task;
        return dependency !== undefined && (stuck.has(dependency) || waitsForStuck(dependency));
      });
    return all.filter((task) => !isEnded(task) && !stuck.has(task) && !(task.status === 'blocked' && waitsForStuck(task)));
  }
}

/** Plays a whole history. Throws with everything that went wrong, and when. */
export async function live(history: readonly Act[]): Promise<void> {
  const world = new RandomWorld();
  await world.start();
  try {
    for (const [place, act] of history.entries()) throwIfAny(await world.act(act), `after act ${place}`);
    throwIfAny(await world.finish(), 'at the end');
  } finally {
    await world.stop();
  }
}

function throwIfAny(problems: readonly string[], when: string): void {
  if (problems.length > 0) throw new Error(`${when}: ${problems.join('\n')}`);
}

const sidecarId = (place: number): AgentId => (AGENTS[place]?.id ?? AGENTS[0].id) as unknown as AgentId;
