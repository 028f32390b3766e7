/**
 * The hub's data path: commands in, one commit, acknowledgements out.
 *
 * Every change to a task is a command in the inbox. One loop takes all commands that wait (bounded) and runs one
 * transaction: load the rows they name, run them in order, match ready tasks to free slots, save. After the commit,
 * and only then, commands are answered and frames are sent, in commit order. While one commit is being written the
 * next batch accumulates; a lone command is committed at once.
 */
import { AgentcomError } from '../../../errors/agentcom-error.ts';
import { isStoreFailure } from '../../../errors/store-failure.ts';
import { within } from '../../../ports/timing/within.ts';
import type { AdoptCommand, AnswerTo, Command, CommandInbox, Settled } from '../batch/commands.ts';
import { refusalLog, type NoteRefusal } from '../../refusal-log.ts';
import { hintFor, type Commit } from '../batch/commit.ts';
import type { Prefetched } from '../handlers/command-router.ts';
import { mayRunEarly, sizeOf, workOf } from '../batch/command-size.ts';
import { PriorityInbox, type InboxEntry } from './inbox.ts';
import { isFullFor } from './inbox-bounds.ts';
import { BatchTurn } from './batch-turn.ts';
import { DispatchRetry } from './dispatch-retry.ts';
import { BatchWriter, type BatchWriterDeps, type SavedBatch } from './batch-writer.ts';
import { Removals } from './removals.ts';
import { LOW_PRIORITY_PACING, Pacer, SHARED_STORE_PACING } from './pacing.ts';
import { Waiters } from './waiters.ts';

/** Tries of a batch that the store asks to retry. */
const BATCH_TRIES_MAX = 5;
/** Tries of each part of such a batch once it is split. */
const PART_TRIES_MAX = 2;
/** How long parts are retried and split further: a row that stays locked costs a wait with each try. Milliseconds. */
const SPLIT_WITHIN_MS = 20_000;
/** The delay before the next dispatch when a batch that had to dispatch could not be committed. Milliseconds. */
const FAILED_DISPATCH_RETRY_MS = 1_000;
/**
 * A batch is decided while the one before it is being saved if it has at least this many commands, and at least this share of the number in
 * that one: for only a few commands, a commit of their own costs more than it gains.
 */
export const EARLY_COMMANDS = 32;
const EARLY_SHARE = 1;
/** How long a stop waits for accepted commands: less than the time that a part of a program may take to stop. Milliseconds. */
export const END_WITHIN_MS = 3_000;

const NOT_COMMITTED = 'a batch could not be committed';

export interface TaskQueueDeps extends BatchWriterDeps {
  /** Notified of each commit. MUST NOT throw. */
  readonly committed: (commit: Commit) => void;
  /** Called once, with the cause, when something threw after a commit. All waiting commands are refused; the hub must stop. */
  readonly broken: (cause: unknown) => void;
  /** How many commands a batch needs to be decided while the one before it is being saved. Default: `EARLY_COMMANDS`. */
  readonly earlyCommands?: number | undefined;
}

interface Entry extends InboxEntry {
  readonly prefetched: Prefetched;
  /** Accepted before the hub began to stop: `flush` waits for it. */
  readonly isFlushed: boolean;
  readonly isLowPriority: boolean;
  readonly settle: (outcome: Settled<Command>) => void;
}

export class TaskQueue implements CommandInbox {
  readonly #deps: TaskQueueDeps;
  readonly #inbox: PriorityInbox<Entry>;
  readonly #lowPriorityPacer: Pacer;
  /** Its last piece of work took no time if this hub had the store to itself. */
  readonly #sharedStorePacer: Pacer;
  #running: Promise<void> | null = null;
  #stopping = false;
  #flushed: Promise<void> | null = null;
  /** The stop has begun: no background work starts, and an unavailable store is not retried. */
  #isEnding = false;
  /** Accepted commands were not committed within `END_WITHIN_MS`. */
  #isOverdue = false;
  /** The answer to every command that will not be committed. */
  #refusal: AgentcomError | null = null;
  /** How many entries were accepted before the stop began and are not settled yet. */
  #unflushed = 0;
  #onFlushed: () => void = () => undefined;
  readonly #waiters: Waiters;
  /** The next batch dispatches even if none of its commands requests it: a full batch left tasks waiting. */
  #dispatchAgain = false;
  readonly #writer: BatchWriter;
  readonly #noteStoreFailure: NoteRefusal;
  /** The batch that began last, until it is settled. */
  #turn: BatchTurn | null = null;
  /** How many waiting commands must not be in a batch that begins early. */
  #waitingLate = 0;
  /** Called when a batch may begin early. */
  #wake: () => void = () => undefined;
  /** Whether the store lets a batch be decided while the one before is being saved. */
  #canOverlap = false;
  /** Whether a command arrived while the last batch was under way. */
  #hasArrived = false;
  readonly #removals: Removals;
  readonly #dispatchRetry: DispatchRetry;

  /** When the store last succeeded, by the monotonic clock: since then it may have been unavailable. */
  #lastSuccessMs: number | null = null;

  constructor(deps: TaskQueueDeps) {
    this.#deps = deps;
    const { batchCommands, batchWork } = deps.context.limits;
    this.#writer = new BatchWriter(deps);
    this.#noteStoreFailure = refusalLog({ log: deps.context.log, clock: deps.clock }, 'error');
    this.#lowPriorityPacer = new Pacer(deps.clock, LOW_PRIORITY_PACING);
    this.#sharedStorePacer = new Pacer(deps.clock, SHARED_STORE_PACING);
    this.#waiters = new Waiters(deps.clock);
    this.#dispatchRetry = new DispatchRetry(deps.clock, () => this.dispatch());
    this.#removals = new Removals(deps.clock, (command, settled) => this.post(command, settled));
    this.#inbox = new PriorityInbox({ commandsMax: batchCommands, workMax: batchWork });
  }

  do<C extends Command>(command: C): Promise<AnswerTo<C>> {
    return new Promise((resolve, reject) => {
      this.post(command, (outcome) => (outcome.ok ? resolve(outcome.answer) : reject(outcome.error as Error)));
    });
  }

  doAll<C extends Command>(commands: readonly C[]): Promise<readonly Settled<C>[]> {
    return new Promise((resolve) => {
      const outcomes: Settled<C>[] = [];
      let left = commands.length;
      if (left === 0) resolve(outcomes);
      commands.forEach((command, at) =>
        this.post(command, (outcome) => {
          outcomes[at] = outcome;
          left -= 1;
          if (left === 0) resolve(outcomes);
        }),
      );
    });
  }

  post<C extends Command>(command: C, settled: (outcome: Settled<C>) => void, isLowPriority = false): void {
    const settle = settled as (outcome: Settled<Command>) => void;
    if (command.kind !== 'adopt') return this.#enqueue(command, { lateResult: null }, settle, isLowPriority);
    this.#lateResultOf(command).then(
      (lateResult) => this.#enqueue(command, { lateResult }, settle, isLowPriority),
      (error: unknown) => settle({ ok: false, error }),
    );
  }

  hasWaiters(): boolean {
    return this.#waiters.hasAny;
  }

  /** Commands that wait for their batch. */
  get waiting(): number {
    return this.#inbox.length;
  }

  expect(): () => void {
    return this.#waiters.expect();
  }

  /**
   * The first step of a stop: resolves when all commands that wait now are committed and answered, or refused. From now on an
   * unavailable store is not retried, and what is not committed within `END_WITHIN_MS` is refused.
   */
  flush(): Promise<void> {
    const flushed = (): Promise<void> => new Promise((resolve) => (this.#onFlushed = resolve));
    return (this.#flushed ??= this.#endWith(this.#unflushed === 0 ? null : flushed()));
  }

  /** Accepts nothing new, and resolves when all waiting commands are committed and answered, or refused as by `flush`. */
  stop(): Promise<void> {
    this.#stopping = true;
    return this.#endWith(this.#running);
  }

  /** A commit that is still running after that time may hang: no later step of the stop waits for it again. */
  async #endWith(done: Promise<void> | null): Promise<void> {
    this.#isEnding = true;
    this.#removals.stop();
    this.#dispatchRetry.stop();
    this.#lowPriorityPacer.skip();
    this.#sharedStorePacer.skip();
    if (this.#isOverdue) return;
    if (done === null || (await within(this.#deps.clock, END_WITHIN_MS, done))) return;
    this.#isOverdue = true;
    this.#refuseAll(`its storage took longer than ${END_WITHIN_MS} ms`, undefined);
  }

  /** Refuses all waiting commands, and all that arrive from now on. None of them has begun, so none has changed anything. */
  #refuseAll(because: string, cause: unknown): void {
    const message = `The hub is stopping, and ${because}: nothing was changed; try again when it is back.`;
    const error = (this.#refusal ??= new AgentcomError('AC_HUB_STOPPING', message, { cause }));
    let refused = 0;
    for (let entries = this.#inbox.take(); entries.length > 0; entries = this.#inbox.take()) {
      refused += entries.length;
      for (const entry of entries) this.#settle(entry, { ok: false, error });
    }
    this.#deps.context.log.warn('refused waiting commands: the hub is stopping', { because, commands: refused });
  }

  #settle(entry: Entry, outcome: Settled<Command>): void {
    if (!entry.isLowPriority) this.#waiters.remove();
    entry.settle(outcome);
    if (!entry.isFlushed) return;
    this.#unflushed -= 1;
    if (this.#unflushed === 0) this.#onFlushed();
  }

  /** JSON text; null when that generation has no late result. */
  async #lateResultOf({ taskId, generation }: AdoptCommand): Promise<string | null> {
    const { store } = this.#deps;
    const [task] = await store.peek([taskId]);
    const late = task?.kept.results.find((one) => one.kind === 'late' && one.generation === generation);
    if (late === undefined) return null;
    return (await store.keptResult({ taskId, generation, agentId: late.agentId }))?.result ?? null;
  }

  #enqueue(command: Command, prefetched: Prefetched, settle: Entry['settle'], isLowPriority: boolean): void {
    const { limits } = this.#deps.context;
    if (this.#stopping) {
      return settle({
        ok: false,
        error: new AgentcomError('AC_HUB_STOPPING', 'The hub is stopping and accepts nothing new; try again in a few seconds.'),
      });
    }
    if (this.#refusal !== null) return settle({ ok: false, error: this.#refusal });
    const bytes = sizeOf(command);
    if (isFullFor(this.#inbox, { command, bytes, isLowPriority }, limits)) {
      const message = `The hub has ${this.#inbox.length} commands (${this.#inbox.bytes} bytes) waiting; the limit is ${limits.inboxCommands} (${limits.inboxBytes}); try again in a few seconds.`;
      return settle({ ok: false, error: new AgentcomError('AC_HUB_BUSY', message) });
    }
    const isFlushed = !this.#isEnding;
    if (isFlushed) this.#unflushed += 1;
    if (!isLowPriority) {
      this.#waiters.add();
      this.#lowPriorityPacer.skip();
    }
    this.#inbox.push({ command, bytes, work: workOf(command), prefetched, isFlushed, isLowPriority, settle }, isLowPriority);
    if (!mayRunEarly(command)) this.#waitingLate += 1;
    if (this.#turn !== null) this.#hasArrived = true;
    if (this.#running === null) this.#begin();
    else if (this.#mayBeginEarly) this.#wake();
  }

  #begin(): void {
    this.#running ??= this.#run().catch((cause: unknown) => this.#break(cause));
  }

  /** The failed work is half done: no further command is accepted, and all waiting ones are refused rather than left waiting. */
  #break(cause: unknown): void {
    this.#deps.context.log.error('the queue is broken: the hub must stop', { error: cause });
    this.#stopping = true;
    this.#refuseAll('an internal invariant was violated', cause);
    this.#deps.broken(cause);
  }

  async #run(): Promise<void> {
    // Waits one microtask, so that commands that arrive together are committed together.
    await Promise.resolve();
    for (;;) {
      while (this.#turn !== null && !this.#mayBeginEarly) await this.#settledOrEnough(this.#turn);
      if (this.#inbox.length === 0 && (!this.#dispatchAgain || this.#isEnding)) break;
      if (this.#inbox.hasOnlyLowPriority && !this.#isEnding) await this.#lowPriorityPacer.wait();
      else if (this.#waitsForMore) await this.#sharedStorePacer.wait();
      const isInLockStep = this.#canOverlap && this.#turn === null && !this.#hasArrived && !this.#dispatchAgain;
      const entries = this.#inbox.take((batch) => isInLockStep && this.#isWorthHalving(batch));
      this.#hasArrived = false;
      for (const { command } of entries) if (!mayRunEarly(command)) this.#waitingLate -= 1;
      const mustDispatch = this.#dispatchAgain;
      this.#dispatchAgain = false;
      this.#turn = this.#start(entries, mustDispatch, this.#turn);
    }
    this.#running = null;
  }

  #start(entries: readonly Entry[], mustDispatch: boolean, before: BatchTurn | null): BatchTurn {
    const { clock } = this.#deps;
    const startedMs = clock.monotonicMs();
    const turn = new BatchTurn(entries.length, before, () => {
      this.#canOverlap = true;
      if (this.#mayBeginEarly) this.#wake();
    });
    turn.settled = this.#settleAll(entries, { mustDispatch, turn }).then(() => {
      this.#lowPriorityPacer.lastMs = clock.monotonicMs() - startedMs;
      turn.end();
      if (this.#turn === turn) this.#turn = null;
    });
    return turn;
  }

  /**
   * For when the hub and its agents wait for each other: with half of the reports in a batch of its own, agents continue with that half
   * while the hub saves the other. Submits of one request are answered together, so halving them would only delay the answer.
   */
  #isWorthHalving(batch: readonly Entry[]): boolean {
    return batch.length >= 2 * this.#earlyCommands && batch.every(({ command }) => command.kind === 'report');
  }

  get #earlyCommands(): number {
    return this.#deps.earlyCommands ?? EARLY_COMMANDS;
  }

  /** Whether the next batch may be decided while the last one is being saved, and has enough commands to be worth a commit. */
  get #mayBeginEarly(): boolean {
    const turn = this.#turn;
    if (turn?.isSaving !== true || this.#waitingLate > 0 || this.#dispatchAgain || this.#isEnding) return false;
    return this.#inbox.length >= Math.max(this.#earlyCommands, turn.commands * EARLY_SHARE);
  }

  /** Whether the next batch waits for further commands. */
  get #waitsForMore(): boolean {
    return this.#hasArrived && this.#turn === null && !this.#isEnding && this.#sharedStorePacer.lastMs > 0;
  }

  async #settledOrEnough({ settled }: BatchTurn): Promise<void> {
    const enough = new Promise<void>((resolve) => (this.#wake = resolve));
    await Promise.race([settled, enough]);
  }

  /**
   * Commits the entries together. A batch that fails because of a command, or that repeatedly conflicts with another transaction,
   * is split until the culprit is alone. `splitUntilMs`: until when a conflicting batch is split further, by the monotonic clock.
   */
  async #settleAll(
    entries: readonly Entry[],
    { mustDispatch, turn }: { readonly mustDispatch: boolean; readonly turn: BatchTurn | null },
    splitUntilMs: number | null = null,
  ): Promise<void> {
    const { clock } = this.#deps;
    const error = this.#refusal;
    if (error !== null) return entries.forEach((entry) => this.#settle(entry, { ok: false, error }));
    const isLate = splitUntilMs !== null && clock.monotonicMs() >= splitUntilMs;
    const tries = splitUntilMs === null ? BATCH_TRIES_MAX : isLate ? 1 : PART_TRIES_MAX;
    let done: SavedBatch;
    const startedMs = clock.monotonicMs();
    this.#lastSuccessMs ??= startedMs;
    try {
      const isRefused = (): boolean => this.#refusal !== null;
      done = await this.#writer.commit(entries, { mustDispatch, triesMax: tries, isWhole: splitUntilMs === null, turn, isRefused });
    } catch (error) {
      const isStore = isStoreFailure(error);
      if (isStore) this.#deps.storageFailed(clock.monotonicMs() - this.#lastSuccessMs, false);
      const isConflict = AgentcomError.is(error, 'AC_STORE_RETRY');
      if (this.#isEnding && isStore && !isConflict) this.#refuseAll('its storage is away', error);
      if (entries.length > 1 && (!isStore || (isConflict && !isLate))) {
        const middle = Math.ceil(entries.length / 2);
        const untilMs = isConflict ? (splitUntilMs ?? clock.monotonicMs() + SPLIT_WITHIN_MS) : splitUntilMs;
        const part = { mustDispatch, turn: null };
        await this.#settleAll(entries.slice(0, middle), part, untilMs);
        return this.#settleAll(entries.slice(middle), part, untilMs);
      }
      const fields = { commands: entries.length, error };
      // A storage that is away fails each batch alike, for hours; any other error may be a bug of its own.
      if (isStore && AgentcomError.is(error)) this.#noteStoreFailure(error.code, NOT_COMMITTED, fields);
      else this.#deps.context.log.error(NOT_COMMITTED, fields);
      for (const entry of entries) this.#settle(entry, { ok: false, error });
      // The event that requested it, such as a window that opened, does not recur.
      if (mustDispatch) this.#dispatchRetry.in(FAILED_DISPATCH_RETRY_MS);
      return;
    }
    this.#lastSuccessMs = clock.monotonicMs();
    const tookMs = this.#lastSuccessMs - startedMs;
    if (!done.isExclusive) this.#canOverlap = false;
    this.#sharedStorePacer.lastMs = done.isExclusive ? 0 : tookMs;
    await turn?.before?.settled;
    // If the next batch waits only for this one, it is handed to the store before this one is answered.
    if (this.#turn !== turn) await this.#turn?.handedOver();
    const notices = this.#deps.roster.apply(done.batch);
    done.answers.forEach((answer, index) => {
      const entry = entries[index];
      if (entry !== undefined) this.#settle(entry, { ok: true, answer: answer() });
    });
    // An agent gets `resume` before any task, and `drain` after the tasks that were assigned before it.
    const first = notices.filter(({ kind }) => kind === 'resume');
    this.#deps.deliver(
      first.length === 0
        ? [...done.batch.outgoing, ...notices]
        : [...first, ...done.batch.outgoing, ...notices.filter((one) => !first.includes(one))],
    );
    // Frames are written in a microtask, and nobody waits for metrics and logs.
    await Promise.resolve();
    const { batch, events, dueAtMs } = done;
    const hint = hintFor(batch, events, this.#deps.roster);
    this.#deps.committed({ events, dueAtMs, hint, ends: batch.ends, commands: entries.length, tookMs });
    this.#dispatchAgain ||= batch.hasMore;
    if (batch.removalWanted) this.#removals.begin();
    this.#dispatchRetry.committed(batch);
  }

  /** Matches waiting tasks to agents again, with the next batch. */
  dispatch(): void {
    if (this.#isEnding) return;
    this.#dispatchAgain = true;
    this.#begin();
  }
}
