/**
 * The hub's data path: commands in, one commit, acknowledgements out.
 *
 * Whatever wants to change a task is put into the inbox. One loop takes all that waits (bounded) and runs one
 * transaction: load what the commands name, carry them out in order, match waiting tasks to free slots, save. After
 * the commit, and only then, answers are given and frames leave, in commit order. While one commit is on its way to
 * disk the next batch gathers; a lone command goes at once.
 */
import { AgentcomError } from '../../../errors/agentcom-error.ts';
import type { StoredEvent } from '../../../domain/task/event.ts';
import { isLive } from '../../../domain/task/task.ts';
import type { Clock, Timer } from '../../../ports/clock.ts';
import type { Ids } from '../../../ports/chance.ts';
import type { StoreUnit, TaskStore } from '../../../ports/task-store.ts';
import { Awaited } from './waiters.ts';
import { Batch } from '../batch/batch.ts';
import type { AdoptCommand, AnswerTo, Command, CommandInbox, Outgoing, Settled } from '../batch/commands.ts';
import { earliestDue, hintFor, type Commit } from '../batch/commit.ts';
import type { HubContext } from '../batch/hub-context.ts';
import { dispatch } from './dispatcher.ts';
import { removalFromTheOldest, removeOld } from './remove-old.ts';
import { carryOutAll, loadFor, type Prepared } from '../handlers/command-router.ts';
import { isOurOwn, shareOf, sizeOf, workOf } from '../batch/command-size.ts';
import { RankedInbox, type Waiting } from './inbox.ts';
import { Removals } from './removals.ts';
import { Rest, type RestBounds } from './pacing.ts';
import type { Roster } from '../batch/roster.ts';
import { isOfTheStore, sweepWaitedMs } from './stall-errors.ts';
import { unblock } from '../handlers/unblock.ts';

/** How often a batch is tried that the store asks to repeat. */
const BATCH_TRIES_MAX = 5;
/** How often each part of such a batch is tried, once it is split. */
const PART_TRIES_MAX = 2;
/** How long parts are repeated and split further: one row that never gets free costs a wait with each try. Milliseconds. */
const SPLIT_WITHIN_MS = 20_000;
/** Until an agent is looked at again that another hub had when it might have been given work. Milliseconds. */
const AGENT_TAKEN_MS = 50;
/** A store that lets a transaction wait or last so long was away, though it did not say so; or the hub stood still. Milliseconds. */
const STALL_MS = 5_000;
/** Between batches of nothing but what is behind. */
export const BEHIND_REST: RestBounds = { parts: 3, mostMs: 50 };
/** How long a stop waits for what was taken: less than a part of a program may take to stop. Milliseconds. */
export const END_WITHIN_MS = 3_000;

export interface TaskQueueDeps {
  readonly store: TaskStore;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly roster: Roster;
  readonly context: HubContext;
  /** Takes what leaves the hub, in commit order. */
  readonly deliver: (outgoing: readonly Outgoing[]) => void;
  /** Notified of each commit. */
  readonly committed: (commit: Commit) => void;
  /**
   * Notified when the store could not commit a batch, or one waited or lasted too long: before any later command is judged. `lastedMs`: how
   * long so far; `isOver`: the store goes on.
   */
  readonly storageFailed: (lastedMs: number, isOver: boolean) => void;
  /** Called with the store's time before the commands of a batch are judged by it. */
  readonly judging: (nowMs: number) => void;
  /** Called once, with the cause, when the queue cannot go on: something after a commit threw. What waits is refused, and the hub must end. */
  readonly broken: (cause: unknown) => void;
}

interface Entry extends Waiting {
  readonly prepared: Prepared;
  /** It was taken before the hub began to stop: `flush` waits for it. */
  readonly isOwed: boolean;
  readonly behind: boolean;
  readonly settle: (outcome: Settled<Command>) => void;
}

interface Done {
  readonly batch: Batch;
  readonly answers: readonly (() => AnswerTo<Command>)[];
  readonly events: readonly StoredEvent[];
  readonly dueAtMs: number | null;
}

export class TaskQueue implements CommandInbox {
  readonly #deps: TaskQueueDeps;
  readonly #inbox: RankedInbox<Entry>;
  readonly #rest: Rest;
  #running: Promise<void> | null = null;
  #stopping = false;
  #flushed: Promise<void> | null = null;
  /** It begins to stop: nothing is begun any more that nobody waits for, and a store that is away is not asked again. */
  #isEnding = false;
  /** What it took was not committed in time. */
  #isLate = false;
  /** What is answered to all that is not committed any more. */
  #refusal: AgentcomError | null = null;
  /** Taken before it began to stop, and not settled yet. */
  #owed = 0;
  readonly #awaited: Awaited;
  #onNothingOwed: () => void = () => undefined;
  /** The next batch looks for free agents even if nothing in it asks for it, for what a full one left waiting. */
  #dispatchAgain = false;
  readonly #removal = removalFromTheOldest();
  readonly #removals: Removals;
  #lookAgain: Timer | null = null;

  /** When the store last did what it was asked, by the monotonic clock: since then it may have been away. */
  #lastDoneMs: number | null = null;

  constructor(deps: TaskQueueDeps) {
    this.#deps = deps;
    const { batchCommands, batchWork } = deps.context.limits;
    this.#rest = new Rest(deps.clock, BEHIND_REST);
    this.#awaited = new Awaited(deps.clock);
    this.#removals = new Removals(deps.clock, (command, settled) => this.post(command, settled));
    this.#inbox = new RankedInbox({ commandsMax: batchCommands, workMax: batchWork });
  }

  do<C extends Command>(command: C): Promise<AnswerTo<C>> {
    return new Promise((resolve, reject) => {
      this.post(command, (outcome) => (outcome.ok ? resolve(outcome.answer) : reject(outcome.error as Error)));
    });
  }

  post<C extends Command>(command: C, settled: (outcome: Settled<C>) => void, behind = false): void {
    const settle = settled as (outcome: Settled<Command>) => void;
    if (command.kind !== 'adopt') return this.#enqueue(command, { lateResult: null }, settle, behind);
    this.#lateResultOf(command).then(
      (lateResult) => this.#enqueue(command, { lateResult }, settle, behind),
      (error: unknown) => settle({ ok: false, error }),
    );
  }

  isAwaited(): boolean {
    return this.#awaited.isAny;
  }

  expect(): () => void {
    return this.#awaited.expect();
  }

  /**
   * The first step of a stop: answers when all that waits now is committed and told, or refused. From now on a store that turns out to be
   * away is not asked again, and what is not under way after `END_WITHIN_MS` is refused.
   */
  flush(): Promise<void> {
    const paid = (): Promise<void> => new Promise((resolve) => (this.#onNothingOwed = resolve));
    return (this.#flushed ??= this.#endWith(this.#owed === 0 ? null : paid()));
  }

  /** Takes nothing new, and answers when all that waited is committed and told, or refused as `flush` does. */
  stop(): Promise<void> {
    this.#stopping = true;
    this.#lookAgain?.cancel();
    return this.#endWith(this.#running);
  }

  /** What is under way once the time is over may hang: no later step of the stop waits for it again. */
  async #endWith(done: Promise<void> | null): Promise<void> {
    this.#isEnding = true;
    this.#removals.stop();
    this.#rest.end();
    if (this.#isLate) return;
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      timer = this.#deps.clock.after(END_WITHIN_MS, () => {
        this.#isLate = true;
        this.#refuseAll(`its storage took longer than ${END_WITHIN_MS} ms`, undefined);
        resolve();
      });
    });
    await Promise.race([done, late]);
    timer?.cancel();
  }

  /** Refuses what waits, and whatever comes from now on. Nothing of it was begun, so nothing of it was changed. */
  #refuseAll(because: string, cause: unknown): void {
    const message = `The hub is stopping, and ${because}: nothing was changed; try again when it is back.`;
    const error = (this.#refusal ??= new AgentcomError('AC_HUB_STOPPING', message, { cause }));
    let refused = 0;
    for (let entries = this.#inbox.take(); entries.length > 0; entries = this.#inbox.take()) {
      refused += entries.length;
      for (const entry of entries) this.#settle(entry, { ok: false, error });
    }
    this.#deps.context.log.warn('what waited is refused: the hub is stopping', { because, commands: refused });
  }

  #settle(entry: Entry, outcome: Settled<Command>): void {
    if (!entry.behind) this.#awaited.end();
    entry.settle(outcome);
    if (!entry.isOwed) return;
    this.#owed -= 1;
    if (this.#owed === 0) this.#onNothingOwed();
  }

  /** JSON text; null when that generation has no late result. */
  async #lateResultOf({ taskId, generation }: AdoptCommand): Promise<string | null> {
    const { store } = this.#deps;
    const [task] = await store.peek([taskId]);
    const late = task?.kept.results.find((one) => one.kind === 'late' && one.generation === generation);
    if (late === undefined) return null;
    return (await store.keptResult({ taskId, generation, agentId: late.agentId }))?.result ?? null;
  }

  #enqueue(command: Command, prepared: Prepared, settle: Entry['settle'], behind: boolean): void {
    const { limits } = this.#deps.context;
    if (this.#stopping) {
      return settle({
        ok: false,
        error: new AgentcomError('AC_HUB_STOPPING', 'The hub is stopping and takes nothing new; try again in some seconds.'),
      });
    }
    if (this.#refusal !== null) return settle({ ok: false, error: this.#refusal });
    const bytes = sizeOf(command);
    const share = shareOf(command);
    const isFull = this.#inbox.length >= limits.inboxCommands * share || this.#inbox.bytes + bytes > limits.inboxBytes * share;
    if (isFull && !isOurOwn(command)) {
      const message = `The hub has ${this.#inbox.length} commands (${this.#inbox.bytes} bytes) waiting, its bound is ${limits.inboxCommands} (${limits.inboxBytes}); try again in some seconds.`;
      return settle({ ok: false, error: new AgentcomError('AC_HUB_BUSY', message) });
    }
    const isOwed = !this.#isEnding;
    if (isOwed) this.#owed += 1;
    if (!behind) {
      this.#awaited.begin();
      this.#rest.end();
    }
    this.#inbox.push({ command, bytes, work: workOf(command), prepared, isOwed, behind, settle }, behind);
    this.#begin();
  }

  #begin(): void {
    this.#running ??= this.#run().catch((cause: unknown) => this.#break(cause));
  }

  /** Whatever threw has left its work half done: nothing more is taken, and nobody waits for an answer that never comes. */
  #break(cause: unknown): void {
    this.#deps.context.log.error('the queue is broken: the hub must end', { error: cause });
    this.#stopping = true;
    this.#refuseAll('a rule of its own was broken', cause);
    this.#deps.broken(cause);
  }

  async #run(): Promise<void> {
    // One turn of the event loop's microtasks: what arrived together is committed together.
    await Promise.resolve();
    while (this.#inbox.length > 0 || (this.#dispatchAgain && !this.#isEnding)) {
      if (this.#inbox.hasOnlyBehind && !this.#isEnding) await this.#rest.wait();
      const beganMs = this.#deps.clock.monotonicMs();
      const entries = this.#inbox.take();
      const mustDispatch = this.#dispatchAgain;
      this.#dispatchAgain = false;
      await this.#settleAll(entries, mustDispatch);
      this.#rest.lastMs = this.#deps.clock.monotonicMs() - beganMs;
    }
    this.#running = null;
  }

  /**
   * Commits the entries together; a batch that fails for a reason of its own, or that another transaction is in the way of again
   * and again, is split until the culprit stands alone. `splitUntilMs`: of a part of the latter; by the monotonic clock.
   */
  async #settleAll(entries: readonly Entry[], mustDispatch: boolean, splitUntilMs: number | null = null): Promise<void> {
    const { clock } = this.#deps;
    const error = this.#refusal;
    if (error !== null) return entries.forEach((entry) => this.#settle(entry, { ok: false, error }));
    const isLate = splitUntilMs !== null && clock.monotonicMs() >= splitUntilMs;
    const tries = splitUntilMs === null ? BATCH_TRIES_MAX : isLate ? 1 : PART_TRIES_MAX;
    let done: Done;
    this.#lastDoneMs ??= clock.monotonicMs();
    try {
      done = await this.#commit(entries, mustDispatch, tries);
    } catch (error) {
      const ofStore = isOfTheStore(error);
      if (ofStore) this.#deps.storageFailed(clock.monotonicMs() - this.#lastDoneMs, false);
      const isInTheWay = AgentcomError.is(error, 'AC_STORE_RETRY');
      if (this.#isEnding && ofStore && !isInTheWay) this.#refuseAll('its storage is away', error);
      if (entries.length > 1 && (!ofStore || (isInTheWay && !isLate))) {
        const middle = Math.ceil(entries.length / 2);
        const untilMs = isInTheWay ? (splitUntilMs ?? clock.monotonicMs() + SPLIT_WITHIN_MS) : splitUntilMs;
        await this.#settleAll(entries.slice(0, middle), mustDispatch, untilMs);
        return this.#settleAll(entries.slice(middle), mustDispatch, untilMs);
      }
      this.#deps.context.log.error('a batch could not be committed', { commands: entries.length, error });
      for (const entry of entries) this.#settle(entry, { ok: false, error });
      return;
    }
    this.#lastDoneMs = clock.monotonicMs();
    const told = this.#deps.roster.learn(done.batch);
    for (const [index, entry] of entries.entries()) {
      const answer = done.answers[index];
      if (answer !== undefined) this.#settle(entry, { ok: true, answer: answer() });
    }
    // An agent hears that its drain is over before it gets a task; and of a drain after what was given to it before.
    const first = told.filter(({ kind }) => kind === 'resume');
    this.#deps.deliver(
      first.length === 0
        ? [...done.batch.outgoing, ...told]
        : [...first, ...done.batch.outgoing, ...told.filter((one) => !first.includes(one))],
    );
    this.#deps.committed({ events: done.events, dueAtMs: done.dueAtMs, hint: hintFor(done.batch, done.events, this.#deps.roster) });
    this.#dispatchAgain ||= done.batch.moreWaits;
    if (done.batch.removalWanted) this.#removals.begin();
    if (done.batch.agentsTaken) this.#lookAgain ??= clock.after(AGENT_TAKEN_MS, () => this.#dispatchNow());
  }

  #dispatchNow(): void {
    this.#lookAgain = null;
    if (this.#isEnding) return;
    this.#dispatchAgain = true;
    this.#begin();
  }

  async #commit(entries: readonly Entry[], mustDispatch: boolean, triesMax: number): Promise<Done> {
    const { store, ids, clock } = this.#deps;
    const askedMs = clock.monotonicMs();
    const work = async (unit: StoreUnit): Promise<Done> => {
      this.#deps.judging(unit.nowMs);
      const waitedMs = Math.max(clock.monotonicMs() - askedMs, ...entries.map(({ command }) => sweepWaitedMs(command, unit.nowMs, clock)));
      if (waitedMs > STALL_MS) this.#deps.storageFailed(waitedMs, true);
      return this.#work(unit, entries, mustDispatch);
    };
    for (let tries = 1; ; tries += 1) {
      const batchId = ids.random('batch');
      let done: Done | null = null;
      try {
        return await store.transact(batchId, async (unit) => (done = await work(unit)));
      } catch (error) {
        if (AgentcomError.is(error, 'AC_COMMIT_UNKNOWN') && done !== null && (await this.#happened(batchId, done))) return done;
        const mayRepeat = AgentcomError.is(error, 'AC_STORE_RETRY') || AgentcomError.is(error, 'AC_COMMIT_UNKNOWN');
        if (!mayRepeat || tries === triesMax || this.#refusal !== null) throw error;
      } finally {
        // Its own commands were judged before that; those of the next batch waited as long.
        const tookMs = clock.monotonicMs() - askedMs;
        if (tookMs > STALL_MS) this.#deps.storageFailed(tookMs, true);
      }
    }
  }

  /** Whether a batch was committed. As long as that is not known it is neither answered nor repeated. */
  async #happened(batchId: string, { batch }: Done): Promise<boolean> {
    try {
      return await this.#deps.store.committed(batchId);
    } catch (cause) {
      // Agents that it may have assigned something reconnect, and are sent it once the store answers.
      const ids = new Set(batch.outgoing.flatMap(({ agentId }) => agentId ?? []));
      this.#deps.deliver([...ids].map((agentId) => ({ kind: 'close', agentId })));
      const message = `Cannot find out whether batch ${batchId} was committed: the storage does not answer. Its commands are given up.`;
      throw new AgentcomError('AC_STORE_UNAVAILABLE', message, { cause });
    }
  }

  async #work(unit: StoreUnit, entries: readonly Entry[], mustDispatch: boolean): Promise<Done> {
    const { context, roster } = this.#deps;
    const batch = new Batch(unit, context.digest);
    if (entries.length === 1 && entries[0]?.command.kind === 'remove_old') {
      const more = await removeOld(unit, context, this.#removal);
      return { batch, answers: [() => ({ kind: 'removed', more })], events: [], dueAtMs: null };
    }
    const commands = entries.map((entry) => entry.command);
    const load = await loadFor(batch, commands, context, roster);
    const answers = carryOutAll(batch, entries, load, context);
    await unblock(batch);
    if (batch.dispatchWanted || mustDispatch) await dispatch(batch, roster, context);
    await this.#address(batch);
    const changes = batch.changes();
    const dueAtMs = earliestDue(changes, roster.nextPauseEndMs(batch.nowMs, changes.agents));
    const events = await unit.save(changes, true);
    return { batch, answers, events, dueAtMs };
  }

  /** Turns the assignments of the batch into what leaves the hub: each with its body, if the batch has not ended it again. */
  async #address(batch: Batch): Promise<void> {
    const lasting = batch.assigned.filter(({ task: { id, generation } }) => {
      const now = batch.task(id);
      return now !== undefined && isLive(now) && now.generation === generation;
    });
    await batch.loadBodies(lasting.map(({ task }) => task.id));
    for (const { agentId, session, task } of lasting) {
      const body = batch.body(task.id);
      if (body !== undefined) batch.outgoing.push({ kind: 'assign', agentId, session, task, body });
    }
  }
}
