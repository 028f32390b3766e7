/**
 * One step in progress. Handlers update `state` and request effects through it; `end` puts the effects in the order
 * that guarantees durability: those before persisting, the journal if it changed, those after.
 */
import { ENDED_IN_PROCESS_MAX, ENDED_MAX, recall, remember, type Ended } from '../../../domain/assignment/ended-assignments.ts';
import { findIn, withEntry, withoutEntry } from '../../../domain/assignment/assignment-list.ts';
import { withReport, type OutboxEntry } from '../../../domain/assignment/outbox.ts';
import { assignmentKey, assignmentIdOf, type AssignmentId, type Slot } from '../../../domain/assignment/slot.ts';
import type { LogFields } from '../../../ports/log.ts';
import type { V2Frame } from '../../../protocol/sidecar-frames.ts';
import type { BeforePersistEffect, Effect, AfterPersistEffect } from './effects.ts';
import type { StepEnvironment } from './inputs.ts';
import type { JournalState } from './journal-state.ts';
import { INITIAL_LIVE, type LinkState, type LiveSlot, type SidecarSettings, type SidecarState } from './state.ts';
import type { OwnTimer, RunTimer } from './timer-names.ts';

export interface StepResult {
  readonly state: SidecarState;
  readonly effects: readonly Effect[];
}

/** Maximum length of a log field in characters; agents, plugins and the hub may send more. */
const LOG_TEXT_MAX = 4_096;
const shortText = (text: string): string =>
  text.length <= LOG_TEXT_MAX ? text : `${text.slice(0, LOG_TEXT_MAX)}… (${text.length} characters)`;

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

  /** Dropped unless identified; whatever matters is sent again after the next `identified`. */
  send(frame: V2Frame): void {
    if (this.state.link.phase === 'identified') this.afterPersist({ type: 'send', frame });
  }

  /** Sends a frame that the hub may refuse but that does not report the assignment's end. */
  sendRefusable(assignment: AssignmentId, frame: V2Frame): void {
    if (this.state.link.phase !== 'identified') return;
    this.#patchRefusable(this.state.link.mayBeRefused.with(assignmentKey(assignment), true));
    this.afterPersist({ type: 'send', frame });
  }

  /** A refusal is an answer to its end report from now on. */
  forgetRefusable(assignment: AssignmentId): void {
    this.#patchRefusable(this.state.link.mayBeRefused.without(assignmentKey(assignment)));
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
    for (const purpose of purposes) this.afterPersist({ type: 'cancelTimer', timer: { purpose, assignment: assignmentIdOf(assignment) } });
  }

  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields: LogFields = {}): void {
    const bounded = Object.entries(fields).map(([name, value]) => [name, typeof value === 'string' ? shortText(value) : value] as const);
    this.afterPersist({ type: 'log', level, message, fields: Object.fromEntries(bounded) });
  }

  // Journalled state

  slot(assignment: AssignmentId): Slot | undefined {
    return findIn(this.state.journal.slots, assignment);
  }

  /** Replaces the slot in place, or appends it. */
  putSlot(slot: Slot): void {
    this.#patchJournal({ slots: withEntry(this.state.journal.slots, slot) });
  }

  /** Also drops what is known of it in memory. */
  dropSlot(assignment: AssignmentId): void {
    this.#patchJournal({ slots: withoutEntry(this.state.journal.slots, assignment) });
    this.state = { ...this.state, live: this.state.live.without(assignmentKey(assignment)) };
  }

  /** Its unanswered report, if there is one. */
  findReport(assignment: AssignmentId): OutboxEntry | undefined {
    return findIn(this.state.journal.outbox, assignment);
  }

  putReport(entry: OutboxEntry): void {
    this.#patchJournal({ outbox: withReport(this.state.journal.outbox, entry) });
    this.#forgetSendings(entry);
  }

  /** Updates the report in place. */
  patchReport(assignment: AssignmentId, patch: Partial<OutboxEntry>): void {
    const entry = this.findReport(assignment);
    if (entry !== undefined) this.#patchJournal({ outbox: withEntry(this.state.journal.outbox, { ...entry, ...patch }) });
  }

  dropReport(assignment: AssignmentId): void {
    if (this.findReport(assignment) === undefined) return;
    this.#patchJournal({ outbox: withoutEntry(this.state.journal.outbox, assignment) });
    this.#forgetSendings(assignment);
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
    if (memory !== this.state.journal.ended) this.#patchJournal({ ended: memory });
    for (const assignment of forgotten) this.beforePersist({ type: 'removeFiles', assignment });
  }

  // In-memory state

  liveSlot(assignment: AssignmentId): LiveSlot {
    return this.state.live.get(assignmentKey(assignment)) ?? INITIAL_LIVE;
  }

  patchLive(assignment: AssignmentId, patch: Partial<LiveSlot>): void {
    const key = assignmentKey(assignment);
    const patched: LiveSlot = { ...(this.state.live.get(key) ?? INITIAL_LIVE), ...patch };
    this.state = { ...this.state, live: this.state.live.with(key, patched) };
  }

  patchLink(patch: Partial<LinkState>): void {
    this.state = { ...this.state, link: { ...this.state.link, ...patch } };
  }

  #patchRefusable(mayBeRefused: LinkState['mayBeRefused']): void {
    if (mayBeRefused !== this.state.link.mayBeRefused) this.patchLink({ mayBeRefused });
  }

  #patchJournal(patch: Partial<JournalState>): void {
    this.state = { ...this.state, journal: { ...this.state.journal, ...patch } };
  }

  #forgetSendings(assignment: AssignmentId): void {
    const sendCounts = this.state.sendCounts.without(assignmentKey(assignment));
    if (sendCounts !== this.state.sendCounts) this.state = { ...this.state, sendCounts };
  }
}
