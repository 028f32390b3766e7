/**
 * A machine with a version 1 sidecar as it is deployed: one task at a time, no inventory, no outbox. It keeps its
 * current task across a restart, never wakes it again, and loses a result that it cannot send.
 */
import type { Generation, TaskId } from '../../../core/domain/ids.ts';
import type { LinkConnection } from '../../../core/ports/hub-link.ts';
import type { Timer } from '../../../core/ports/clock.ts';
import type { Chance } from '../seeded-chance.ts';
import { CrashLoops } from '../agents/crash-loop.ts';
import { Life, machineClock, processClock, type MachineClock } from '../runner/world-life.ts';
import { connectFrom, mortalEvents, type CrashLoop, type Machine } from './simulated-machine.ts';
import type { MachinePlan } from '../plan.ts';
import type { Surroundings } from './simulated-surroundings.ts';

const PING_MS = 30_000;
const RECONNECT_MS = 5_000;
/** A hub that is silent for this long counts as gone, whatever the socket says. */
const DEAD_MS = 75_000;
const FRAME_BYTES_MAX = 1_048_576;

interface V1Task {
  readonly taskId: string;
  readonly generation: number;
  status: 'accepted' | 'waking' | 'working';
  /** When its agent will be done, and how. */
  doneAtMs: number;
  readonly fate: 'complete' | 'failed' | 'never';
}

type Frame = Readonly<Record<string, unknown>> & { readonly type: string };

export class V1Machine implements Machine {
  readonly name: string;
  readonly agentId: string;
  readonly version = 1;
  readonly #world: Surroundings;
  readonly #plan: MachinePlan;
  readonly #chance: Chance;
  readonly #places: Chance;
  readonly #clock: MachineClock;
  #life: Life | null = null;
  #link: LinkConnection | null = null;
  #isIdentified = false;
  #connection = 0;
  #working: Timer | null = null;
  #hasRestarted = false;
  #onFrame: () => void = () => undefined;
  readonly #loops: CrashLoops;
  /** On its disk. */
  #task: V1Task | null = null;

  constructor(world: Surroundings, name: string, plan: MachinePlan) {
    this.#world = world;
    this.#plan = plan;
    this.name = name;
    this.agentId = plan.agentId;
    this.#chance = world.chanceOf(name);
    this.#places = world.chanceOf(`hubs that ${name} meets`);
    this.#loops = new CrashLoops(world, (downMs) => this.killFor(downMs));
    this.#clock = machineClock(world.clock, plan.clockOffMs);
  }

  get isRunning(): boolean {
    return this.#life !== null;
  }

  get connection(): number {
    return this.#connection;
  }

  get busyWith(): string | null {
    return this.#task === null ? null : `${this.#task.taskId}.g${this.#task.generation} is ${this.#task.status}`;
  }

  start(): void {
    if (this.#life !== null) return;
    this.#world.trace.add(this.name, 'starts');
    this.#life = new Life(this.#world.clock);
    this.#connect(this.#life);
    if (this.#task?.status === 'working') this.#watch(this.#life, this.#task);
  }

  kill(): void {
    const life = this.#life;
    if (life === null) return;
    this.#world.trace.add(this.name, 'killed');
    life.end();
    this.#life = null;
    this.#link?.destroy();
    this.#link = null;
    this.#isIdentified = false;
    this.#hasRestarted = true;
    this.#world.ledger.absent(this.agentId, this.#connection);
  }

  killFor(downMs: number): void {
    this.kill();
    this.#world.later(downMs, () => this.start());
  }

  crashLoop(loop: CrashLoop): void {
    this.#loops.set(loop);
  }

  resetLink(): void {
    if (this.#life !== null && this.#isIdentified) this.#reconnect(this.#life);
  }

  say(frame: Readonly<Record<string, unknown>>): void {
    if (this.#isIdentified) this.#link?.send(JSON.stringify({ ...frame, foreign: true }));
  }

  reboot(): void {
    this.#world.network.halfOpen(this.#connection, 'both');
    if (this.#task !== null) this.#task.doneAtMs = Infinity;
    this.kill();
  }

  stop(): void {
    this.kill();
  }

  freeze(ms: number): void {
    this.#life?.freeze(ms);
  }

  jumpClock(ms: number): void {
    this.#clock.jump(ms);
  }

  failJournal(): void {
    // It has no such agent.
  }

  failPrepare(): void {
    // Nor folders.
  }

  killAgent(): void {
    if (this.#task !== null) this.#task.doneAtMs = Infinity;
  }

  endFaults(): void {
    this.#loops.set(null);
    if (this.#clock.offMs !== 0) this.#clock.jump(-this.#clock.offMs);
    if (this.#task !== null && this.#task.doneAtMs === Infinity) this.#giveUp();
  }

  #connect(life: Life): void {
    let connection = 0;
    const made = connectFrom(
      this.#world,
      this.name,
      // It knows one address, behind which any hub may answer.
      { url: this.#places.pick(this.#world.hubUrls(this.name)), frameBytesMax: FRAME_BYTES_MAX },
      mortalEvents(
        {
          onOpen: () =>
            this.#send({
              type: 'identify',
              agent_id: this.agentId,
              token: this.#world.tokenOf(this.agentId),
              name: this.name,
              status: 'idle',
              capabilities: this.#plan.capabilities,
              client_type: 'sidecar',
              ...(this.#chance.is(0.5) ? { protocol_version: 1 } : {}),
            }),
          onFrame: (text) => {
            this.#onFrame();
            this.#take(life, JSON.parse(text) as Frame);
          },
          onTaken: () => undefined,
          onGone: () => {
            this.#world.ledger.absent(this.agentId, connection);
            if (this.#connection === connection) this.#reconnect(life);
          },
        },
        life,
      ),
    );
    connection = made.connection;
    this.#connection = connection;
    this.#link = made.link;
  }

  #reconnect(life: Life): void {
    this.#isIdentified = false;
    this.#link?.destroy();
    this.#world.ledger.absent(this.agentId, this.#connection);
    processClock(this.#clock, life).after(RECONNECT_MS + this.#chance.between(0, 5_000), () => this.#connect(life));
  }

  #send(frame: Frame): void {
    if (this.#loops.endsBefore(frame.type, this.#life)) return;
    this.#link?.send(JSON.stringify(frame));
    this.#loops.endsAfter(frame.type, this.#life);
  }

  #take(life: Life, frame: Frame): void {
    switch (frame.type) {
      case 'identified':
        if (this.#loops.endsAt('identified', this.#life)) return;
        return this.#identified(life);
      case 'task_assign':
        if (this.#loops.endsAt('offered', this.#life)) return;
        return this.#assigned(life, frame);
      case 'task_cancelled':
      case 'task_reassign':
        if (this.#task?.taskId !== frame['task_id']) return;
        this.#giveUp();
        return this.#send({ type: 'status', status: 'idle' });
      case 'state_report_ack':
        if (frame['action'] === 'abort' && this.#task?.taskId === frame['task_id']) this.#giveUp();
    }
  }

  #identified(life: Life): void {
    this.#isIdentified = true;
    const link = this.#link;
    let heardAtMs = this.#clock.monotonicMs();
    this.#onFrame = () => (heardAtMs = this.#clock.monotonicMs());
    const ping = (): void => {
      if (this.#link !== link || !this.#isIdentified) return;
      if (this.#clock.monotonicMs() - heardAtMs > DEAD_MS) return this.#reconnect(life);
      this.#send({ type: 'ping' });
      processClock(this.#clock, life).after(PING_MS, ping);
    };
    ping();
    if (this.#task === null) return;
    const { taskId, generation, status } = this.#task;
    if (this.#hasRestarted) this.#send({ type: 'task_recovering', task_id: taskId, last_status: status });
    else this.#send({ type: 'state_report', task_id: taskId, status, generation, assigned_at: this.#clock.nowMs() });
    this.#hasRestarted = false;
  }

  #assigned(life: Life, frame: Frame): void {
    const [taskId, generation] = [String(frame['task_id']), Number(frame['generation'])];
    if (this.#task !== null && this.#task.taskId !== taskId) return this.#send({ type: 'task_rejected', task_id: taskId, reason: 'busy' });
    const { badAgents } = this.#world.faults;
    const fate = this.#chance.is(badAgents) ? this.#chance.pick(['failed', 'never', 'complete'] as const) : 'complete';
    const tookMs = this.#chance.skewed(500, 30_000);
    const task: V1Task = {
      taskId,
      generation,
      status: 'waking',
      doneAtMs: fate === 'never' ? Infinity : this.#world.clock.monotonicMs() + tookMs,
      fate,
    };
    this.#task = task;
    this.#send({ type: 'task_accepted', task_id: taskId });
    const clock = processClock(this.#clock, life);
    clock.after(300, () => {
      if (this.#task !== task) return;
      task.status = 'working';
      this.#send({ type: 'wake_result', task_id: taskId, status: 'success', attempt: 1 });
      this.#watch(life, task);
    });
  }

  /** Waits for its agent. */
  #watch(life: Life, task: V1Task): void {
    this.#working?.cancel();
    if (task.doneAtMs === Infinity) return;
    const leftMs = Math.max(0, task.doneAtMs - this.#world.clock.monotonicMs());
    this.#working = processClock(this.#clock, life).after(leftMs, () => {
      if (this.#task !== task || task.doneAtMs === Infinity) return;
      this.#task = null;
      const name = { task_id: task.taskId, generation: task.generation };
      // What it repeats after a reconnect belongs to the same run.
      this.#world.ledger.used(
        { taskId: task.taskId as TaskId, generation: task.generation as Generation, runId: 'the run of version 1' },
        5,
      );
      this.#send(
        task.fate === 'complete'
          ? { type: 'task_complete', ...name, result: { output: 'done', tokens_used: 5 } }
          : { type: 'task_failed', ...name, error: 'could not' },
      );
    });
  }

  #giveUp(): void {
    this.#task = null;
    this.#working?.cancel();
    this.#working = null;
  }
}
