/** A sidecar whose agent is a function of the same process. */
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { systemDigest } from '../../adapters/ids-system/system-digest.ts';
import { systemIds } from '../../adapters/ids-system/system-ids.ts';
import { wsLink } from '../../adapters/link-ws/ws-link.ts';
import { createSidecar, type Sidecar } from '../../core/application/sidecar/sidecar.ts';
import type { SidecarJournal } from '../../core/application/sidecar/state/ports.ts';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Journal } from '../../core/ports/journal.ts';
import type { Log } from '../../core/ports/log.ts';
import { within } from '../../core/ports/timing/within.ts';
import type { DeviceKey } from '../../core/ports/trust/device-key.ts';
import { signaturesFor } from '../signing/signatures-for.ts';
import { hubTrust } from '../tls/hub-trust.ts';
import { fenceOf, functionRunner } from './function-runner.ts';
import { noFiles } from './no-files.ts';
import { runStopController } from './run-signal.ts';
import { volatileJournal } from './volatile-journal.ts';
import { checkedOptions, logOf, type WorkerEvent, type WorkerOptions } from './worker-options.ts';

/** A worker that runs in this process. */
export interface RunningWorker {
  /**
   * Resolves when a hub has first identified the worker, or when the worker has stopped before that. Never times out; the log says why a hub
   * refuses. Rejects if the worker cannot start, for example with `AC_JOURNAL_LOCKED`.
   */
  readonly ready: Promise<void>;
  /** Resolves after `stop`; rejects if the worker cannot start or cannot continue. */
  readonly finished: Promise<void>;
  /**
   * Accepts no more tasks, waits up to `drainMs` for the handlers and the hub's answers to their reports, aborts the handlers that still run,
   * hands their tasks back, and disconnects. Resolves within `drainMs` plus 10 s, whatever handlers and hub do. May be called more than once.
   */
  stop(): Promise<void>;
}

/**
 * Starts to work on tasks. A worker keeps its process alive until `stop` is called. Throws `AC_CONFIG_INVALID` for options that are wrong.
 *
 * It calls `handle` once per assignment, with at most `slots` calls at the same time. The rules are those of a sidecar: see docs/worker.md.
 */
export function worker(options: WorkerOptions): RunningWorker {
  const { config, handle, journalDir, drainMs } = checkedOptions(options);
  const log = logOf(options.log).with({ agent_id: config.agentId });
  const clock = systemClock();
  const ids = systemIds({ clock });
  let isConnected = false;
  const emit = (event: WorkerEvent): void => {
    const failed = (thrown: unknown): void => log.error('onEvent threw', { event: event.type, error: messageOf(thrown) });
    try {
      const answer: unknown = options.onEvent?.(event);
      // Of an async function.
      if (typeof answer === 'object') Promise.resolve(answer).catch(failed);
    } catch (thrown) {
      failed(thrown);
    }
  };
  const onLink = (isIdentified: boolean): void => {
    if (isConnected === isIdentified) return;
    isConnected = isIdentified;
    emit({ type: isIdentified ? 'connected' : 'disconnected' });
  };
  const runner = functionRunner({
    handle,
    clock,
    onOverdue(fence, waitedMs) {
      const fields = { task_id: fence.taskId, generation: fence.generation, waited_ms: waitedMs };
      log.warn('a handler ignores its signal; its slot stays taken until it settles', fields);
      emit({ type: 'stop_overdue', fence, waitedMs });
    },
  });

  async function start(): Promise<Sidecar> {
    const kept = journalDir === undefined ? volatileJournal(config.agentId) : await journalIn(journalDir, config.agentId, clock, log);
    const journal = options.onEvent === undefined ? kept : notifying(kept, emit);
    const sidecar = createSidecar({
      config: { ...config, inProcess: true, isVolatile: journalDir === undefined },
      link: wsLink({ log, trust: await hubTrust(config.tls) }),
      journal,
      deviceKey: config.deviceKey && journalDir !== undefined ? await keyIn(journalDir) : undefined,
      signatures: (await signaturesFor(config.accept, journalDir ?? null)) ?? undefined,
      results: noFiles,
      runner,
      clock,
      ids,
      digest: systemDigest(),
      log,
      stopController: runStopController,
      afterTurn: (work) => void setImmediate(work),
      onLink,
    });
    await sidecar.start();
    return sidecar;
  }

  const starting = start();
  let stopping: Promise<void> | null = null;

  async function stop(): Promise<void> {
    const [started] = await Promise.allSettled([starting]);
    if (started.status === 'rejected') return;
    const sidecar = started.value;
    await within(clock, drainMs, sidecar.drain());
    await sidecar.stop();
    onLink(false);
  }

  starting.catch((thrown: unknown) => log.error('the worker cannot start', { error: messageOf(thrown) }));
  return {
    ready: handled(starting.then(({ ready, finished }) => Promise.race([ready, finished]))),
    finished: handled(starting.then((sidecar) => sidecar.finished)),
    stop: () => (stopping ??= stop()),
  };
}

/** Tells what becomes of reports: the body of one is removed once the hub has acknowledged it, and put aside once the hub has refused it. */
const notifying = (journal: SidecarJournal, emit: (event: WorkerEvent) => void): SidecarJournal => ({
  ...journal,
  removeReport(assignment) {
    emit({ type: 'acknowledged', fence: fenceOf(assignment) });
    return journal.removeReport(assignment);
  },
  async refuseReport(assignment, reason) {
    const text = await journal.readReport(assignment);
    if (text !== null) emit({ type: 'refused', fence: fenceOf(assignment), reason, ...resultIn(text) });
    await journal.refuseReport(assignment, reason);
  },
});

/** What the handler returned, of the body of a report; nothing if it failed. */
function resultIn(text: string): { readonly result?: unknown } {
  try {
    const { result } = JSON.parse(text) as { readonly result?: { readonly output?: unknown } };
    return result === undefined ? {} : { result: result.output };
  } catch {
    return {}; // The file is damaged; the sidecar has logged it.
  }
}

/** Loaded only if it is used. */
async function journalIn(dataDir: string, agentId: string, clock: Clock, log: Log): Promise<Journal> {
  const [{ fileJournal }, { makeDataDir }] = await Promise.all([
    import('../../adapters/journal-file/file-journal.ts'),
    import('../data-dir.ts'),
  ]);
  await makeDataDir(dataDir, 'set journalDir');
  return fileJournal({ dataDir, agentId, clock, log });
}

/** Loaded only if it is used. */
async function keyIn(journalDir: string): Promise<DeviceKey> {
  const { deviceKeyIn } = await import('../signing/device-key-file.ts');
  return deviceKeyIn(journalDir);
}

/** Marks a rejection as handled: it is in the log, and code that awaits the promise sees it, too. */
function handled(work: Promise<void>): Promise<void> {
  void Promise.allSettled([work]);
  return work;
}
