/** `Storage` over an engine: its stores, opened and closed together. */
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import { opening } from '../../core/ports/opening.ts';
import type { Storage } from '../../core/ports/storage.ts';
import type { Engine, OpenEngine } from './engine.ts';
import { readableRows } from './rows/damaged-rows.ts';
import { knexAuditLog } from './audit/knex-audit-log.ts';
import { knexAgentStore } from './knex-agent-store.ts';
import { knexEventFeed } from './knex-event-feed.ts';
import { knexOutputStore } from './knex-output-store.ts';
import { knexTaskStore } from './knex-task-store.ts';
import { StateCache } from './cache/state-cache.ts';

/** A probe is a commit; calls that come more often than this get the result of the last one. */
const PROBE_MS = 1_000;
/** A probe needs no space, so that it succeeds on a full disk: the storage counts as unable to commit for this long after a write that failed there. */
const FULL_MS = 30_000;

export function knexStorage(deps: { readonly engine: Engine; readonly clock: Clock; readonly log: Log }): Storage {
  const { engine, clock, log } = deps;
  /** The last one that was opened: its clock keeps running after it is closed. */
  let opened: OpenEngine | undefined;
  let fullMs = -Infinity;
  /** Its writes are watched for a full disk. */
  const watched = (opened: OpenEngine): OpenEngine => ({
    ...opened,
    async write(batchId, work, early) {
      try {
        return await opened.write(batchId, work, early);
      } catch (thrown) {
        if (AgentcomError.is(thrown) && engine.isOutOfSpace(thrown)) fullMs = clock.monotonicMs();
        throw thrown;
      }
    },
  });
  const handle = opening<OpenEngine>({
    name: `storage "${engine.name}"`,
    open: async () => (opened = watched(await engine.open())),
    close: (opened) => opened.close(),
  });
  const readable = readableRows(log);
  const cache = new StateCache();
  let lastProbe: { readonly of: OpenEngine; readonly atMs: number; readonly answer: Promise<boolean> } | undefined;

  const probe = async (opened: OpenEngine): Promise<boolean> => {
    try {
      await opened.write(null, (transaction) => transaction.change('probe'));
      return true;
    } catch (thrown) {
      log.warn('storage cannot commit', { storage: engine.name, error: messageOf(thrown) });
      return false;
    }
  };

  return {
    name: engine.name,
    tasks: knexTaskStore(engine.capabilities, handle.use, { clock: () => opened?.clock ?? null, machine: clock, readable, cache }),
    agents: knexAgentStore(handle.use, readable, cache),
    events: knexEventFeed(handle.use, readable),
    output: knexOutputStore(handle.use),
    audit: knexAuditLog(handle.use),
    notifier: engine.notifier,
    ...(engine.deadlocks === undefined ? {} : { deadlocks: engine.deadlocks }),
    open: async () => ({ storeId: (await handle.open()).storeId }),
    close: handle.close,
    async healthy() {
      const opened = handle.current();
      if (opened === undefined) return false;
      const nowMs = clock.monotonicMs();
      if (lastProbe === undefined || lastProbe.of !== opened || nowMs - lastProbe.atMs >= PROBE_MS)
        lastProbe = { of: opened, atMs: nowMs, answer: probe(opened) };
      return (await lastProbe.answer) && clock.monotonicMs() - fullMs >= FULL_MS;
    },
  };
}
