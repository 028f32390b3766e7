/**
 * The hub's data path: commands in, one commit, acknowledgements out.
 *
 * Whatever wants to change a task is put into the inbox. One loop takes all that waits (bounded) and runs one
 * transaction: load what the commands name, carry them out in order, match waiting tasks to free slots, save. After
 * the commit, and only then, answers are given and frames leave, in commit order. While one commit is on its way to
 * disk the next batch gathers; a lone command goes at once.
 */
import { AgentcomError } from '../../errors/agentcom-error.ts';
import type { StoredEvent } from '../../domain/event.ts';
import { isLive } from '../../domain/task.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Ids } from '../../ports/chance.ts';
import type { Look } from '../../ports/hub-calls.ts';
import type { StoreUnit, TaskStore } from '../../ports/task-store.ts';
import { Batch } from './batch.ts';
import type { AnswerTo, Command, CommandInbox, Outgoing, Settled } from './commands.ts';
import type { HubContext } from './context.ts';
import { dispatch } from './dispatcher.ts';
import { removeOld } from './remove-old.ts';
import { carryOutAll, loadFor, type Prepared } from './carry-out.ts';
import { sizeOf } from './command-size.ts';
import type { Roster } from './roster.ts';
import { unblock } from './unblock.ts';

/** How often a batch is repeated that the store asks to repeat. */
const BATCH_TRIES_MAX = 5;
/** A store that lets a transaction wait or last so long was away, though it did not say so; or the hub stood still. Milliseconds. */
const STALL_MS = 5_000;

export interface TaskQueueDeps {
  readonly store: TaskStore;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly roster: Roster;
  readonly context: HubContext;
  /** Takes what leaves the hub, in commit order. MUST NOT throw. */
  readonly deliver: (outgoing: readonly Outgoing[]) => void;
  /** Told of each commit. MUST NOT throw. */
  readonly committed: (commit: Commit) => void;
  /** Told when the store could not commit a batch, or one waited or lasted too long: before any later command is judged. MUST NOT throw. */
  readonly storageFailed?: (() => void) | undefined;
}

/** What others may want to know of a commit. */
export interface Commit {
  readonly events: readonly StoredEvent[];
  /** The earliest time at which something is due, by the store's clock. */
  readonly dueAtMs: number | null;
  /** What there is in it for other hubs; null: nothing. */
  readonly look: Look | null;
}

interface Entry {
  readonly command: Command;
  readonly bytes: number;
  readonly prepared: Prepared;
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
  #inbox: Entry[] = [];
  #inboxBytes = 0;
  #running: Promise<void> | null = null;
  #stopping = false;
  /** The next batch looks for free agents even if nothing in it asks for it, for what a full one left waiting. */
  #dispatchAgain = false;

  constructor(deps: TaskQueueDeps) {
    this.#deps = deps;
  }

  do<C extends Command>(command: C): Promise<AnswerTo<C>> {
    return new Promise((resolve, reject) => {
      this.post(command, (outcome) => (outcome.ok ? resolve(outcome.answer) : reject(outcome.error as Error)));
    });
  }

  post<C extends Command>(command: C, settled: (outcome: Settled<C>) => void): void {
    const settle = settled as (outcome: Settled<Command>) => void;
    if (command.kind !== 'adopt') return this.#enqueue(command, { lateResult: null }, settle);
    this.#deps.store.read(command.taskId).then(
      (record) => {
        const event = record?.events.findLast((one) => one.event === 'late_result' && one.generation === command.generation);
        const result = event?.details?.['result'];
        this.#enqueue(command, { lateResult: typeof result === 'string' ? result : null }, settle);
      },
      (error: unknown) => settle({ ok: false, error }),
    );
  }

  /** Answers when all that waits now is committed and told. */
  async flush(): Promise<void> {
    await this.#running;
  }

  /** Takes nothing new, and answers when all that waited is committed and told. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
  }

  #enqueue(command: Command, prepared: Prepared, settle: Entry['settle']): void {
    const { limits } = this.#deps.context;
    if (this.#stopping) {
      return settle({
        ok: false,
        error: new AgentcomError('AC_HUB_STOPPING', 'The hub is stopping and takes nothing new; try again in some seconds.'),
      });
    }
    const bytes = sizeOf(command);
    const isFull = this.#inbox.length >= limits.inboxCommands || this.#inboxBytes + bytes > limits.inboxBytes;
    if (isFull && !isOurOwn(command)) {
      const message = `The hub has ${this.#inbox.length} commands (${this.#inboxBytes} bytes) waiting, its bound is ${limits.inboxCommands} (${limits.inboxBytes}); try again in some seconds.`;
      return settle({ ok: false, error: new AgentcomError('AC_HUB_BUSY', message) });
    }
    this.#inbox.push({ command, bytes, prepared, settle });
    this.#inboxBytes += bytes;
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // One turn of the event loop's microtasks: what arrived together is committed together.
    await Promise.resolve();
    while (this.#inbox.length > 0 || (this.#dispatchAgain && !this.#stopping)) {
      const entries = this.#inbox.splice(0, this.#deps.context.limits.batchCommands);
      for (const entry of entries) this.#inboxBytes -= entry.bytes;
      const mustDispatch = this.#dispatchAgain;
      this.#dispatchAgain = false;
      await this.#settleAll(entries, mustDispatch);
    }
    this.#running = null;
  }

  /** Commits the entries together; a batch that fails for a reason of its own is split until the culprit stands alone. */
  async #settleAll(entries: readonly Entry[], mustDispatch: boolean): Promise<void> {
    let done: Done;
    try {
      done = await this.#commit(entries, mustDispatch);
    } catch (error) {
      const ofStore = isOfTheStore(error);
      if (ofStore) this.#deps.storageFailed?.();
      if (entries.length > 1 && !ofStore) {
        const middle = Math.ceil(entries.length / 2);
        await this.#settleAll(entries.slice(0, middle), mustDispatch);
        return this.#settleAll(entries.slice(middle), mustDispatch);
      }
      this.#deps.context.log.error('a batch could not be committed', { commands: entries.length, error });
      for (const entry of entries) entry.settle({ ok: false, error });
      return;
    }
    const told = this.#deps.roster.learn(done.batch);
    for (const [index, entry] of entries.entries()) {
      const answer = done.answers[index];
      if (answer !== undefined) entry.settle({ ok: true, answer: answer() });
    }
    this.#deps.deliver([...done.batch.outgoing, ...told]);
    this.#deps.committed({ events: done.events, dueAtMs: done.dueAtMs, look: this.#lookFor(done) });
    this.#dispatchAgain ||= done.batch.moreWaits;
  }

  /** What other hubs may have to look at: agents that are not here, and tasks that nobody here was free for. */
  #lookFor({ batch, events }: Done): Look | null {
    const { roster } = this.#deps;
    const work = batch.leavesWork;
    const toAll = batch.mail.some(({ to }) => to === null);
    const named = [...batch.takenOver, ...batch.mail.flatMap(({ to }) => to ?? [])];
    const agents = [...new Set([...named, ...batch.changedAgents().filter((id) => roster.get(id) === undefined)])];
    if (events.length === 0 && !work && !toAll && agents.length === 0) return null;
    return { events: events.length > 0, work, agents: toAll ? null : agents };
  }

  async #commit(entries: readonly Entry[], mustDispatch: boolean): Promise<Done> {
    const { store, ids, clock } = this.#deps;
    const askedMs = clock.monotonicMs();
    const work = async (unit: StoreUnit): Promise<Done> => {
      const waitedMs = Math.max(clock.monotonicMs() - askedMs, ...entries.map(({ command }) => sweepWaitedMs(command, unit.nowMs, clock)));
      if (waitedMs > STALL_MS) this.#deps.storageFailed?.();
      return this.#work(unit, entries, mustDispatch);
    };
    for (let tries = 1; ; tries += 1) {
      const batchId = ids.random('batch');
      let done: Done | null = null;
      try {
        return await store.transact(batchId, async (unit) => (done = await work(unit)));
      } catch (error) {
        if (AgentcomError.is(error, 'AC_COMMIT_UNKNOWN') && done !== null && (await this.#happened(batchId))) return done;
        const mayRepeat = AgentcomError.is(error, 'AC_STORE_RETRY') || AgentcomError.is(error, 'AC_COMMIT_UNKNOWN');
        if (!mayRepeat || tries === BATCH_TRIES_MAX) throw error;
      } finally {
        // Its own commands were judged before that; those of the next batch waited as long.
        if (clock.monotonicMs() - askedMs > STALL_MS) this.#deps.storageFailed?.();
      }
    }
  }

  /** Whether a batch was committed. As long as that is not known it is neither answered nor repeated. */
  async #happened(batchId: string): Promise<boolean> {
    try {
      return await this.#deps.store.committed(batchId);
    } catch (cause) {
      const message = `Cannot find out whether batch ${batchId} was committed: the storage does not answer. Its commands are given up.`;
      throw new AgentcomError('AC_STORE_UNAVAILABLE', message, { cause });
    }
  }

  async #work(unit: StoreUnit, entries: readonly Entry[], mustDispatch: boolean): Promise<Done> {
    const { context, roster } = this.#deps;
    const batch = new Batch(unit);
    const commands = entries.map((entry) => entry.command);
    const load = await loadFor(batch, commands, context);
    const answers = carryOutAll(batch, entries, load, context);
    await unblock(batch);
    if (batch.dispatchWanted || mustDispatch) await dispatch(batch, roster, context);
    await this.#address(batch);
    const changes = batch.changes();
    const dueAtMs = earliestDue(changes, roster.nextPauseEndMs(batch.nowMs));
    const isLast = !load.hubs.hasDuty;
    const events = await unit.save(changes, isLast);
    if (!isLast) await removeOld(unit, batch.nowMs, context);
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

/** What the hub itself must note in any case: at most one of each session, one sweep, one look. */
const isOurOwn = ({ kind }: Command): boolean => kind === 'sweep' || kind === 'disconnect' || kind === 'hub_started' || kind === 'look';

/** How long a sweep has waited for its batch, or how far the store's clock went beside that: whichever is more. 0 for others. */
function sweepWaitedMs(command: Command, storeMs: number, clock: Clock): number {
  if (command.kind !== 'sweep' || command.asked === undefined) return 0;
  const waitedMs = clock.monotonicMs() - command.asked.atMonotonicMs;
  return Math.max(waitedMs, Math.abs(storeMs - command.asked.atMs - waitedMs));
}

/** Failures that have nothing to do with what is in the batch. */
const isOfTheStore = (error: unknown): boolean =>
  (['AC_STORE_UNAVAILABLE', 'AC_STORE_RETRY', 'AC_COMMIT_UNKNOWN', 'AC_STORE_CLOSED'] as const).some((code) =>
    AgentcomError.is(error, code),
  );

const earliestDue = (changes: ReturnType<Batch['changes']>, pauseEndMs: number | null): number | null => {
  let earliest = pauseEndMs;
  for (const { dueAtMs } of [...changes.inserted, ...changes.updated]) {
    if (dueAtMs !== null && (earliest === null || dueAtMs < earliest)) earliest = dueAtMs;
  }
  return earliest;
};
