/**
 * An agent with a valid token of its own that lies: it claims what others hold, sends unrequested reports, and floods.
 * It knows the ids of all tasks, as if it had been assigned them once. Nothing that it sends may affect what others
 * hold (J9), and what is stored of it is bounded (J13).
 */
import { HELD_STATUSES } from '../../../core/domain/task/reconciliation.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import type { LinkConnection } from '../../../core/ports/hub-link.ts';
import type { Chance } from '../seeded-chance.ts';
import type { HostilePlan } from '../edges.ts';
import { oddFrame, REPORTS, reportFrames, type Frame } from './hostile-words.ts';
import { Life } from '../runner/world-life.ts';
import { connectFrom, mortalEvents } from '../machines/simulated-machine.ts';
import type { Surroundings } from '../machines/simulated-surroundings.ts';

const FRAME_BYTES_MAX = 1_048_576;
const RECONNECT_MS = [500, 10_000] as const;
/** Of one that fights for an identity. */
const FIGHT_MS = [300, 3_000] as const;
const HELD_MAX = 20;
const CANCEL_OUTCOMES = ['killed', 'not_running', 'already_reported', 'not_stoppable'] as const;
/** Reconnects of one burst, each at once. */
const HAMMERED = [2, 12] as const;
/** What it sends about a task that it was assigned. */
const OWN_WORDS = [1, 120] as const;

export class HostileAgent {
  readonly name: string;
  readonly agentId: string;
  readonly #world: Surroundings;
  readonly #plan: HostilePlan;
  readonly #chance: Chance;
  #life: Life | null = null;
  #link: LinkConnection | null = null;
  #connection = 0;
  #isIdentified = false;
  #version: 1 | 2;
  readonly #instanceId: string;
  readonly #reconnectMs: readonly [number, number];
  #held: readonly Frame[] = [];

  /** `pose`: it is a copy of that machine, and reconnects at once whenever it is disconnected. */
  constructor(world: Surroundings, plan: HostilePlan, place: number | string, pose: string | null = null) {
    this.#world = world;
    this.#plan = plan;
    this.agentId = plan.agentId;
    this.name = `${plan.agentId}@h${place}`;
    this.#instanceId = pose ?? `instance of ${this.name}`;
    this.#reconnectMs = pose === null ? RECONNECT_MS : FIGHT_MS;
    this.#version = plan.version;
    this.#chance = world.chanceOf(this.name);
  }

  start(): void {
    if (this.#life !== null) return;
    this.#life = new Life(this.#world.clock);
    this.#connect(this.#life);
  }

  stop(): void {
    this.#life?.end();
    this.#life = null;
    this.#hangUp();
  }

  /** One burst of lies; `how` selects the kind. */
  act(how: number): void {
    const life = this.#life;
    if (life === null) return;
    const { trace } = this.#world;
    if (how < 0.35) {
      trace.rare('hostile held');
      this.#version = 2;
      this.#held = this.#lies();
      return this.#reconnect(life, 0);
    }
    if (!this.#isIdentified) return;
    if (how < 0.75) return this.#flood();
    if (how < 0.9) {
      trace.rare('hostile odd frame');
      for (let left = this.#chance.between(1, 4); left > 0; left -= 1) this.#send(oddFrame(this.#chance, this.#someTask()));
      return;
    }
    trace.rare('hostile reconnects');
    this.#hammer(life, this.#chance.between(...HAMMERED));
  }

  #flood(): void {
    const kind = this.#chance.pick(REPORTS);
    const task = this.#someTask();
    if (task === null) return;
    this.#world.trace.rare(`hostile ${kind}`);
    for (const frame of reportFrames(kind, task, this.#version, this.#chance)) this.#say(frame);
  }

  #hammer(life: Life, times: number): void {
    this.#reconnect(life, 0);
    if (times > 0) this.#world.later(this.#chance.between(1, 300), () => (this.#life === life ? this.#hammer(life, times - 1) : undefined));
  }

  /** Mostly a task that another agent has now: there a lie would do harm. */
  #someTask(): Task | null {
    const { database } = this.#world;
    const live = [...database.current.values()].map(({ task }) => task).filter(({ status }) => status === 'assigned');
    if (live.length > 0 && this.#chance.is(0.7)) return this.#chance.pick(live);
    const all = [...database.tasks.values()];
    return all.length === 0 ? null : this.#chance.pick(all).task;
  }

  /** Claims tasks of others, with generations that exist or could, or with impossible ones. */
  #lies(): readonly Frame[] {
    const { chance } = { chance: this.#chance };
    return Array.from({ length: chance.skewed(1, HELD_MAX) }, () => {
      const task = this.#someTask();
      if (task === null) return [];
      const generation = this.#chance.pick([
        task.generation,
        task.generation + 1,
        task.generation + 3,
        task.generation + 1_000_000,
        Number.MAX_SAFE_INTEGER,
        Number.MAX_SAFE_INTEGER - 1,
        Math.max(0, task.generation - 1),
        0,
      ]);
      const store = chance.is(0.4) ? { store_id: chance.pick([this.#world.database.storeId, 'another-store', 'x'.repeat(128)]) } : {};
      return [{ task_id: task.id, generation, status: chance.pick(HELD_STATUSES), ...store }];
    }).flat();
  }

  #connect(life: Life): void {
    let connection = 0;
    const made = connectFrom(
      this.#world,
      this.name,
      { url: this.#chance.pick(this.#world.hubUrls(this.name)), frameBytesMax: FRAME_BYTES_MAX },
      mortalEvents(
        {
          onOpen: () => this.#identify(),
          onFrame: (text) => (this.#connection === connection ? this.#take(JSON.parse(text) as Frame) : undefined),
          onTaken: () => undefined,
          onGone: () => {
            this.#world.ledger.absent(this.agentId, connection);
            if (this.#connection === connection) this.#reconnect(life, this.#chance.between(...this.#reconnectMs));
          },
        },
        life,
      ),
    );
    connection = made.connection;
    this.#connection = connection;
    this.#link = made.link;
  }

  #reconnect(life: Life, afterMs: number): void {
    this.#hangUp();
    this.#world.later(afterMs, () => {
      if (this.#life === life && this.#link === null) this.#connect(life);
    });
  }

  #hangUp(): void {
    this.#isIdentified = false;
    this.#link?.destroy();
    this.#link = null;
    this.#world.ledger.absent(this.agentId, this.#connection);
  }

  #identify(): void {
    const isOld = this.#version === 1;
    this.#send(
      JSON.stringify({
        type: 'identify',
        agent_id: this.agentId,
        token: this.#world.tokenOf(this.agentId),
        capabilities: [],
        ...(isOld
          ? { protocol_version: 1 }
          : { protocol_version: 2, slots: this.#chance.between(1, 4), instance_id: this.#instanceId, held: this.#held }),
      }),
    );
    this.#held = [];
    this.#version = this.#plan.version;
  }

  #take(frame: Frame): void {
    if (frame['type'] === 'identified') this.#isIdentified = true;
    if (frame['type'] === 'ping') return this.#send('{"type":"ping"}');
    if (frame['type'] === 'task_assign') return this.#abuse(frame);
    if (frame['type'] === 'task_cancelled' && this.#chance.is(0.7)) this.#confirmFalsely(String(frame['task_id']), frame['generation']);
  }

  /** Its own assignments: it may do them badly, and affects nothing else. */
  #abuse({ task_id: taskId, generation }: Frame): void {
    const name = { task_id: taskId, generation };
    if (this.#chance.is(0.3)) return;
    this.#say({ type: 'task_accepted', ...name });
    const words = this.#chance.skewed(...OWN_WORDS);
    const size = this.#chance.pick([10, 200, 40_000]);
    for (let reported = 0; reported < words; reported += 1)
      this.#say(
        this.#chance.is(0.5)
          ? { type: 'wake_result', ...name, status: 'success', attempt: reported, error: 'x'.repeat(size) }
          : { type: 'task_progress', ...name, percent: reported % 100, progress: { text: 'x'.repeat(size) } },
      );
    const end = this.#chance.next();
    if (end < 0.3) this.#say({ type: 'task_failed', ...name, error: 'x'.repeat(size), retryable: this.#chance.is(0.7) });
    else if (end < 0.8)
      for (let times = this.#chance.between(1, 4); times > 0; times -= 1)
        this.#say({ type: 'task_complete', ...name, result: { output: 'x'.repeat(size), times } });
  }

  #confirmFalsely(taskId: string, generation: unknown): void {
    this.#say({ type: 'task_cancel_ack', task_id: taskId, generation, outcome: this.#chance.pick(CANCEL_OUTCOMES), survivors: [1, 2] });
  }

  #say(frame: Frame): void {
    this.#world.ledger.said(this.agentId, String(frame['type']), String(frame['task_id']), String(frame['generation'] ?? ''));
    if ('tokens_used' in frame) this.#lieOfUse(frame);
    this.#send(JSON.stringify(frame));
  }

  /** About its own attempts it may send anything. */
  #lieOfUse(frame: Frame): void {
    const taskId = frame['task_id'] as Task['id'];
    const now = this.#world.database.tasks.get(taskId)?.task.generation;
    for (const generation of [frame['generation'] as Task['generation'], now])
      if (generation !== undefined) this.#world.ledger.used({ taskId, generation, runId: `a lie of ${this.agentId}` }, Infinity);
  }

  #send(text: string): void {
    this.#link?.send(text);
  }
}
