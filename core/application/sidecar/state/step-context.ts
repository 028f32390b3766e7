/**
 * One step in progress. Handlers update `state` and request effects through it; `end` puts the effects in the order
 * that guarantees durability: those before persisting, the journal if it changed, those after.
 */
import type { PersistentMap } from '../../../domain/persistent-map.ts';
import { ENDED_IN_PROCESS_MAX, ENDED_MAX, recall, remember, type Ended } from '../../../domain/assignment/ended-assignments.ts';
import { findIn, withEntry, withEntryLast, withoutEntry } from '../../../domain/assignment/assignment-list.ts';
import type { OutboxEntry } from '../../../domain/assignment/outbox.ts';
import { assignmentIdOf, mapKey, type AssignmentId, type Slot } from '../../../domain/assignment/slot.ts';
import { HELD_TASK_COUNTED_BYTES_MAX, HELD_TASKS_BYTES_MAX } from '../../../protocol/fields.ts';
import type { LogFields } from '../../../ports/log.ts';
import type { V2Frame } from '../../../protocol/sidecar-frames.ts';
import type { BeforePersistEffect, Effect, AfterPersistEffect } from './effects.ts';
import type { SidecarInput, StepEnvironment } from './inputs.ts';
import type { JournalState } from './journal-state.ts';
import {
  countedBytes,
  tasksBytesOf,
  INITIAL_LIVE,
  type LinkState,
  type LiveSlot,
  type SidecarSettings,
  type SidecarState,
} from './state.ts';
import type { OwnTimer, RunTimer } from './timer-names.ts';

export interface StepResult {
  readonly state: SidecarState;
  readonly effects: readonly Effect[];
}

/** The sidecar's rules: pure, so that the same state and input always give the same result. */
export type Step = (state: SidecarState, input: SidecarInput, environment: StepEnvironment) => StepResult;

/** Maximum length of a log field in characters; agents, plugins and the hub may send more. */
const LOG_TEXT_MAX = 4_096;
const isLongText = (value: unknown): value is string => typeof value === 'string' && value.length > LOG_TEXT_MAX;
const shortText = (text: string): string => `${text.slice(0, LOG_TEXT_MAX)}… (${text.length} characters)`;

function hasLongText(fields: LogFields): boolean {
  for (const name in fields) if (isLongText(fields[name])) return true;
  return false;
}

type Own<T> = { -readonly [K in keyof T]: T[K] };

export class StepContext {
  readonly settings: SidecarSettings;
  readonly nowMs: number;
  readonly random: number;
  state: SidecarState;
  readonly #before: SidecarState;
  readonly #beforePersist: BeforePersistEffect[] = [];
  readonly #afterPersist: AfterPersistEffect[] = [];

  constructor(settings: SidecarSettings, state: SidecarState, environment: StepEnvironment) {
    this.settings = settings;
    this.state = state;
    this.#before = state;
    this.nowMs = environment.nowMs;
    this.random = environment.random;
  }

  /** Whether the agent polls for its tasks: there is no runner to wake it. */
  get agentPolls(): boolean {
    return this.settings.runner === null;
  }

  /** Whether the step needs the disk. */
  get needsDisk(): boolean {
    return this.#beforePersist.length > 0 || this.state.journal !== this.#before.journal;
  }

  end(): StepResult {
    if (!this.needsDisk) return { state: this.state, effects: this.#afterPersist };
    const journal = this.state.journal;
    const persist = journal === this.#before.journal ? [] : [{ type: 'persist', journal } as const];
    return { state: this.state, effects: [...this.#beforePersist, ...persist, ...this.#afterPersist] };
  }

  // Effects

  beforePersist(effect: BeforePersistEffect): void {
    this.#beforePersist.push(effect);
  }

  afterPersist(effect: AfterPersistEffect): void {
    this.#afterPersist.push(effect);
  }

  /** A function has no files. */
  removeFiles(assignment: AssignmentId): void {
    if (!this.settings.inProcess) this.beforePersist({ type: 'removeFiles', assignment: assignmentIdOf(assignment) });
  }

  /** Dropped unless identified; everything that matters is sent again after the next `identified`. */
  send(frame: V2Frame): void {
    if (this.state.link.phase === 'identified') this.afterPersist({ type: 'send', frame });
  }

  /** Sends a frame that the hub may refuse but that does not report the assignment's end. */
  sendRefusable(assignment: AssignmentId, frame: V2Frame): void {
    if (this.state.link.phase !== 'identified') return;
    this.#patchRefusable(this.state.link.mayBeRefused.with(mapKey(assignment), true));
    this.afterPersist({ type: 'send', frame });
  }

  /** From now on a refusal counts as the answer to its end report. */
  forgetRefusable(assignment: AssignmentId): void {
    this.#patchRefusable(this.#without(this.state.link.mayBeRefused, assignment));
  }

  /** Restarts the timer if it is running. */
  startTimer(purpose: OwnTimer, delayMs: number): void {
    this.afterPersist({ type: 'startTimer', timer: { purpose }, delayMs });
  }

  startTimerOf(assignment: AssignmentId, purpose: RunTimer, delayMs: number): void {
    this.afterPersist({ type: 'startTimer', timer: { purpose, assignment: assignmentIdOf(assignment) }, delayMs });
  }

  cancelTimers(...purposes: readonly OwnTimer[]): void {
    for (const purpose of purposes) this.afterPersist({ type: 'cancelTimer', timer: { purpose } });
  }

  cancelTimersOf(assignment: AssignmentId, purposes: readonly RunTimer[]): void {
    this.afterPersist({ type: 'cancelTimersOf', assignment: assignmentIdOf(assignment), purposes });
  }

  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields: LogFields = {}): void {
    this.afterPersist({ type: 'log', level, message, fields: hasLongText(fields) ? shortened(fields) : fields });
  }

  // Journaled state

  slot(assignment: AssignmentId): Slot | undefined {
    return findIn(this.state.journal.slots, assignment);
  }

  /** Replaces the slot in place, or appends it. */
  putSlot(slot: Slot): void {
    this.#ownJournal().slots = withEntry(this.state.journal.slots, slot);
  }

  /** Also drops what is known about it in memory. */
  dropSlot(assignment: AssignmentId): void {
    const slots = withoutEntry(this.state.journal.slots, assignment);
    this.#ownJournal().slots = slots;
    const state = this.#own();
    state.live = this.#without(state.live, assignment);
    if (slots.length === 0) state.tasksBytes = 0;
  }

  /** Its unanswered report, if there is one. */
  findReport(assignment: AssignmentId): OutboxEntry | undefined {
    return findIn(this.state.journal.outbox, assignment);
  }

  putReport(entry: OutboxEntry): void {
    this.#ownJournal().outbox = withEntryLast(this.state.journal.outbox, entry);
    this.#forgetResends(entry);
  }

  /** Updates the report in place. */
  patchReport(assignment: AssignmentId, patch: Partial<OutboxEntry>): void {
    const entry = this.findReport(assignment);
    if (entry !== undefined) this.#ownJournal().outbox = withEntry(this.state.journal.outbox, { ...entry, ...patch });
  }

  dropReport(assignment: AssignmentId): void {
    const { outbox } = this.state.journal;
    const left = withoutEntry(outbox, assignment);
    if (left === outbox) return;
    this.#ownJournal().outbox = left;
    this.#forgetResends(assignment);
    this.cancelTimersOf(assignment, ['repeat']);
  }

  /** What is remembered of exactly this generation. */
  findEnded(assignment: AssignmentId): Ended | undefined {
    const ended = recall(this.state.journal.ended, assignment.taskId);
    return ended?.generation === assignment.generation ? ended : undefined;
  }

  remember(ended: Ended): void {
    const { memory, forgotten } = remember(
      this.state.journal.ended,
      ended,
      this.nowMs,
      this.settings.inProcess ? ENDED_IN_PROCESS_MAX : ENDED_MAX,
    );
    if (memory !== this.state.journal.ended) this.#ownJournal().ended = memory;
    for (const assignment of forgotten) this.removeFiles(assignment);
  }

  /**
   * Counts a task that is about to be added; false, without counting it, if all tasks together would then exceed `HELD_TASKS_BYTES_MAX`.
   * `bytesAtMost`: an upper bound of its size as JSON.
   */
  countTask(task: Slot['task'], bytesAtMost: number): boolean {
    let bytes = Math.min(bytesAtMost, HELD_TASK_COUNTED_BYTES_MAX);
    if (this.state.tasksBytes + bytes > HELD_TASKS_BYTES_MAX) {
      this.#own().tasksBytes = tasksBytesOf(this.state.journal);
      bytes = countedBytes(task);
    }
    if (this.state.tasksBytes + bytes > HELD_TASKS_BYTES_MAX) return false;
    this.#own().tasksBytes += bytes;
    return true;
  }

  // In-memory state

  liveSlot(assignment: AssignmentId): LiveSlot {
    return this.state.live.get(mapKey(assignment)) ?? INITIAL_LIVE;
  }

  patchLive(assignment: AssignmentId, patch: Partial<LiveSlot>): void {
    const key = mapKey(assignment);
    const patched: LiveSlot = { ...(this.state.live.get(key) ?? INITIAL_LIVE), ...patch };
    this.#own().live = this.state.live.with(key, patched);
  }

  patchLink(patch: Partial<LinkState>): void {
    const state = this.#own();
    state.link = { ...state.link, ...patch };
  }

  /** Counts one more resend of its report on this link; returns how many there have been. */
  countResend(assignment: AssignmentId): number {
    const key = mapKey(assignment);
    const count = (this.state.resendCounts.get(key) ?? 0) + 1;
    this.#own().resendCounts = this.state.resendCounts.with(key, count);
    return count;
  }

  #patchRefusable(mayBeRefused: LinkState['mayBeRefused']): void {
    if (mayBeRefused !== this.state.link.mayBeRefused) this.patchLink({ mayBeRefused });
  }

  /** Most of these maps are empty most of the time. */
  #without<V extends NonNullable<unknown>>(map: PersistentMap<V>, assignment: AssignmentId): PersistentMap<V> {
    return map.isEmpty ? map : map.without(mapKey(assignment));
  }

  /** A copy of the state that only this step has: it is changed in place, so the state is copied once per step. */
  #own(): Own<SidecarState> {
    if (this.state === this.#before) this.state = { ...this.state };
    return this.state;
  }

  #ownJournal(): Own<JournalState> {
    const state = this.#own();
    if (state.journal === this.#before.journal) state.journal = { ...state.journal };
    return state.journal;
  }

  #forgetResends(assignment: AssignmentId): void {
    const resendCounts = this.#without(this.state.resendCounts, assignment);
    if (resendCounts !== this.state.resendCounts) this.#own().resendCounts = resendCounts;
  }
}

const shortened = (fields: LogFields): LogFields =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, isLongText(value) ? shortText(value) : value]));
