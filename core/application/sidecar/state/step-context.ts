/**
 * One step in the making. Handlers change `state` through it and ask for effects; `end` puts them in the order that
 * keeps the promise: durable ones, the journal if it changed, outward ones.
 */
import { recall, remember, type Ended } from '../../../domain/assignment/ended-assignments.ts';
import { findReport, withoutReport, withReport, type OutboxEntry } from '../../../domain/assignment/outbox.ts';
import { assignmentKey, isSameAssignment, nameOf, type Assignment, type Slot } from '../../../domain/assignment/slot.ts';
import type { LogFields } from '../../../ports/log.ts';
import type { V2Frame } from '../../../protocol/sidecar-frames.ts';
import type { DurableEffect, Effect, OutwardEffect } from './effects.ts';
import type { Moment } from './inputs.ts';
import type { JournalState } from './journal-state.ts';
import { NOTHING_LIVE, type LinkState, type LiveSlot, type SidecarSetting, type SidecarState } from './state.ts';
import type { OwnTimer, RunTimer } from './timer-names.ts';

export interface Step {
  readonly state: SidecarState;
  readonly effects: readonly Effect[];
}

/** Of a text in the log, characters: what agents, plugins and the hub say there may be longer. */
const LOG_TEXT_MAX = 4_096;
const shortText = (text: string): string =>
  text.length <= LOG_TEXT_MAX ? text : `${text.slice(0, LOG_TEXT_MAX)}… (${text.length} characters)`;

export class Turn {
  readonly setting: SidecarSetting;
  readonly nowMs: number;
  readonly jitter: number;
  state: SidecarState;
  readonly #before: SidecarState;
  readonly #durable: DurableEffect[] = [];
  readonly #outward: OutwardEffect[] = [];

  constructor(setting: SidecarSetting, state: SidecarState, moment: Moment) {
    this.setting = setting;
    this.state = state;
    this.#before = state;
    this.nowMs = moment.nowMs;
    this.jitter = moment.jitter;
  }

  /** Whether it needs the disk. */
  get isDurable(): boolean {
    return this.#durable.length > 0 || this.state.journal !== this.#before.journal;
  }

  end(): Step {
    const journal = this.state.journal;
    const persist = journal === this.#before.journal ? [] : [{ type: 'persist', journal } as const];
    return { state: this.state, effects: [...this.#durable, ...persist, ...this.#outward] };
  }

  // Effects

  durably(effect: DurableEffect): void {
    this.#durable.push(effect);
  }

  outwardly(effect: OutwardEffect): void {
    this.#outward.push(effect);
  }

  /** Nothing is sent before `identified`; what matters is said again after it. */
  send(frame: V2Frame): void {
    if (this.state.link.phase === 'identified') this.outwardly({ type: 'send', frame });
  }

  /** A frame about an assignment that may be refused, but is not the report of its end. */
  sendOf(name: Assignment, frame: V2Frame): void {
    if (this.state.link.phase !== 'identified') return;
    const key = assignmentKey(name);
    if (!this.state.link.talkedOf.includes(key)) this.patchLink({ talkedOf: [...this.state.link.talkedOf, key] });
    this.outwardly({ type: 'send', frame });
  }

  /** Starts it anew if it runs. */
  startTimer(purpose: OwnTimer, delayMs: number): void {
    this.outwardly({ type: 'startTimer', timer: { purpose }, delayMs });
  }

  startTimerOf(name: Assignment, purpose: RunTimer, delayMs: number): void {
    this.outwardly({ type: 'startTimer', timer: { purpose, name: nameOf(name) }, delayMs });
  }

  cancelTimers(...purposes: readonly OwnTimer[]): void {
    for (const purpose of purposes) this.outwardly({ type: 'cancelTimer', timer: { purpose } });
  }

  cancelTimersOf(name: Assignment, purposes: readonly RunTimer[]): void {
    for (const purpose of purposes) this.outwardly({ type: 'cancelTimer', timer: { purpose, name: nameOf(name) } });
  }

  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields: LogFields = {}): void {
    const bounded = Object.entries(fields).map(([name, value]) => [name, typeof value === 'string' ? shortText(value) : value] as const);
    this.outwardly({ type: 'log', level, message, fields: Object.fromEntries(bounded) });
  }

  // What is journalled

  slot(name: Assignment): Slot | undefined {
    return this.state.journal.slots.find((slot) => isSameAssignment(slot, name));
  }

  /** In its place, or as the newest. */
  putSlot(slot: Slot): void {
    const slots = this.state.journal.slots;
    const at = slots.findIndex((each) => isSameAssignment(each, slot));
    this.#patchJournal({ slots: at < 0 ? [...slots, slot] : slots.with(at, slot) });
  }

  /** And what is known of it beyond the journal. */
  dropSlot(name: Assignment): void {
    this.#patchJournal({ slots: this.state.journal.slots.filter((slot) => !isSameAssignment(slot, name)) });
    const { [assignmentKey(name)]: _gone, ...live } = this.state.live;
    this.state = { ...this.state, live };
  }

  report(name: Assignment): OutboxEntry | undefined {
    return findReport(this.state.journal.outbox, name);
  }

  putReport(entry: OutboxEntry): void {
    this.#patchJournal({ outbox: withReport(this.state.journal.outbox, entry) });
    this.#forgetSendings(entry);
  }

  /** The same report, in its place. */
  patchReport(name: Assignment, patch: Partial<OutboxEntry>): void {
    const outbox = this.state.journal.outbox.map((entry) => (isSameAssignment(entry, name) ? { ...entry, ...patch } : entry));
    this.#patchJournal({ outbox });
  }

  dropReport(name: Assignment): void {
    if (this.report(name) === undefined) return;
    this.#patchJournal({ outbox: withoutReport(this.state.journal.outbox, name) });
    this.#forgetSendings(name);
    this.cancelTimersOf(name, ['repeat']);
  }

  /** What is remembered of exactly this assignment. */
  ended(name: Assignment): Ended | undefined {
    const ended = recall(this.state.journal.ended, name.taskId);
    return ended?.generation === name.generation ? ended : undefined;
  }

  remember(ended: Ended): void {
    const { memory, forgotten } = remember(this.state.journal.ended, ended, this.nowMs);
    if (memory !== this.state.journal.ended) this.#patchJournal({ ended: memory });
    for (const name of forgotten) this.durably({ type: 'removeFiles', name });
  }

  // What is only known here

  live(name: Assignment): LiveSlot {
    return this.state.live[assignmentKey(name)] ?? NOTHING_LIVE;
  }

  patchLive(name: Assignment, patch: Partial<LiveSlot>): void {
    const live = { ...this.state.live, [assignmentKey(name)]: { ...this.live(name), ...patch } };
    this.state = { ...this.state, live };
  }

  patchLink(patch: Partial<LinkState>): void {
    this.state = { ...this.state, link: { ...this.state.link, ...patch } };
  }

  #patchJournal(patch: Partial<JournalState>): void {
    this.state = { ...this.state, journal: { ...this.state.journal, ...patch } };
  }

  #forgetSendings(name: Assignment): void {
    const { [assignmentKey(name)]: _gone, ...sendings } = this.state.sendings;
    this.state = { ...this.state, sendings };
  }
}
