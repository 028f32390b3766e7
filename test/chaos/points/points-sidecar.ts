/** The sidecar, assembled as usual, with steps to be killed at around its journal, files, runner and link. */
import 'reflect-metadata';
import { fileJournal } from '../../../adapters/journal-file/file-journal.ts';
import { nodeJournalFiles, type JournalFiles } from '../../../adapters/journal-file/journal-files.ts';
import { loadConfigFile } from '../../../apps/config/load.ts';
import { makeDataDir } from '../../../apps/data-dir.ts';
import { programLog } from '../../../apps/program-log.ts';
import { runProgram } from '../../../apps/run-program.ts';
import { sidecarContainer } from '../../../apps/sidecar/main.ts';
import { TOKENS } from '../../../apps/container-tokens.ts';
import type { JournalState } from '../../../core/application/sidecar/state/journal-state.ts';
import type { HubLink } from '../../../core/ports/hub-link.ts';
import type { Journal } from '../../../core/ports/journal.ts';
import type { ResultInbox } from '../../../core/ports/result-inbox.ts';
import type { StopSignal, WakeEvent, WakeRunner } from '../../../core/ports/wake-runner.ts';
import { armed, around, type Armed } from './armed.ts';

/** How long after a stop was requested its `during` step is: within the grace period. Milliseconds. */
const DURING_STOP_MS = 150;

const [configFile] = process.argv.slice(2);
const { config, file } = await loadConfigFile({ configFile });
const part = config.sidecar;
if (part?.token === undefined) throw new Error(`${file}: expected a sidecar with a token`);
const { token, dataDir, agentId } = part;
const kill = armed(process.env);
const log = programLog('sidecar').with({ agent_id: agentId });
await runProgram({
  log,
  stopEachMs: 10_000,
  start: async ({ lifecycle }) => {
    await makeDataDir(dataDir, 'set sidecar.dataDir');
    const container = sidecarContainer(part, { baseDir: config.baseDir, token, log });
    const [clock, link, results, runner] = [
      await container.getAsync(TOKENS.Clock),
      await container.getAsync(TOKENS.HubLink),
      await container.getAsync(TOKENS.ResultInbox),
      await container.getAsync(TOKENS.WakeRunner),
    ];
    if (runner === null) throw new Error(`${file}: expected a sidecar with a wake`);
    const journal = fileJournal({ dataDir, clock, log, files: steppedFiles(kill) });
    container.rebind(TOKENS.Journal).toConstantValue(steppedJournal(journal, kill));
    container.rebind(TOKENS.HubLink).toConstantValue(steppedLink(link, kill));
    container.rebind(TOKENS.ResultInbox).toConstantValue(steppedInbox(results, kill));
    container.rebind(TOKENS.WakeRunner).toConstantValue(steppedRunner(runner, kill));
    const sidecar = await container.getAsync(TOKENS.Sidecar);
    const outcome = await lifecycle.start([{ name: 'sidecar', start: () => sidecar.start(), stop: () => sidecar.stop() }]);
    if (outcome === 'stopped') return null;
    return { ready: sidecar.ready.then(() => `agentcom sidecar ready ${agentId}`), finished: sidecar.finished };
  },
});

/** The disk operations that a save consists of. */
function steppedFiles(kill: Armed): JournalFiles {
  const of = (path: string): string | null => /queue\.json|ended-/.exec(path)?.[0] ?? null;
  const step = async <T>(what: string, path: string, work: () => Promise<T>): Promise<T> =>
    of(path) === null ? work() : around(kill, `${what} the journal`, work);
  return {
    ...nodeJournalFiles,
    write: (path, bytes) => step('writing the next file of', path, () => nodeJournalFiles.write(path, bytes)),
    append: (path, at, bytes) => step('adding to what ended in', path, () => nodeJournalFiles.append(path, at, bytes)),
    link: (from, to) => step('keeping the older copy of', from, () => nodeJournalFiles.link(from, to)),
    rename: (from, to) =>
      step(to.endsWith('.1') ? 'naming the older copy of' : 'putting in place', from, () => nodeJournalFiles.rename(from, to)),
    async syncFolder(path) {
      kill.at('before syncing a folder');
      await nodeJournalFiles.syncFolder(path);
    },
  };
}

function steppedJournal(journal: Journal, kill: Armed): Journal {
  return {
    open: () => around(kill, 'opening the journal', () => journal.open()),
    async save(state) {
      const kinds = kindsOf(state as JournalState);
      for (const kind of kinds) kill.at(`before saving a slot ${kind}`);
      await journal.save(state);
      for (const kind of kinds) kill.at(`after saving a slot ${kind}`);
    },
    writeReport: (name, text) => around(kill, 'writing a report', () => journal.writeReport(name, text)),
    readReport: (name) => around(kill, 'reading a report', () => journal.readReport(name)),
    removeReport: (name) => around(kill, 'removing a report', () => journal.removeReport(name)),
    refuseReport: (name, reason) => around(kill, 'putting a refused report aside', () => journal.refuseReport(name, reason)),
    room: () => journal.room(),
    close: () => journal.close(),
  };
}

/** The slots, by how far each is. */
function kindsOf({ slots, outbox }: JournalState): readonly string[] {
  const kinds = slots.map(({ status, run, stop }) => {
    const process = status === 'waking' && run !== null ? (run.process === null ? ', before its spawn' : ', spawned') : '';
    return `${status}${process}${stop === null ? '' : ', being stopped'}`;
  });
  if (outbox.some((entry) => slots.every((slot) => slot.taskId !== entry.taskId))) kinds.push('left, its report unanswered');
  return [...new Set(kinds.length === 0 ? ['none'] : kinds)];
}

function steppedInbox(results: ResultInbox, kill: Armed): ResultInbox {
  return {
    open: (onEvent) =>
      results.open((event) => {
        if (event.kind === 'changed') return onEvent(event);
        kill.at(`before a file event ${event.kind}`);
        onEvent(event);
        kill.at(`after a file event ${event.kind}`);
      }),
    prepare: (name, task, publish) => around(kill, 'preparing the folders', () => results.prepare(name, task, publish)),
    pathsOf: (name) => results.pathsOf(name),
    watch: (name, flat) => results.watch(name, flat),
    scan: (name) => around(kill, 'looking for results', () => results.scan(name)),
    unwatch: (name) => results.unwatch(name),
    withdraw: (name) => around(kill, 'telling the agent that its task is gone', () => results.withdraw(name)),
    withdrawAllExcept: (names) => results.withdrawAllExcept(names),
    keepResult: (name, streams) => around(kill, 'keeping only the result', () => results.keepResult(name, streams)),
    keptBytes: (name) => results.keptBytes(name),
    listFolders: () => results.listFolders(),
    remove: (name) => around(kill, 'removing the folders', () => results.remove(name)),
    close: () => results.close(),
  };
}

function steppedRunner(runner: WakeRunner, kill: Armed): WakeRunner {
  const stepped = (what: 'wake' | 'adopted run', events: AsyncIterable<WakeEvent>, signal: StopSignal): AsyncIterable<WakeEvent> => {
    const onStop = (): void => {
      kill.at(`before the stop of a ${what}`);
      setTimeout(() => kill.at(`during the stop of a ${what}`), DURING_STOP_MS).unref();
    };
    return {
      [Symbol.asyncIterator]() {
        kill.at(`before the ${what}`);
        const iterator = events[Symbol.asyncIterator]();
        if (signal.aborted) onStop();
        else signal.addEventListener('abort', onStop, { once: true });
        return {
          async next() {
            const next = await iterator.next();
            if (next.done !== true) kill.at(`before hearing ${next.value.type} of a ${what}`);
            return next;
          },
          return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
        };
      },
    };
  };
  return {
    adoptable: runner.adoptable,
    wake: (request, signal) => stepped('wake', runner.wake(request, signal), signal),
    attach: (run, signal) => stepped('adopted run', runner.attach(run, signal), signal),
  };
}

function steppedLink(link: HubLink, kill: Armed): HubLink {
  return {
    connect(target, events) {
      kill.at('before connecting');
      const connection = link.connect(target, {
        onOpen() {
          events.onOpen();
          kill.at('after the link opened');
        },
        onFrame(text) {
          const type = typeOf(text);
          kill.at(`before taking ${type}`);
          events.onFrame(text);
        },
        onTaken: events.onTaken,
        onGone: (code, reason) => events.onGone(code, reason),
      });
      return {
        send(text) {
          const type = typeOf(text);
          kill.at(`before sending ${type}`);
          const isSent = connection.send(text);
          kill.at(`after sending ${type}`);
          return isSent;
        },
        bufferedBytes: () => connection.bufferedBytes(),
        destroy: () => connection.destroy(),
      };
    },
  };
}

/** The type of a frame, and for an acknowledgement what it acknowledges. */
function typeOf(text: string): string {
  const { type, status } = JSON.parse(text) as { readonly type?: string; readonly status?: string };
  return type === 'task_ack' ? `task_ack ${status ?? ''}` : (type ?? 'a frame without a type');
}
