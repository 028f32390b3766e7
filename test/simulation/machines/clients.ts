/** People and programs that submit tasks and act on them: they retry everything that they requested with a key. */
import type { TaskDraft } from '../../../core/application/hub/batch/commands.ts';
import type { AgentId, TaskId } from '../../../core/domain/ids.ts';
import { NAME_AGE_MAX_MS, NAME_AHEAD_MAX_MS, taskNamedBy } from '../../../core/domain/task/idempotency-key.ts';
import { NO_TERMS, PRIORITIES } from '../../../core/domain/task/task.ts';
import { placed, type Chance } from '../seeded-chance.ts';
import type { World } from '../sim-world.ts';

/** How long a client waits for an answer before it retries. */
const ANSWER_MS = 4_000;
const ANSWER_MAX_MS = 60_000;
/** A description with this counts in the send window of its agent. */
const LARGE = 'x'.repeat(1_500);
const SUBMITTER = 'tok-submitter';
/** The share of tasks that wait for one that completes, and how soon. */
const CANCELLED_DEPENDENTS = 0.3;
const CANCEL_WITHIN_MS = 12;
const CAPABILITIES = ['code', 'gpu', 'web'];

/** Requests for a single task from this place on have a key that names it. */
const NAMED_FROM = 0.5;

type Wish = Omit<TaskDraft, 'id' | 'body'>;
type Unnamed = Omit<TaskDraft, 'id'>;

const PLAIN: Wish = {
  priority: 'normal',
  neededCapabilities: [],
  assignTo: null,
  maxRetries: 3,
  ...NO_TERMS,
  dependsOn: [],
};

export class Clients {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #places: Chance;
  readonly #large: Chance;
  #requestCount = 0;
  /** Requests with a key that wait for their answer. */
  #open = 0;

  constructor(world: World) {
    this.#world = world;
    this.#chance = world.chanceOf('clients');
    this.#places = world.chanceOf('hubs of clients');
    this.#large = world.chanceOf('large tasks');
    if (world.hubs.length > 1) world.onCompleting = (taskId) => this.#cancelDependents(taskId);
  }

  get waiting(): number {
    return this.#open;
  }

  /** `place` chooses the options of the tasks. */
  submit(count: number, place: number): void {
    this.#requestCount += 1;
    const wishes = Array.from({ length: count }, () => this.#wish());
    if (place < 0.3) return this.#ask(this.#drafts(`request ${this.#requestCount}`, wishes), null);
    const key = count === 1 && place >= NAMED_FROM ? this.#name(place) : `k${this.#requestCount}`;
    this.#open += 1;
    this.#askUntilAnswered(this.#drafts(`key ${key}`, wishes), key);
  }

  push(place: number): void {
    this.#requestCount += 1;
    const hub = this.#hub();
    if (hub === null) return;
    const agentId = placed(this.#world.machines, place).agentId as AgentId;
    const draft = {
      ...this.#draft(`push ${this.#requestCount} `, this.#wish()),
      id: hub.ids.task(),
      priority: 'urgent' as const,
      assignTo: agentId,
      neededCapabilities: [],
      dependsOn: [],
    };
    hub.api.post({ kind: 'push', draft, submittedBy: 'tok-operator' }, (outcome) => {
      if (outcome.ok && outcome.answer.kind !== 'agent_not_connected') this.#world.ledger.submitAnswered([outcome.answer.taskId], null);
    });
  }

  /** `cancel`, `retry`, `adopt`: on one of the tasks to which it may apply. */
  operate(kind: 'cancel' | 'retry' | 'adopt', place: number): void {
    const hub = this.#hub();
    const taskId = this.#someTask(kind, place);
    if (hub === null || taskId === null) return;
    const by = 'tok-operator';
    if (kind !== 'adopt') return hub.api.post({ kind, taskId, by }, () => undefined);
    const late = this.#world.database.eventsOf.get(taskId)?.findLast((event) => event.event === 'late_result');
    if (late === undefined || late.generation === null) return;
    hub.api.post({ kind, taskId, generation: late.generation, by }, (outcome) => {
      if (outcome.ok && outcome.answer.kind === 'done') this.#world.trace.rare('late result adopted');
    });
  }

  /** Of the tasks waiting for an agent all but the oldest are cancelled: otherwise they would be done one after the other. */
  withdraw(keep: number): void {
    const waiting = [...this.#world.database.current.values()].map(({ task }) => task).filter((task) => task.status === 'queued');
    for (const { id: taskId } of waiting.slice(keep))
      this.#hub()?.api.post({ kind: 'cancel', taskId, by: 'tok-operator' }, () => undefined);
  }

  /** Tasks that depend on one that is about to complete are sometimes cancelled, at another hub and at the same time. */
  #cancelDependents(taskId: TaskId): void {
    for (const { task } of this.#world.database.current.values()) {
      if (task.status !== 'blocked' || !task.dependsOn.includes(taskId) || !this.#places.is(CANCELLED_DEPENDENTS)) continue;
      this.#world.trace.rare('dependent cancelled as its dependency completes');
      this.#world.later(this.#places.between(1, CANCEL_WITHIN_MS), () =>
        this.#hub()?.api.post({ kind: 'cancel', taskId: task.id, by: 'tok-operator' }, () => undefined),
      );
    }
  }

  /** Tasks that each need something different, which no agent has. */
  odd(count: number): void {
    const hub = this.#hub();
    if (hub === null) return;
    this.#requestCount += 1;
    const drafts = Array.from({ length: count }, (_, place) => ({
      ...this.#draft(`odd ${this.#requestCount}.${place} `, PLAIN),
      id: hub.ids.task(),
      neededCapabilities: [`odd-${this.#requestCount}-${place}`],
    }));
    // A hub may refuse this many: they are not waited for.
    hub.api.post({ kind: 'submit', drafts, submittedBy: 'tok-odd', idempotency: null }, () => undefined);
  }

  /** Some tasks, and then more that each wait for two of them: hubs that complete them meet there. */
  fanOut(roots: number, dependents: number): void {
    const hub = this.#hub();
    if (hub === null) return;
    this.#requestCount += 1;
    const text = `fan ${this.#requestCount}`;
    const drafts = Array.from({ length: roots }, (_, place) => ({ ...this.#draft(`${text}.${place} `, PLAIN), id: hub.ids.task() }));
    hub.api.post({ kind: 'submit', drafts, submittedBy: SUBMITTER, idempotency: null }, (outcome) => {
      if (!outcome.ok || outcome.answer.kind !== 'submitted') return;
      const ids = outcome.answer.tasks.map(({ id }) => id);
      const waiting = Array.from({ length: dependents }, (_, place) => ({
        ...this.#draft(`${text}.after.${place} `, PLAIN),
        id: hub.ids.task(),
        dependsOn: [...new Set([placed(ids, (place * 0.37) % 1), placed(ids, (place * 0.61) % 1)])],
      }));
      this.#hub()?.api.post({ kind: 'submit', drafts: waiting, submittedBy: SUBMITTER, idempotency: null }, () => undefined);
    });
  }

  setAvailability(change: 'drain' | 'resume' | 'takeover', agentId: string): void {
    this.#hub()?.api.post({ kind: 'agent_control', agentId: agentId as AgentId, change }, () => undefined);
  }

  /** Any hub that takes commands: a client may call any of them. */
  #hub(): ReturnType<World['openHub']> {
    return this.#world.openHub(this.#world.hubs.length === 1 ? 0 : this.#places.next());
  }

  #someTask(kind: 'cancel' | 'retry' | 'adopt', place: number): TaskId | null {
    const fitting: TaskId[] = [];
    for (const { task } of this.#world.database.tasks.values()) {
      if (kind === 'cancel' && task.status !== 'assigned' && task.status !== 'queued') continue;
      if (kind === 'retry' && task.status !== 'dead_letter' && !task.parked) continue;
      if (kind === 'adopt' && (task.status !== 'queued' || !task.outcomes.some((outcome) => outcome.answer === 'late'))) continue;
      fitting.push(task.id);
    }
    if (fitting.length > 0) return placed(fitting, place);
    const all = [...this.#world.database.tasks.keys()];
    return all.length === 0 ? null : placed(all, place);
  }

  #drafts(text: string, wishes: readonly Wish[]): readonly Unnamed[] {
    return wishes.map((wish, n) => this.#draft(`${text}.${n} `, wish));
  }

  /** A key that names its task, by the clock of a client, which may be wrong. */
  #name(place: number): string {
    const aheadMs = place >= 0.95 ? -NAME_AGE_MAX_MS : place >= 0.85 ? (place - 0.85) * 20 * NAME_AHEAD_MAX_MS : 0;
    const atMs = Math.round(this.#world.storeMs + aheadMs);
    return `task-${atMs.toString(16).padStart(12, '0')}${this.#requestCount.toString(16).padStart(20, '0')}`;
  }

  #askUntilAnswered(wanted: readonly Unnamed[], key: string): void {
    let isAnswered = false;
    const answered = (): void => {
      if (!isAnswered) this.#open -= 1;
      isAnswered = true;
    };
    const ask = (waitMs: number): void => {
      if (isAnswered) return;
      this.#ask(wanted, key, answered);
      this.#world.later(waitMs, () => ask(Math.min(2 * waitMs, ANSWER_MAX_MS)));
    };
    ask(ANSWER_MS);
  }

  #ask(wanted: readonly Unnamed[], key: string | null, answered: () => void = () => undefined): void {
    const hub = this.#hub();
    if (hub === null) return;
    const drafts = wanted.map((draft) => ({ ...draft, id: hub.ids.task() }));
    const name = key === null ? null : taskNamedBy(key);
    const idempotency = key === null ? null : { key, name, digest: name === null ? key : null };
    if (key !== null) this.#world.ledger.submitAsked(key);
    hub.api.post({ kind: 'submit', drafts, submittedBy: SUBMITTER, idempotency }, (outcome) => {
      if (!outcome.ok) return this.#world.trace.add('client', `${key}: ${String(outcome.error)}`);
      answered();
      const { answer } = outcome;
      if (answer.kind === 'repeated') this.#world.trace.rare('submit repeated');
      if (answer.kind === 'repeated' && answer.tasks.some(({ id }) => id === key)) this.#world.trace.rare('named submit repeated');
      if (answer.kind === 'repeated' && key !== null) this.#world.ledger.submitRepeated(key);
      if (answer.kind === 'submitted' || answer.kind === 'repeated')
        this.#world.ledger.submitAnswered(
          answer.tasks.map((task) => task.id),
          key,
        );
      // Asked in time, but it arrived late: a hub that was away, or a repeat of a request that was lost.
      else if (answer.kind === 'complete_by_passed' && answer.completeByMs <= answer.nowMs) this.#world.trace.rare('submit too late');
      else this.#world.violated('client', `a good submit was answered with ${answer.kind}`);
    });
  }

  #draft(text: string, wish: Wish): Unnamed {
    const body = {
      description: `${text}do it${this.#large.is(this.#world.faults.largeTasks ?? 0) ? LARGE : ''}`,
      metadata: null,
      repo: null,
      branch: null,
      fileHints: [],
      successCriteria: [],
      verificationSteps: [],
    };
    return { ...wish, body };
  }

  /** A task that is still pending, to depend on: hubs can cross each other at its end. */
  #unended(): readonly TaskId[] {
    const { database } = this.#world;
    const current = [...database.current.keys()];
    return current.length > 0 && this.#places.is(0.25) ? [this.#places.pick(current)] : [];
  }

  #wish(): Wish {
    const from = this.#chance;
    const nowMs = this.#world.storeMs;
    const known = [...this.#world.database.tasks.keys()];
    return {
      priority: from.pick(PRIORITIES),
      neededCapabilities: from.is(0.2) ? [from.pick(CAPABILITIES)] : [],
      assignTo: from.is(0.08) ? (from.pick(this.#world.machines).agentId as AgentId) : null,
      maxRetries: from.pick([0, 1, 3, 3, 5]),
      runAtMs: from.is(0.06) ? nowMs + from.skewed(100, 300_000) : null,
      ttlMs: from.is(0.06) ? from.skewed(1_000, 600_000) : null,
      runMaxMs: from.is(0.1) ? from.skewed(1_000, 300_000) : null,
      completeByMs: from.is(0.05) ? nowMs + from.skewed(1_000, 900_000) : null,
      dependsOn:
        this.#world.hubs.length > 1
          ? this.#unended()
          : from.is(0.1) && known.length > 0
            ? [...new Set([from.pick(known), from.pick(known)])]
            : [],
    };
  }
}
