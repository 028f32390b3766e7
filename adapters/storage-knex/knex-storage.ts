/** `Storage` over an engine: its stores, opened and closed together. */
import { messageOf } from '../../core/errors/agentcom-error.ts';
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

export function knexStorage(deps: { readonly engine: Engine; readonly clock: Clock; readonly log: Log }): Storage {
  const { engine, clock, log } = deps;
  /** The last one that was opened: its clock keeps running after it is closed. */
  let opened: OpenEngine | undefined;
  const handle = opening<OpenEngine>({
    name: `storage "${engine.name}"`,
    open: async () => (opened = await engine.open()),
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
    events: knexEventFeed(handle.use),
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
      return lastProbe.answer;
    },
  };
}
