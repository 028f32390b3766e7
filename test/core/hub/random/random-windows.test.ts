/**
 * Random histories with tasks of random sizes and a small send window: agents accept, reject, end and lose their connections, operators
 * cancel, commits fail. After each step no agent has more unanswered bytes than its window and one frame, the hub counts what each agent has
 * not answered, and no task waits although an agent could get it. At the end every task ends that an agent may run now. Time advances only
 * after failed commits.
 */
import fc from 'fast-check';
import t from 'tap';
import { isWindowFull } from '../../../../core/application/hub/batch/send-window.ts';
import { mayWork, roomOf } from '../../../../core/domain/agent/breaker.ts';
import type { AgentId, TaskId } from '../../../../core/domain/ids.ts';
import { isClaimable } from '../../../../core/domain/task/claimable.ts';
import { mayTake } from '../../../../core/domain/task/scheduling.ts';
import { isEnded, type Task, type TaskBody } from '../../../../core/domain/task/task.ts';
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import { aBody } from '../../../product/contracts/fixtures.ts';
import { virtualClock } from '../../../product/twins/clock-virtual/virtual-clock.ts';
import { hubRig, settle, type AnyFrame, type HubRig, type Peer } from '../hub-rig.ts';

/** `AGENTCOM_RANDOM_RUNS` runs more histories; `AGENTCOM_RANDOM_SEED` runs different ones. */
const runs = Number(process.env['AGENTCOM_RANDOM_RUNS'] ?? 60);
const seed = Number(process.env['AGENTCOM_RANDOM_SEED'] ?? 20_260_101);

const LIMITS = { frameBytes: 20_000, socketQueueBytes: 40_000, unidentifiedFrameBytes: 10_000 };
const WINDOW = (LIMITS.socketQueueBytes - LIMITS.frameBytes) / 2;
/** Shorter frames do not count. Characters. */
const COUNTED_MIN = 1_024;
const SLOTS = [1, 3, 12] as const;
const SIZES = [100, 900, 1_100, 4_000, 9_000, 14_000] as const;
const NO_TIMERS = { heartbeatMs: 86_400_000, acceptMs: 86_400_000, leaseMs: 86_400_000, reconnectGraceMs: 86_400_000, sweepMs: 86_400_000 };
/** A dispatch that could not be committed is tried again after this time. */
const RETRY_MS = 1_000;
/** How many turns of the event loop a commit takes. */
const COMMIT_TURNS = 2;
const turns = async (count: number): Promise<void> => {
  for (let n = 0; n < count; n += 1) await new Promise<void>((resolve) => setImmediate(resolve));
};
/** Rounds in which all agents do what they should. */
const ROUNDS_MAX = 400;

type Act =
  | { readonly act: 'submit'; readonly size: number; readonly quotes: boolean; readonly count: number }
  | { readonly act: 'answer'; readonly agent: number; readonly nth: number; readonly how: 'task_accepted' | 'policy' | 'no_room' }
  | { readonly act: 'end'; readonly agent: number; readonly nth: number; readonly how: 'task_complete' | 'task_failed' | 'task_released' }
  | { readonly act: 'cancel'; readonly nth: number }
  | { readonly act: 'confirm'; readonly agent: number }
  | { readonly act: 'cut' | 'reconnect' | 'restart'; readonly agent: number }
  | { readonly act: 'fail'; readonly code: 'AC_STORE_RETRY' | 'AC_STORE_UNAVAILABLE'; readonly times: number };

const agent = fc.nat(SLOTS.length - 1);
const nth = fc.nat(20);
const ANSWERS = ['task_accepted', 'task_accepted', 'task_accepted', 'policy', 'no_room'] as const;
const anAct: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      act: fc.constant('submit' as const),
      size: fc.constantFrom(...SIZES),
      quotes: fc.boolean(),
      count: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      act: fc.constant('answer' as const),
      agent,
      nth,
      how: fc.constantFrom(...ANSWERS),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      act: fc.constant('end' as const),
      agent,
      nth,
      how: fc.constantFrom('task_complete' as const, 'task_failed' as const, 'task_released' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('cancel' as const), nth }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('confirm' as const), agent }) },
  {
    weight: 4,
    arbitrary: fc.record({ act: fc.constantFrom('cut' as const, 'reconnect' as const, 'reconnect' as const, 'restart' as const), agent }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      act: fc.constant('fail' as const),
      code: fc.constantFrom('AC_STORE_RETRY' as const, 'AC_STORE_UNAVAILABLE' as const),
      times: fc.integer({ min: 1, max: 8 }),
    }),
  },
);
/** The acts of one step happen at once. */
const aHistory = fc.array(fc.array(anAct, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 30 });

interface Held {
  readonly generation: number;
  readonly isAccepted: boolean;
}

/** An agent that keeps what it has been sent, and repeats reports that were not answered. */
class Agent {
  readonly id: AgentId;
  readonly #slots: number;
  #peer: Peer;
  #isCut = false;
  /** Those that it has been sent and has not ended. */
  readonly held = new Map<string, Held>();
  /** What it was sent in this session and has said nothing about: bytes by task. */
  readonly unanswered = new Map<string, number>();
  /** Reports without an answer, by task. */
  readonly #reports = new Map<string, Readonly<Record<string, unknown>>>();
  readonly #stops = new Map<string, number>();

  constructor(id: string, slots: number, peer: Peer) {
    this.id = id as AgentId;
    this.#slots = slots;
    this.#peer = peer;
  }

  get isOpen(): boolean {
    return !this.#isCut && this.#peer.closed() === null;
  }

  /** Takes in what arrived. */
  read(): void {
    for (const frame of this.#peer.newFrames()) this.#on(frame);
  }

  #on(frame: AnyFrame): void {
    const [taskId, generation] = [String(frame['task_id']), Number(frame['generation'])];
    if (frame.type === 'task_assign') {
      const bytes = Buffer.byteLength(JSON.stringify(frame));
      this.unanswered.set(taskId, bytes >= COUNTED_MIN ? bytes : 0);
      if (this.held.get(taskId)?.generation !== generation) this.held.set(taskId, { generation, isAccepted: false });
      this.#stops.delete(taskId);
    }
    if (frame.type === 'task_cancelled') {
      if (this.held.get(taskId)?.generation === generation) this.held.delete(taskId);
      this.#stops.set(taskId, generation);
    }
    if (frame.type === 'task_ack' || frame.type === 'task_nack') this.#reports.delete(taskId);
    if (frame.type !== 'identified') return;
    for (const { task_id: id, action } of frame['held'] as readonly { readonly task_id: string; readonly action: string }[])
      if (action === 'abort') this.held.delete(id);
  }

  async #say(type: string, taskId: string, generation: number, more: object = {}): Promise<void> {
    const frame = { type, task_id: taskId, generation, ...more };
    if (type !== 'task_cancel_ack') this.#reports.set(taskId, frame);
    if (!this.isOpen) return;
    this.unanswered.delete(taskId);
    await this.#peer.send(frame);
  }

  nth(nth: number, isAccepted: boolean): string | undefined {
    const ids = [...this.held].filter(([, held]) => held.isAccepted === isAccepted).map(([id]) => id);
    return ids[nth % Math.max(1, ids.length)];
  }

  async answer(taskId: string | undefined, how: 'task_accepted' | 'policy' | 'no_room'): Promise<void> {
    const held = taskId === undefined ? undefined : this.held.get(taskId);
    if (taskId === undefined || held === undefined || !this.isOpen) return;
    if (how === 'task_accepted') {
      this.held.set(taskId, { ...held, isAccepted: true });
      return this.#say(how, taskId, held.generation);
    }
    this.held.delete(taskId);
    return this.#say('task_rejected', taskId, held.generation, { reason: how, cause: how });
  }

  async end(taskId: string | undefined, how: string): Promise<void> {
    const held = taskId === undefined ? undefined : this.held.get(taskId);
    if (taskId === undefined || held === undefined || !this.isOpen) return;
    this.held.delete(taskId);
    return this.#say(how, taskId, held.generation, {
      result: {},
      error: 'it failed',
      reason: 'stopped',
      cause: how === 'task_released' ? 'sidecar_stopped' : undefined,
    });
  }

  async confirm(): Promise<void> {
    if (!this.isOpen) return;
    for (const [taskId, generation] of [...this.#stops]) {
      this.#stops.delete(taskId);
      await this.#say('task_cancel_ack', taskId, generation, { outcome: 'not_running' });
    }
  }

  async repeat(): Promise<void> {
    for (const frame of this.#reports.values()) {
      this.unanswered.delete(String(frame['task_id']));
      await this.#peer.send(frame);
    }
  }

  cut(): Promise<void> {
    this.#isCut = true;
    return this.#peer.cut();
  }

  /** `isRestart`: what it has not accepted, and its reports, are lost. */
  async reconnect(isRestart: boolean): Promise<void> {
    for (const [id, { isAccepted }] of this.held) if (!isAccepted) this.held.delete(id);
    if (isRestart) this.held.clear();
    for (const [id, { type }] of this.#reports) if (isRestart || type === 'task_rejected') this.#reports.delete(id);
    this.#stops.clear();
    this.unanswered.clear();
    await this.#peer.cut();
    this.#peer = await this.#peer.reconnect();
    this.#isCut = false;
    const held = [...this.held].map(([id, { generation }]) => ({ task_id: id, generation, status: 'working' }));
    await this.#peer.send({
      type: 'identify',
      agent_id: this.id,
      token: `token of ${this.id}`,
      protocol_version: 2,
      instance_id: 'machine-1',
      held: [
        ...held,
        ...[...this.#reports]
          .filter(([id]) => !this.held.has(id))
          .map(([id, { generation }]) => ({ task_id: id, generation, status: 'reporting' })),
      ],
      slots: this.#slots,
    });
  }
}

/** The next commits fail with this error; null: they have not been told to since all was well. */
interface Failing {
  code: 'AC_STORE_RETRY' | 'AC_STORE_UNAVAILABLE' | null;
  times: number;
}

class WindowWorld {
  readonly #rig: HubRig;
  readonly #agents: readonly Agent[];
  readonly #tasks: TaskId[] = [];
  readonly #failing: Failing;

  constructor(rig: HubRig, agents: readonly Agent[], failing: Failing) {
    this.#rig = rig;
    this.#agents = agents;
    this.#failing = failing;
  }

  async do(act: Act): Promise<void> {
    const agent = 'agent' in act ? this.#agents[act.agent] : undefined;
    switch (act.act) {
      case 'submit':
        // While commits fail, some are refused.
        for (const submitted of await Promise.allSettled(Array.from({ length: act.count }, (_, n) => this.#submit(act, n))))
          if (submitted.status === 'fulfilled') this.#tasks.push(submitted.value);
        return;
      case 'answer':
        return agent?.answer(agent.nth(act.nth, false), act.how);
      case 'end':
        return agent?.end(agent.nth(act.nth, true), act.how);
      case 'cancel': {
        const taskId = this.#tasks[act.nth];
        if (taskId !== undefined) await Promise.allSettled([this.#rig.queue.do({ kind: 'cancel', taskId, by: 'tok-1' })]);
        return;
      }
      case 'confirm':
        return agent?.confirm();
      case 'cut':
        return agent?.cut();
      case 'reconnect':
      case 'restart':
        return agent?.reconnect(act.act === 'restart');
      case 'fail':
        Object.assign(this.#failing, { code: act.code, times: act.times });
    }
  }

  /** `n`: how many turns of the event loop later, so that it meets the commit of another. */
  async #submit({ size, quotes }: { readonly size: number; readonly quotes: boolean }, n: number): Promise<TaskId> {
    await turns(n);
    const body: Partial<TaskBody> = quotes
      ? { metadata: JSON.stringify({ a: Array.from({ length: size / 3 }, () => '') }) }
      : { description: 'x'.repeat(size) };
    return this.#rig.submit({ body: aBody(body), maxRetries: 1_000 });
  }

  async look(): Promise<readonly string[]> {
    await settle(this.#rig.clock);
    if (this.#failing.code !== null) {
      Object.assign(this.#failing, { code: null, times: 0 });
      await this.#rig.pass(RETRY_MS);
      for (const agent of this.#agents) agent.read();
      for (const agent of this.#agents) if (agent.isOpen) await agent.repeat();
    }
    for (const agent of this.#agents) agent.read();
    const problems: string[] = [];
    const queued = await this.#queued();
    for (const agent of this.#agents) {
      const row = await this.#rig.storage.agents.getAgent(agent.id);
      if (row === undefined || !agent.isOpen) continue;
      const bytes = [...agent.unanswered.values()].reduce((sum, one) => sum + one, 0);
      if (bytes > WINDOW + LIMITS.frameBytes) problems.push(`${agent.id} has ${bytes} unanswered bytes`);
      const counted = this.#rig.sessions.unansweredBytes(agent.id, row.agent.sessionNumber);
      if (counted !== bytes) problems.push(`${agent.id} has ${bytes} unanswered bytes, the hub counts ${counted}`);
      const taken = row.live.length + row.pendingStops;
      if (!mayWork(row.agent, this.#rig.clock.nowMs()) || taken >= roomOf(row.agent) || isWindowFull(counted, this.#rig.context.limits))
        continue;
      const stalled = queued.find((task) => mayTake(task, row.agent));
      if (stalled !== undefined)
        problems.push(
          `${stalled.id} waits although ${agent.id} has ${taken} of ${roomOf(row.agent)} slots taken and ${counted} unanswered bytes`,
        );
    }
    return problems;
  }

  async #queued(): Promise<readonly Task[]> {
    const tasks = await Promise.all(this.#tasks.map((id) => this.#rig.record(id)));
    return tasks.map(({ task }) => task).filter((task) => isClaimable(task, this.#rig.clock.nowMs()));
  }

  /** Everyone behaves: which tasks do not end although an agent may run them now? */
  async finish(): Promise<readonly string[]> {
    for (const agent of this.#agents) if (!agent.isOpen) await agent.reconnect(false);
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const problems = await this.look();
      if (problems.length > 0) return problems;
      let hasActed = false;
      for (const agent of this.#agents) {
        await agent.repeat();
        await agent.confirm();
        for (const isAccepted of [false, true])
          for (const id of [...agent.held].filter(([, held]) => held.isAccepted === isAccepted).map(([id]) => id)) {
            hasActed = true;
            await (isAccepted ? agent.end(id, 'task_complete') : agent.answer(id, 'task_accepted'));
          }
      }
      await settle(this.#rig.clock);
      for (const agent of this.#agents) agent.read();
      if (!hasActed && this.#agents.every(({ held }) => held.size === 0)) break;
    }
    const left = (await Promise.all(this.#tasks.map((id) => this.#rig.record(id)))).filter(
      ({ task }) => !isEnded(task) && task.status !== 'queued',
    );
    return [...(await this.look()), ...left.map(({ task }) => `${task.id} does not end: ${task.status}`)];
  }
}

async function live(history: readonly (readonly Act[])[]): Promise<void> {
  const clock = virtualClock();
  const failing: Failing = { code: null, times: 0 };
  const rig = await hubRig({
    clock,
    timing: NO_TIMERS,
    limits: LIMITS,
    earlyCommands: 1,
    store: {
      // Slow enough for the next batch to be decided meanwhile.
      onStep: async (step) => {
        if (step !== 'commit') return;
        await turns(COMMIT_TURNS);
        if (failing.code === null || failing.times === 0) return;
        failing.times -= 1;
        throw new AgentcomError(failing.code, 'planted');
      },
    },
  });
  try {
    const agents: Agent[] = [];
    for (const [n, slots] of SLOTS.entries()) {
      const peer = await rig.peer(`a${n}`);
      await peer.identify({ slots });
      agents.push(new Agent(`a${n}`, slots, peer));
    }
    const world = new WindowWorld(rig, agents, failing);
    for (const [at, step] of history.entries()) {
      await Promise.all(step.map((act) => world.do(act)));
      const problems = await world.look();
      if (problems.length > 0) throw new Error(`after step ${at}: ${problems.join('; ')}`);
    }
    const problems = await world.finish();
    if (problems.length > 0) throw new Error(`at the end: ${problems.join('; ')}`);
  } finally {
    failing.times = 0;
    await rig.stop();
  }
}

t.test(`${runs} random histories of send windows from seed ${seed}`, async (t) => {
  const found = await fc.check(fc.asyncProperty(aHistory, live), { numRuns: runs, seed });
  if (!found.failed) return;
  t.fail(
    `after ${found.numRuns} runs and ${found.numShrinks} shrinks: ${String(found.errorInstance)}\n${JSON.stringify(found.counterexample?.[0])}`,
  );
});
