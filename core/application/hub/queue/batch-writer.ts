/** One batch of commands: decided and saved in one transaction, and retried if the store requests it. */
import { AgentcomError } from '../../../errors/agentcom-error.ts';
import type { AuditDraft } from '../../../domain/audit/audit-entry.ts';
import type { StoredEvent } from '../../../domain/task/event.ts';
import { isLive } from '../../../domain/task/task.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Ids } from '../../../ports/chance.ts';
import type { StoreUnit, TaskStore } from '../../../ports/task-store.ts';
import { Batch } from '../batch/batch.ts';
import { sweepDelayMs } from '../batch/command-size.ts';
import type { AnswerTo, Command, Outgoing } from '../batch/commands.ts';
import { earliestDue } from '../batch/commit.ts';
import type { HubContext } from '../batch/hub-context.ts';
import type { Roster } from '../batch/roster.ts';
import { loadBatch, runCommands, type Prefetched } from '../handlers/command-router.ts';
import { unblock } from '../handlers/unblock.ts';
import type { BatchTurn } from './batch-turn.ts';
import { dispatch } from './dispatcher.ts';
import { FROM_THE_OLDEST, logRemoved, removeOld, type Removal } from './remove-old.ts';

/** How many batches look up their idempotency keys after one that wrongly assumed a key to be new: known keys tend to come together. */
const BATCHES_WITH_LOOKUPS = 64;
/** A transaction that waits or takes this long means that the store was unavailable without an error, or that the hub stalled. Milliseconds. */
const STALL_MS = 5_000;

export interface BatchWriterDeps {
  readonly store: TaskStore;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly roster: Roster;
  readonly context: HubContext;
  /** Sends frames, in commit order. MUST NOT throw. */
  readonly deliver: (outgoing: readonly Outgoing[]) => void;
  /**
   * Notified, before any later command runs, that the store could not commit a batch, or that a batch waited or took too long.
   * `lastedMs`: how long so far; `isOver`: the store works again.
   */
  readonly storageFailed: (lastedMs: number, isOver: boolean) => void;
  /** Called with the store's time before the commands of a batch run. */
  readonly beforeBatch: (nowMs: number) => void;
}

/** A batch that was committed. */
export interface SavedBatch {
  readonly batch: Batch;
  readonly answers: readonly (() => AnswerTo<Command>)[];
  readonly events: readonly StoredEvent[];
  readonly dueAtMs: number | null;
  /** Whether this hub had the store to itself. */
  readonly isExclusive: boolean;
  /** Set if the batch removed old rows. */
  readonly removal?: Removal;
}

interface BatchEntry {
  readonly command: Command;
  readonly prefetched: Prefetched;
}

export interface BatchOptions {
  /** Dispatches even if none of the commands requests it. */
  readonly mustDispatch: boolean;
  readonly triesMax: number;
  /** Whether this is a whole batch, not a part of one that was split. */
  readonly isWhole: boolean;
  /** Null: a part of a batch, which neither begins early nor lets the next one do so. */
  readonly turn: BatchTurn | null;
  /** Whether the hub has given up on everything that is not committed: nothing is retried. */
  readonly isRefused: () => boolean;
}

export class BatchWriter {
  readonly #deps: BatchWriterDeps;
  #removal = FROM_THE_OLDEST;
  /** How many of the next batches look up their idempotency keys before they run; 0: keys are assumed to be new, as nearly all are. */
  #lookups = 0;

  constructor(deps: BatchWriterDeps) {
    this.#deps = deps;
  }

  async commit(entries: readonly BatchEntry[], { mustDispatch, triesMax, isWhole, turn, isRefused }: BatchOptions): Promise<SavedBatch> {
    const { store, ids, clock } = this.#deps;
    const startedMs = clock.monotonicMs();
    const work = async (unit: StoreUnit): Promise<SavedBatch> => {
      this.#deps.beforeBatch(unit.nowMs);
      const waitedMs = Math.max(clock.monotonicMs() - startedMs, ...entries.map(({ command }) => sweepDelayMs(command, unit.nowMs, clock)));
      if (waitedMs > STALL_MS) this.#deps.storageFailed(waitedMs, true);
      assumesNewKeys &&= unit.isExclusive;
      return this.#work(unit, entries, { mustDispatch, assumesNewKeys, turn });
    };
    // With other hubs on the store, keys are locked before all other rows, so they are looked up too.
    let assumesNewKeys = isWhole && this.#lookups === 0;
    this.#lookups = Math.max(0, this.#lookups - 1);
    for (let tries = 1; ; tries += 1) {
      const batchId = ids.random('batch');
      let done: SavedBatch | null = null;
      try {
        return this.#committed(await store.transact(batchId, async (unit) => (done = await work(unit)), turn ?? undefined));
      } catch (error) {
        const before = turn?.before ?? null;
        turn?.failed();
        if (AgentcomError.is(error, 'AC_COMMIT_UNKNOWN') && done !== null && (await this.#wasCommitted(batchId, done)))
          return this.#committed(done);
        const mayRetry = AgentcomError.is(error, 'AC_STORE_RETRY') || AgentcomError.is(error, 'AC_COMMIT_UNKNOWN');
        // A try that began early may have failed because of the batch before: it does not count, and the batch before is settled first.
        if (before !== null) await before.settled;
        if (!mayRetry || (before === null && tries === triesMax) || isRefused()) throw error;
        if (before !== null) {
          tries -= 1;
          continue;
        }
        if (assumesNewKeys) this.#lookups = BATCHES_WITH_LOOKUPS;
        assumesNewKeys = false;
      } finally {
        // Too late for the commands of this batch, but those of the next one have waited as long.
        const tookMs = clock.monotonicMs() - startedMs;
        if (tookMs > STALL_MS) this.#deps.storageFailed(tookMs, true);
      }
    }
  }

  #committed(done: SavedBatch): SavedBatch {
    if (done.removal !== undefined) this.#removal = logRemoved(done.removal, this.#deps.context.log);
    return done;
  }

  /** Whether a batch was committed. Until that is known it is neither answered nor retried. */
  async #wasCommitted(batchId: string, { batch }: SavedBatch): Promise<boolean> {
    try {
      return await this.#deps.store.committed(batchId);
    } catch (cause) {
      // Agents to which it may have assigned tasks reconnect, and get them once the store answers. So do those whose slots it may have
      // changed: the roster does not know, and would count them wrongly.
      const ids = new Set([...batch.outgoing.flatMap(({ agentId }) => agentId ?? []), ...batch.changedAgents()]);
      this.#deps.deliver([...ids].map((agentId) => ({ kind: 'close', agentId })));
      const message = `Cannot find out whether batch ${batchId} was committed: the storage does not answer. Its commands are abandoned.`;
      throw new AgentcomError('AC_STORE_UNAVAILABLE', message, { cause });
    }
  }

  async #work(
    unit: StoreUnit,
    entries: readonly BatchEntry[],
    { mustDispatch, assumesNewKeys, turn }: Pick<BatchOptions, 'mustDispatch' | 'turn'> & { readonly assumesNewKeys: boolean },
  ): Promise<SavedBatch> {
    const { context, roster } = this.#deps;
    const batch = new Batch(unit, context.digest, assumesNewKeys);
    const { isExclusive } = unit;
    if (entries.length === 1 && entries[0]?.command.kind === 'remove_old') {
      const removal = await removeOld(unit, context, this.#removal);
      // It leaves the dispatch to the next batch.
      batch.hasMore = mustDispatch;
      return { batch, answers: [() => ({ kind: 'removed', more: removal.more })], events: [], dueAtMs: null, isExclusive, removal };
    }
    const commands = entries.map((entry) => entry.command);
    const load = await loadBatch(batch, commands, context, roster);
    const answers = runCommands(batch, entries, load, context);
    await unblock(batch);
    if (batch.dispatchWanted || mustDispatch) await dispatch(batch, roster, context, turn?.before?.changedAgents ?? []);
    await this.#sendAssignments(batch);
    const audit = entries.flatMap(({ command }, at) => auditOf(command, answers[at]));
    const changes = audit.length === 0 ? batch.changes() : { ...batch.changes(), audit };
    const dueAtMs = earliestDue(changes, roster.nextPauseEndMs(batch.nowMs, changes.agents));
    if (turn !== null) turn.changedAgents = batch.changedAgents();
    const events = await unit.save(changes, true);
    return { batch, answers, events, dueAtMs, isExclusive };
  }

  /** Turns the assignments of the batch into outgoing frames with their bodies, except those that the batch has ended again. */
  async #sendAssignments(batch: Batch): Promise<void> {
    const live = batch.assignments.filter(({ task: { id, generation } }) => {
      const now = batch.task(id);
      return now !== undefined && isLive(now) && now.generation === generation;
    });
    await batch.loadBodies(live.map(({ task }) => task.id));
    for (const { agentId, session, task } of live) {
      const body = batch.body(task.id);
      if (body !== undefined) batch.outgoing.push({ kind: 'assign', agentId, session, task, body });
    }
  }
}

/** The audit log entry of a command, unless the command was refused. */
function auditOf(command: Command, answer: (() => AnswerTo<Command>) | undefined): readonly AuditDraft[] {
  if (!('audit' in command) || command.audit === undefined) return [];
  return answer?.().kind === 'done' ? [command.audit] : [];
}
