/**
 * A world around one sidecar for random storms: processes with lives of their own, a disk that may fail, a hub that
 * sends anything. It carries out the effects and reports what must never happen.
 */
import { hasBody, isEnd, type OutboxEntry } from '../../../../core/domain/assignment/outbox.ts';
import { recall } from '../../../../core/domain/assignment/ended-assignments.ts';
import type { AssignmentId } from '../../../../core/domain/assignment/slot.ts';
import type { Effect } from '../../../../core/application/sidecar/state/effects.ts';
import type { SidecarInput } from '../../../../core/application/sidecar/state/inputs.ts';
import { EMPTY_JOURNAL, readJournalState, type JournalState } from '../../../../core/application/sidecar/state/journal-state.ts';
import { loadedState, type SidecarState } from '../../../../core/application/sidecar/state/state.ts';
import { sidecarStep } from '../../../../core/application/sidecar/engine/step.ts';
import { timerKey, type TimerName } from '../../../../core/application/sidecar/state/timer-names.ts';
import type { WakeEvent } from '../../../../core/ports/wake-runner.ts';
import type { HubFrame } from '../../../../core/protocol/hub-frames.ts';
import { exited, keyOf, named, NONCE, OTHER, pathsOf, settings, SPAWNED, START_MS, stoppedRun, TASK, WOKEN } from './stage.ts';

interface Run {
  readonly assignment: AssignmentId;
  isAlive: boolean;
  /** By the sidecar that runs now. */
  isFollowed: boolean;
}

/** What a storm may do; numbers choose among what exists. */
export const ACTS = [
  'offer',
  'ack',
  'nack',
  'cancel',
  'abort',
  'run',
  'run',
  'run',
  'end',
  'result',
  'timer',
  'answer',
  'answer',
  'answer',
  'answer',
  'answer',
  'answer',
  'link',
  'disk',
  'repair',
  'crash',
] as const;
export type Act = (typeof ACTS)[number];

const STATUSES = ['accepted', 'complete', 'retried', 'late', 'rejected', 'released'];
const REASONS = ['stale_generation', 'not_assignee', 'unknown_task', 'invalid_state'] as const;
/** Frames sent without being kept: they refer to something remembered, or to something that could not be journaled. */
const UNKEPT = /^(superseded|journal_unwritable|already ended: .*)$/;

export class StormWorld {
  readonly #step;
  #state: SidecarState;
  #disk: JournalState = EMPTY_JOURNAL;
  readonly #bodies = new Set<string>();
  readonly #runs = new Map<string, Run>();
  readonly #timers = new Map<string, TimerName>();
  /** Pending answers of the ports. */
  #answers: SidecarInput[] = [];
  #failing = 0;
  #made = 0;
  /** The highest generation assigned so far. */
  #newest = 1;
  /** Violations found. */
  readonly complaints: string[] = [];
  /** How often each kind of thing was seen, so that a storm that does nothing is noticed. */
  readonly seen = new Map<string, number>();

  constructor(slots: number) {
    this.#step = sidecarStep(settings({ slots }));
    this.#state = loadedState(this.#disk, 'instance-1');
    this.#take({ type: 'start' });
  }

  act(act: Act, a: number, b: number): void {
    const assignment = this.#assignment(act, a, b);
    const task = { task_id: assignment.taskId, generation: assignment.generation };
    switch (act) {
      case 'offer':
        return this.#frame({ type: 'task_assign', ...task, description: 'x', assigned_at: START_MS, run_max_ms: 60_000 });
      case 'ack':
        return this.#frame({ type: 'task_ack', ...task, status: STATUSES[b % STATUSES.length] as string });
      case 'nack':
        return this.#frame({ type: 'task_nack', ...task, reason: REASONS[b % REASONS.length] as (typeof REASONS)[number] });
      case 'cancel':
        return this.#frame({ type: 'task_cancelled', ...task });
      case 'abort':
        return this.#reconnect([{ ...task, action: 'abort' }]);
      case 'run':
        return this.#tell(
          this.#pick([...this.#runs], a),
          [SPAWNED, WOKEN, { type: 'started' }, { type: 'progress', percent: 5 }][b % 4] as WakeEvent,
        );
      case 'end':
        return this.#end(
          this.#pick([...this.#runs], a),
          [exited(0), exited(1), exited(null), { type: 'failed', phase: 'spawn', message: 'no', retryable: b % 2 === 0 }][
            b % 4
          ] as WakeEvent,
        );
      case 'result':
        return this.#take({
          type: 'file_event',
          event: { kind: 'result', assignment, value: { status: b % 2 === 0 ? 'success' : 'failed' }, replaced: false },
        });
      case 'timer':
        return this.#fire(this.#pick([...this.#timers.values()], a));
      case 'answer':
        return this.#answer(a);
      case 'link':
        return this.#reconnect([]);
      case 'repair':
        return this.#repair();
      case 'disk':
        this.#failing = 1 + (a % 3);
        return;
      case 'crash':
        return this.#crash();
    }
  }

  /** Mostly something that exists, sometimes something that did or never will. */
  #assignment(act: Act, a: number, b: number): AssignmentId {
    const taskId = b % 3 === 0 ? OTHER : TASK;
    if (act === 'offer') return named(a % 4 === 0 ? 1 + (a % this.#newest) : (this.#newest += 1), taskId);
    const there = [...this.#state.journal.outbox, ...this.#state.journal.slots];
    const known = this.#pick(there, a);
    return known === undefined || b % 5 === 0
      ? named(1 + (a % this.#newest), taskId)
      : { taskId: known.taskId, generation: known.generation };
  }

  #repair(): void {
    this.#failing = 0;
    for (let tries = 0; this.#state.fault !== null && tries < 1_000; tries += 1)
      this.#take({ type: 'timer', timer: { purpose: 'journal' } });
    if (this.#state.fault !== null) this.complaints.push('a good disk does not end the fault');
  }

  #frame(frame: HubFrame): void {
    this.#take({ type: 'frame', connectionId: this.#state.link.connectionId, frame });
  }

  #reconnect(held: NonNullable<Extract<HubFrame, { type: 'identified' }>['held']>): void {
    this.#take({ type: 'link_down', connectionId: this.#state.link.connectionId, code: 1006, reason: '' });
    this.#take({ type: 'timer', timer: { purpose: 'reconnect' } });
    this.#take({ type: 'link_up', nonce: NONCE, connectionId: this.#state.link.connectionId });
    this.#frame({ type: 'identified', agent_id: 'worker-1', store_id: 'store-1', held });
  }

  #tell(found: readonly [string, Run] | undefined, event: WakeEvent): void {
    if (found?.[1].isAlive !== true || !found[1].isFollowed) return;
    this.#take({ type: 'wake_event', assignment: found[1].assignment, runId: found[0], event });
  }

  #end(found: readonly [string, Run] | undefined, event: WakeEvent): void {
    if (found?.[1].isAlive !== true) return;
    found[1].isAlive = false;
    if (!found[1].isFollowed) return;
    this.#take({ type: 'wake_event', assignment: found[1].assignment, runId: found[0], event });
    this.#take({ type: 'wake_stream_ended', assignment: found[1].assignment, runId: found[0], error: null });
  }

  #fire(timer: TimerName | undefined): void {
    if (timer === undefined) return;
    this.#timers.delete(timerKey(timer));
    this.#take({ type: 'timer', timer });
  }

  #answer(a: number): void {
    const [answer] = this.#answers.splice(a % Math.max(1, this.#answers.length), 1);
    if (answer === undefined) return;
    // A run that was told to stop is gone by the time it reports it.
    if (answer.type === 'wake_event') {
      const run = this.#runs.get(answer.runId);
      if (run !== undefined) run.isAlive = false;
    }
    this.#take(answer);
  }

  /** kill -9: what was persisted remains, and so do the processes. */
  #crash(): void {
    this.#answers = [];
    this.#timers.clear();
    for (const run of this.#runs.values()) run.isFollowed = false;
    this.#state = loadedState(readJournalState(JSON.parse(JSON.stringify(this.#disk))), 'instance-1');
    this.#take({ type: 'start' });
    this.#take({ type: 'link_up', nonce: NONCE, connectionId: this.#state.link.connectionId });
    this.#frame({ type: 'identified', agent_id: 'worker-1', store_id: 'store-1', held: [] });
  }

  #take(event: SidecarInput): void {
    const before = this.#state;
    const { state, effects } = this.#step(before, event, { nowMs: START_MS, random: 0 });
    this.#state = state;
    for (const effect of effects) {
      if (this.#runEffect(effect, event, before)) continue;
      this.#state = before;
      return this.#take({ type: 'persist_failed', input: event, message: 'the disk is full' });
    }
    if (JSON.stringify(this.#state.journal) !== JSON.stringify(this.#disk))
      this.complaints.push(`${event.type} left the journal unwritten`);
  }

  /** False if the disk failed. */
  #runEffect(effect: Effect, event: SidecarInput, before: SidecarState): boolean {
    this.#count(effect.type === 'send' ? effect.frame.type : effect.type);
    switch (effect.type) {
      case 'persist':
      case 'writeReport':
        if (this.#failing > 0) {
          this.#failing -= 1;
          return false;
        }
        if (effect.type === 'writeReport') this.#bodies.add(keyOf(effect.assignment));
        else this.#persist(effect.journal, event, before);
        return true;
      case 'send':
        this.#judgeFrame(effect.frame as Readonly<Record<string, unknown>>);
        return true;
      case 'wake':
        this.#begin(effect.request);
        return true;
      case 'attach':
        this.#attach(effect.run.runId, effect.run, effect.stop !== null);
        return true;
      case 'kill':
        this.#stop(effect.runId);
        return true;
      case 'prepare':
        this.#prepared(effect.assignment);
        return true;
      case 'measureDisk':
        this.#answers.push({ type: 'disk_measured', refusedBytes: 0, hasReserve: true });
        return true;
      case 'scan':
        this.#answers.push({ type: 'scanned', assignment: effect.assignment, scan: effect.scan });
        return true;
      case 'startTimer':
        this.#timers.set(timerKey(effect.timer), effect.timer);
        return true;
      case 'cancelTimer':
        this.#timers.delete(timerKey(effect.timer));
        return true;
      case 'cancelTimersOf':
        for (const purpose of effect.purposes) this.#timers.delete(timerKey({ purpose, assignment: effect.assignment }));
        return true;
      default:
        return true;
    }
  }

  #prepared(assignment: AssignmentId): void {
    this.#made += 1;
    this.#answers.push({ type: 'prepared', assignment, paths: pathsOf(assignment), runId: `run-${this.#made}` });
  }

  #begin(request: { readonly runId: string } & AssignmentId): void {
    for (const [runId, run] of this.#runs) {
      if (run.isAlive && run.assignment.taskId === request.taskId) this.complaints.push(`${request.runId} was woken next to ${runId}`);
    }
    const ended = recall(this.#disk.ended, request.taskId);
    if (ended !== undefined && ended.generation >= request.generation) this.complaints.push(`${keyOf(request)} was run after it had ended`);
    if (!this.#disk.slots.some((slot) => slot.run?.runId === request.runId))
      this.complaints.push(`${request.runId} was woken before it was journaled`);
    const { taskId, generation } = request;
    this.#runs.set(request.runId, { assignment: { taskId, generation }, isAlive: true, isFollowed: true });
  }

  #attach(runId: string, assignment: AssignmentId, stop: boolean): void {
    const run = this.#runs.get(runId);
    if (run?.isAlive !== true) {
      this.#answers.push({ type: 'wake_event', assignment, runId, event: exited(null) });
      return;
    }
    run.isFollowed = true;
    if (stop) this.#stop(runId);
  }

  #stop(runId: string): void {
    const run = this.#runs.get(runId);
    if (run?.isAlive === true) this.#answers.push({ type: 'wake_event', assignment: run.assignment, runId, event: stoppedRun() });
  }

  /** An end leaves the outbox only on the hub's answer to exactly that assignment. */
  #persist(journal: JournalState, event: SidecarInput, before: SidecarState): void {
    const oldest = before.fault?.deferred[0];
    const cause = event.type === 'timer' && event.timer.purpose === 'journal' && oldest !== undefined ? oldest : event;
    for (const entry of this.#disk.outbox.filter(isEnd)) {
      if (journal.outbox.some((each) => keyOf(each) === keyOf(entry))) continue;
      const isAnswered =
        cause.type === 'frame' &&
        (cause.frame.type === 'task_ack' || cause.frame.type === 'task_nack') &&
        cause.frame.task_id === entry.taskId &&
        cause.frame.generation === entry.generation;
      if (!isAnswered) this.complaints.push(`the ${entry.report} of ${keyOf(entry)} was dropped by ${cause.type}`);
    }
    for (const entry of journal.outbox) {
      if (hasBody(entry) && !this.#bodies.has(keyOf(entry)))
        this.complaints.push(`${keyOf(entry)} was journaled before its body was written`);
    }
    this.#disk = readJournalState(JSON.parse(JSON.stringify(journal)));
  }

  /** Nothing is sent that is not on disk, and no stop is confirmed while its run lives. */
  #judgeFrame(frame: Readonly<Record<string, unknown>>): void {
    const isOf = (each: AssignmentId): boolean => each.taskId === frame['task_id'] && each.generation === frame['generation'];
    const kept: OutboxEntry | undefined = this.#disk.outbox.find(isOf);
    const complain = (): void =>
      void this.complaints.push(`${String(frame['type'])} of ${String(frame['task_id'])} was sent before it was kept`);
    switch (frame['type']) {
      case 'task_accepted':
        if (!this.#disk.slots.some(isOf)) complain();
        return;
      case 'task_complete':
      case 'task_failed':
        if (kept === undefined || !hasBody(kept)) complain();
        return;
      case 'task_rejected':
        if (kept?.report !== 'rejected' && !UNKEPT.test(String(frame['reason']))) complain();
        return;
      case 'task_cancel_ack':
        if ([...this.#runs.values()].some((run) => run.isAlive && isOf(run.assignment)))
          this.complaints.push('a stop was confirmed of a run that lives');
        if (this.#disk.slots.some(isOf)) this.complaints.push('a stop was confirmed before it was journaled');
        return;
      default:
        return;
    }
  }

  #count(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  #pick<T>(from: readonly T[], a: number): T | undefined {
    return from[a % Math.max(1, from.length)];
  }
}
