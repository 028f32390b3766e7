/**
 * What clients, sidecars and agents did and were told, recorded apart from the store, and the rules J1 to J8 that
 * compare the two. It inspects frames as they are sent, so a violation is found at the moment it happens.
 *
 * Long on purpose: all of it is one ledger, and each rule reads several of its parts.
 */
import type { StoredEvent } from '../../../core/domain/task/event.ts';
import type { AgentId, TaskId } from '../../../core/domain/ids.ts';
import { assignmentKey, type AssignmentId } from '../../../core/domain/assignment/slot.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { MemoryDatabase } from '../../../adapters/storage-memory/memory-database.ts';
import type { HubTiming } from '../../../core/config/times.ts';
import { markerOf } from '../agents/simulated-agents.ts';

export interface Violation {
  /** `I7`, `J3`, `liveness`, … */
  readonly rule: string;
  readonly what: string;
  readonly atMs: number;
}

/** A run of an agent, from its spawn to the end of its process tree. */
interface LedgerRun extends AssignmentId {
  readonly runId: string;
  readonly machine: string;
  readonly agentId: string;
  readonly lives: () => boolean;
  /** Its sidecar stops it, or its agent has reported its end: it may overlap with the next generation elsewhere. */
  isEnding: boolean;
}

/** A result that an agent has finished, identified by its marker. */
export interface Finished extends AssignmentId {
  readonly marker: string;
}

export interface LedgerDeps {
  readonly clock: Clock;
  readonly database: MemoryDatabase;
  readonly timing: HubTiming;
  readonly violated: (rule: string, what: string) => void;
}

/** How much longer a time is that is measured by store time running a twentieth slower. */
const SLOWER = 1 / 19;
/** The most that rounding can delay. */
const SLACK_MS = 50;
/** An agent heard this shortly before a sweep was not silent, whatever the deadline is. */
const SAID_MS = 10_000;

export class Ledger {
  readonly #deps: LedgerDeps;
  readonly #runs = new Map<TaskId, readonly LedgerRun[]>();
  readonly #finished: Finished[] = [];
  readonly #submitted = new Set<TaskId>();
  /** Idempotency key → the tasks it was answered with. */
  readonly #byKey = new Map<string, readonly TaskId[]>();
  /** Agent, type of frame, task and generation. */
  readonly #messages = new Set<string>();
  /** Until when each hub may reclaim nothing for silence. */
  readonly #quietUntilMs = new Map<string, number>();
  /** Hubs that others may consider dead, each since when. */
  readonly #unseenSinceMs = new Map<string, number>();
  #slippedMs = 0;
  /** Since when each agent is disconnected; connected ones are not in it. */
  readonly #awaySinceMs = new Map<string, number>();
  /** When a hub was last told about the assignment: hub, agent, task and generation. */
  readonly #heardOfMs = new Map<string, number>();
  readonly #here = new Map<string, { readonly connection: number; readonly machine: string; readonly hub: string }>();
  /** How many events each stream has delivered. */
  /** The ids that each stream has delivered. */
  readonly #streamed = new Map<string, Set<number>>();
  /** Assignment → run → its usage so far. */
  readonly #used = new Map<string, Map<string, number>>();
  /** How often each key was submitted. */
  readonly #requests = new Map<string, number>();
  /** Some data folder was copied: both copies report its contents. */
  #hasCopies = false;

  constructor(deps: LedgerDeps) {
    this.#deps = deps;
  }

  // J1

  submitAsked(key: string): void {
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1);
  }

  /** What is answered as a repeat was submitted before. */
  submitRepeated(key: string): void {
    if ((this.#requests.get(key) ?? 0) < 2) this.#deps.violated('J1', `the key ${key} was submitted once and answered as a repeat`);
  }

  submitAnswered(ids: readonly TaskId[], key: string | null): void {
    for (const id of ids) {
      if (!this.#deps.database.tasks.has(id)) this.#deps.violated('J1', `${id} was answered and is not stored`);
      this.#submitted.add(id);
    }
    if (key === null) return;
    const before = this.#byKey.get(key);
    if (before !== undefined && before.join() !== ids.join())
      this.#deps.violated('J1', `the key ${key} was answered with ${before.join()} and then with ${ids.join()}`);
    this.#byKey.set(key, ids);
  }

  // J2

  finished(name: AssignmentId, marker: string): void {
    this.#finished.push({ taskId: name.taskId, generation: name.generation, marker });
  }

  /** A data folder was copied. */
  copied(): void {
    this.#hasCopies = true;
  }

  // What was used

  used({ runId, ...name }: AssignmentId & { readonly runId: string }, tokens: number): void {
    const key = assignmentKey(name);
    const runs = this.#used.get(key) ?? new Map<string, number>();
    this.#used.set(key, runs.set(runId, Math.max(tokens, runs.get(runId) ?? 0)));
  }

  /** No attempt is recorded with more usage than its runs had, however often they reported it. */
  #countsNothingTwice(taskId: TaskId): void {
    for (const { generation, agentId, tokensUsed } of this.#deps.database.tasks.get(taskId)?.task.usage.attempts ?? []) {
      const runs = this.#used.get(assignmentKey({ taskId, generation }));
      const used = [...(runs?.values() ?? [])].reduce((sum, tokens) => sum + tokens, 0);
      if ((tokensUsed ?? 0) > used)
        this.#deps.violated('J8', `${taskId}.g${generation} of ${agentId} counts ${tokensUsed} tokens, its runs used ${used}`);
    }
  }

  // J3

  acknowledged(agentId: string, taskId: TaskId, generation: number | null, status: string): void {
    const events = this.#deps.database.eventsOf.get(taskId) ?? [];
    const wanted = ACK_EVENTS[status] ?? [];
    const isThere = events.some(
      (event) => wanted.includes(event.event) && event.agentId === agentId && (generation === null || event.generation === generation),
    );
    if (!isThere) this.#deps.violated('J3', `${agentId} was told "${status}" of ${taskId}.g${generation}, of which nothing is committed`);
  }

  // I6

  /** A sidecar sends a task frame; without a generation, which version 1 may leave out, it applies to any. */
  said(agentId: string, type: string, taskId: string, generation: string): void {
    this.#messages.add(`${agentId} ${type} ${taskId} ${generation}`);
    this.#messages.add(`${agentId} any ${taskId} ${generation}`);
  }

  /** A frame over the limit is sent: the hub cannot read it, and treats it as the end of the only task that it can be about. */
  saidTooMuch(agentId: string): void {
    this.#messages.add(tooMuchOf(agentId));
  }

  /** What a frame changed was sent in a frame, about this very assignment. */
  #wasSaid({ event, agentId, taskId, generation, session, details }: StoredEvent): void {
    const type = FRAME_OF[event];
    if (type === undefined || session === null) return;
    if (details?.['kind'] === 'result_too_large' && this.#messages.has(tooMuchOf(agentId))) return;
    const isKnown = [String(generation), ''].some((each) => this.#messages.has(`${agentId} ${type} ${taskId} ${each}`));
    if (!isKnown) this.#deps.violated('I6', `${event} of ${taskId}.g${generation} is stored as sent by ${agentId}, which never sent it`);
  }

  // J4

  spawned(run: Omit<LedgerRun, 'isEnding'>): void {
    const mine: LedgerRun = { ...run, isEnding: false };
    const others = (this.#runs.get(run.taskId) ?? []).filter((other) => other.lives());
    for (const other of others) {
      // Two machines with one data folder are one to the hub: it cannot distinguish their runs.
      if (isCopy(other.machine, run.machine)) continue;
      const both = `${other.runId} (g${other.generation} on ${other.machine}) and ${run.runId} (g${run.generation} on ${run.machine})`;
      if (other.generation === run.generation) this.#deps.violated('J4', `two runs of one assignment of ${run.taskId}: ${both}`);
      else if (other.machine === run.machine) this.#deps.violated('J4', `two runs of ${run.taskId} on one machine: ${both}`);
      else if (!this.#isExcused(other.generation < run.generation ? other : mine))
        this.#deps.violated('J4', `two runs of ${run.taskId} at once: ${both}`);
    }
    this.#runs.set(run.taskId, [...others, mine]);
  }

  /** Being stopped, about to be told so, or disconnected: the newer generation need not wait for it. */
  #isExcused(run: LedgerRun): boolean {
    if (run.isEnding) return true;
    const here = this.#here.get(run.agentId);
    if (here?.machine !== run.machine || this.#unseenSinceMs.has(here.hub)) return true;
    for (const stop of this.#deps.database.stops.values())
      if (stop.agentId === run.agentId && stop.taskId === run.taskId && stop.generation === run.generation) return true;
    return false;
  }

  ending(name: { readonly taskId: TaskId; readonly runId: string }): void {
    for (const run of this.#runs.get(name.taskId) ?? []) if (run.runId === name.runId) run.isEnding = true;
  }

  // J5

  acceptSent(
    name: AssignmentId,
    journal: { readonly slots: readonly AssignmentId[]; readonly outbox: readonly AssignmentId[] } | null,
  ): void {
    const key = assignmentKey(name);
    const isKept = journal !== null && [...journal.slots, ...journal.outbox].some((each) => assignmentKey(each) === key);
    if (!isKept) this.#deps.violated('J5', `an accept of ${key} was sent, and the journal does not have it`);
  }

  // J7

  /** This hub started, its storage came back, its clock jumped or its event loop stalled: R15's time counts from here. */
  startQuietPeriod(hub: string): void {
    this.#quietUntilMs.set(hub, this.#deps.clock.monotonicMs() + this.#quietTimeMs());
  }

  /** Whether this hub may still hold its quiet period: store time runs a twentieth slower while the wall clock is behind. */
  mayBeQuiet(hub: string): boolean {
    return (this.#quietUntilMs.get(hub) ?? 0) + this.#quietTimeMs() * SLOWER > this.#deps.clock.monotonicMs();
  }

  /** The clock of a hub that does not share its store advanced by too little to notice: its deadlines are reached that much sooner. */
  slipped(ms: number): void {
    this.#slippedMs += Math.max(0, ms);
    for (const [hub, untilMs] of this.#quietUntilMs) this.#quietUntilMs.set(hub, untilMs - Math.max(0, ms));
  }

  /** From now on other hubs may consider this one dead, and its agents disconnected, until the returned function is called. */
  unseen(hub: string): () => void {
    const sinceMs = this.#deps.clock.monotonicMs();
    const beforeMs = this.#unseenSinceMs.get(hub);
    const untilMs = Math.min(sinceMs, beforeMs ?? sinceMs);
    this.#unseenSinceMs.set(hub, untilMs);
    return () => {
      if (this.#unseenSinceMs.get(hub) === untilMs) this.#unseenSinceMs.delete(hub);
    };
  }

  present(agentId: string, connection: number, machine: string, hub: string): void {
    this.#here.set(agentId, { connection, machine, hub });
    this.#awaySinceMs.delete(agentId);
  }

  absent(agentId: string, connection: number): void {
    const here = this.#here.get(agentId);
    if (here?.connection !== connection) return;
    this.#here.delete(agentId);
    this.#awaySinceMs.set(agentId, this.#unseenSinceMs.get(here.hub) ?? this.#deps.clock.monotonicMs());
  }

  /** Since when the agent is disconnected; undefined if it is connected, or never was. */
  awaySinceMs(agentId: string): number | undefined {
    return this.#awaySinceMs.get(agentId);
  }

  /** Whether another connection of the agent is open. */
  isOpenElsewhere(agentId: string, connection: number): boolean {
    const here = this.#here.get(agentId);
    return here !== undefined && here.connection !== connection;
  }

  /** Whether the agent has a newer connection than this. */
  isReplaced(agentId: string, connection: number): boolean {
    return (this.#here.get(agentId)?.connection ?? 0) > connection;
  }

  /** A frame has reached the hub: from now on no later sweep may call the assignment silent. */
  arrived(agentId: string, text: string, hub: string): void {
    if (text.startsWith('{"type":"identify"')) this.#forget(`${hub} ${agentId} `);
    const [, type, taskId] = /^\{"type":"(task_accepted|task_progress)","task_id":"(task-[0-9a-f]+)"/.exec(text) ?? [];
    if (type === undefined || taskId === undefined) return;
    const generation = /"generation":(\d+)/.exec(text)?.[1] ?? '';
    // An accept starts a lease. A repeat of it is answered and renews nothing: a working agent renews it by progress.
    const task = this.#deps.database.tasks.get(taskId as TaskId)?.task;
    const isAccepted = task !== undefined && task.acceptedAtMs !== null && String(task.generation) === generation;
    if (type === 'task_accepted' && isAccepted) return;
    this.#heardOfMs.set(`${hub} ${agentId} ${taskId} ${generation}`, this.#deps.clock.monotonicMs());
  }

  /** It reconnects: what it reports to hold counts now, not what an earlier process of it reported. */
  #forget(beginning: string): void {
    for (const name of this.#heardOfMs.keys()) if (name.startsWith(beginning)) this.#heardOfMs.delete(name);
  }

  /** The hub is gone; returns how many agents it had. */
  allAbsent(hub: string): number {
    const had = [...this.#here].filter(([, here]) => here.hub === hub);
    for (const [agentId, { connection }] of had) this.absent(agentId, connection);
    return had.length;
  }

  /** `hub` committed; `begunAtMs`: when the batch began. */
  committed(events: readonly StoredEvent[], begunAtMs: number, hub: string): void {
    for (const taskId of new Set(events.map((event) => event.taskId))) this.#countsNothingTwice(taskId);
    for (const event of events) {
      this.#wasSaid(event);
      // It may have connected without ever being seen here: the hub was killed before it could answer.
      if (
        event.event === 'agent_disconnected' &&
        event.agentId !== null &&
        !this.#here.has(event.agentId) &&
        !this.#awaySinceMs.has(event.agentId)
      )
        this.#awaySinceMs.set(event.agentId, this.#deps.clock.monotonicMs());
      if (event.event !== 'lost' && event.event !== 'reclaimed') continue;
      const reason = event.details?.['reason'];
      if (reason === 'disconnected' || reason === 'lease_expired' || reason === 'not_accepted')
        this.#reclaimed(event, String(reason), begunAtMs, hub);
    }
  }

  #reclaimed(event: StoredEvent, reason: string, begunAtMs: number, hub: string): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const what = `${event.taskId}.g${event.generation} was taken from ${event.agentId} (${reason})`;
    const quietMs = (this.#quietUntilMs.get(hub) ?? 0) - nowMs;
    const heardMs = this.#heardOfMs.get(`${hub} ${event.agentId} ${event.taskId} ${event.generation}`);
    if (quietMs > SLACK_MS && this.#silentMs(event, reason, heardMs) < this.#quietTimeMs())
      this.#deps.violated('J7', `${what} ${Math.round(quietMs)} ms before silence counts for ${hub}`);
    if (heardMs !== undefined && heardMs < begunAtMs && begunAtMs - heardMs < SAID_MS && reason !== 'disconnected')
      this.#deps.violated('J7', `${what}, although it was heard ${Math.round(begunAtMs - heardMs)} ms before the sweep`);
    if (reason !== 'disconnected') return;
    const here = this.#here.get(event.agentId as AgentId);
    const since = this.#awaySinceMs.get(event.agentId as AgentId) ?? this.#unseenSinceMs.get(here?.hub ?? '') ?? nowMs;
    const { reconnectGraceMs } = this.#deps.timing;
    if (nowMs - since < reconnectGraceMs - this.#slippedMs - SLACK_MS)
      this.#deps.violated(
        'J7',
        `${what} after ${Math.round(nowMs - since)} ms of disconnection, the grace period is ${reconnectGraceMs} ms`,
      );
  }

  /** For how long nothing was heard about the assignment: an agent silent for a whole quiet period gets no other. */
  #silentMs(event: StoredEvent, reason: string, heardMs = 0): number {
    const { clock, database } = this.#deps;
    const nowMs = clock.monotonicMs();
    const assigned = database.eventsOf.get(event.taskId)?.findLast((one) => one.event === 'assigned');
    const assignedMs = nowMs - (event.atMs - (assigned?.atMs ?? event.atMs));
    const leftMs = reason === 'disconnected' ? (this.#awaySinceMs.get(event.agentId as AgentId) ?? nowMs) : 0;
    return nowMs - Math.max(assignedMs, heardMs, leftMs);
  }

  #quietTimeMs = (): number => Math.max(this.#deps.timing.reconnectGraceMs, this.#deps.timing.quietAfterStartMs);

  // At the end

  /** J1 for everything that was ever answered: still stored, and one for each key. */
  checkSubmits(): void {
    const { database, violated } = this.#deps;
    for (const id of this.#submitted) if (!database.tasks.has(id)) violated('J1', `${id} was answered and is not stored any more`);
    const byKey = new Map<string, number>();
    for (const { body } of database.tasks.values()) {
      const key = /^key (\S+) /.exec(body.description)?.[1];
      if (key !== undefined) byKey.set(key, (byKey.get(key) ?? 0) + 1);
    }
    for (const [key, count] of byKey) if (count > 1) violated('J1', `the key ${key} made ${count} tasks`);
  }

  /** J2: everything is reported by now. `refused`: markers that sidecars keep for the operator, each with its assignment. */
  checkResults(refused: readonly Finished[]): void {
    const { violated } = this.#deps;
    // What two machines with one data folder did for one assignment is one result to the hub.
    if (this.#hasCopies) return;
    const places = [...this.#recorded(), ...refused];
    for (const one of this.#finished) {
      const found = places.filter((place) => place.marker === one.marker);
      if (found.length === 0) violated('J2', `the result of ${assignmentKey(one)} (${one.marker}) is nowhere`);
      if (found.length > 1) violated('J2', `the result of ${assignmentKey(one)} (${one.marker}) is in ${found.length} places`);
      for (const place of found)
        if (assignmentKey(place) !== assignmentKey(one))
          violated('J2', `the result of ${assignmentKey(one)} (${one.marker}) is kept as ${assignmentKey(place)}'s`);
    }
  }

  #recorded(): readonly Finished[] {
    const { database } = this.#deps;
    const places: Finished[] = [];
    for (const [taskId, json] of database.results) {
      const completed = database.eventsOf.get(taskId)?.findLast((event) => event.event === 'completed');
      const marker = markerOf(JSON.parse(json));
      // An adopted result is also in its late event, which is counted there.
      const isAdopted = database.eventsOf.get(taskId)?.some((event) => event.event === 'adopted') === true;
      if (marker !== null && completed !== undefined && completed.generation !== null && !isAdopted)
        places.push({ taskId, generation: completed.generation, marker });
    }
    for (const event of database.events) {
      if (event.event !== 'late_result' && event.event !== 'report_refused') continue;
      const text = event.details?.['result'];
      const marker = typeof text === 'string' ? markerOf(JSON.parse(text)) : null;
      if (marker !== null && event.generation !== null) places.push({ taskId: event.taskId, generation: event.generation, marker });
    }
    return places;
  }

  // J6

  /** What a stream delivered next, resuming by id: the events stored after what it delivered before, with none left out. */
  streamed(stream: string, page: readonly StoredEvent[]): void {
    const { database, violated } = this.#deps;
    const { events, tasks } = database;
    const read = this.#streamed.get(stream) ?? new Set();
    const differenceFrom = (given: number, delivered: readonly StoredEvent[]) =>
      delivered.findIndex((event, place) => events[given + place]?.id !== event.id);
    if (differenceFrom(read.size, page) >= 0) {
      // Old events of agents and of removed tasks may be gone, of those that were read before and of these.
      const stored = new Set(events.map(({ id }) => id));
      const given = [...read].filter((id) => stored.has(id)).length;
      const delivered = page.filter(({ id, taskId }) => stored.has(id) || tasks.has(taskId));
      const different = differenceFrom(given, delivered);
      if (different >= 0)
        violated(
          'J6',
          `the stream at ${stream} delivered event ${delivered[different]?.id}, and ${events[given + different]?.id} comes next`,
        );
    }
    for (const { id } of page) read.add(id);
    this.#streamed.set(stream, read);
  }
}

/** Whether these machines have copies of one data folder. */
const isCopy = (one: string, other: string): boolean => one !== other && folderOf(one) === folderOf(other);
const folderOf = (machine: string): string => machine.replace(/c\d+$/, '');

/** What the history must contain before an acknowledgement of this status. An accept of an ended assignment is answered with that end. */
const ACK_EVENTS: Readonly<Record<string, readonly string[]>> = {
  accepted: ['accepted'],
  complete: ['completed'],
  retried: ['failed'],
  dead_letter: ['failed'],
  // Version 1 may reject what it has accepted: it still has it, and nothing changes.
  rejected: ['rejected', 'accepted'],
  released: ['released'],
  late: ['late_result'],
};

/** The frame that causes each event; any task frame implies acceptance. */
const tooMuchOf = (agentId: string | null): string => `${String(agentId)} too much`;

const FRAME_OF: Readonly<Record<string, string>> = {
  accepted: 'any',
  woken: 'wake_result',
  wake_failed: 'wake_result',
  progress: 'task_progress',
  completed: 'task_complete',
  failed: 'task_failed',
  rejected: 'task_rejected',
  released: 'task_released',
};
