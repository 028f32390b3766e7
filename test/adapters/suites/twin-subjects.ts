/** The in-memory twins as subjects of the contracts: for their own tests, and for those of the suites under other test runners. */
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { memoryDatabase } from '../../../adapters/storage-memory/memory-database.ts';
import { memoryStorage } from '../../../adapters/storage-memory/memory-storage.ts';
import { assignmentText } from '../../../core/ports/assignment-name.ts';
import type { WakeRequest } from '../../../core/ports/wake-runner.ts';
import type { InboxSubject } from '../../product/contracts/files/inbox-place.ts';
import type { JournalSubject } from '../../product/contracts/files/journal.contract.ts';
import { aGeneration, anAgentId, aTaskId } from '../../product/contracts/fixtures.ts';
import type { FreshLog } from '../../product/contracts/log.contract.ts';
import type { Behavior, FilesSubject, ProcessWorld } from '../../product/contracts/runner/wake-runner-subject.ts';
import type { StorageSubject } from '../../product/contracts/storage/storage-room.ts';
import type { HubTransportSubject } from '../../product/contracts/wire/hub-transport.contract.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryJournal, type MemoryJournal } from '../../product/twins/journal-memory/memory-journal.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { memoryResultInbox, type MemoryResultInbox } from '../../product/twins/results-memory/memory-result-inbox.ts';
import { scriptedRunner, type RunScript } from '../../product/twins/runner-scripted/scripted-runner.ts';
import { memoryWire, type MemoryWire } from '../../product/twins/wire-memory/memory-wire.ts';

let places = 0;

export const memoryStorageSubject = (shared: boolean): StorageSubject => ({
  capabilities: { durable: false, shared },
  place(t) {
    places += 1;
    const database = memoryDatabase(`memory-${places}`);
    return Promise.resolve({
      storage(clock) {
        const storage = memoryStorage({ clock, database, shared });
        t.teardown(() => storage.close());
        return storage;
      },
    });
  },
});

export const memoryJournalSubject: JournalSubject = {
  place: () => {
    const root = memoryJournal();
    return Promise.resolve({
      journal: () => root.reopen(),
      die: (journal) => Promise.resolve((journal as MemoryJournal).crash()),
      damage: (which) => Promise.resolve(root.damage(which)),
      failNextWrite: (journal) => (journal as MemoryJournal).failWrite(1),
      refused: (name) => Promise.resolve(root.refused().get(assignmentText(name)) ?? null),
    });
  },
  unwritable() {
    const journal = memoryJournal();
    journal.refuseWrites();
    return Promise.resolve(journal);
  },
};

const STILL_MS = 2_000;

export const memoryInboxSubject: InboxSubject = {
  place: (t) => {
    const clock = virtualClock();
    const root = memoryResultInbox({ clock, resultStillMs: STILL_MS });
    const putOdd = (path: string): Promise<void> => Promise.resolve(root.writeOdd(path));
    return Promise.resolve({
      clock,
      stillMs: STILL_MS,
      inbox() {
        const inbox = root.reopen();
        t.teardown(() => inbox.close());
        return inbox;
      },
      write: (path, text) => Promise.resolve(root.write(path, text)),
      move: (from, to) => Promise.resolve(root.move(from, to)),
      read: (path) => Promise.resolve(root.read(path)),
      paths: () => Promise.resolve(root.paths()),
      async pass(work) {
        let isDone = false;
        const done = work.then(() => (isDone = true));
        do {
          await new Promise((resolve) => setImmediate(resolve));
          clock.advance(100);
        } while (!isDone);
        await done;
      },
      breakPrepare: (inbox) => Promise.resolve((inbox as MemoryResultInbox).failPrepare()),
      odd: { link: putOdd, fifo: putOdd, folder: putOdd },
    });
  },
};

const upgradeStatus = (wire: MemoryWire, url: string, origin?: string): Promise<number> =>
  new Promise((resolve) => {
    const link = wire.link({ origin }).connect(
      { url, frameBytesMax: 1_000 },
      {
        onOpen: () => {
          link.destroy();
          resolve(101);
        },
        onFrame: () => undefined,
        onTaken: () => undefined,
        onGone: (_, reason) => resolve(Number(/\d+$/.exec(reason)?.[0])),
      },
    );
  });

/** Both ends of its own wire. */
export function memoryWireSubject(): HubTransportSubject {
  const wire = memoryWire({ clock: systemClock() });
  return {
    transport: () => wire.transport(),
    link: wire.link(),
    reach: { fetch: (url, init) => wire.fetch(url, init), upgradeStatus: (url, origin) => upgradeStatus(wire, url, origin) },
  };
}

/** A log, and what was logged since it was last read. */
export function freshMemoryLog(): FreshLog {
  const log = memoryLog();
  let read = 0;
  return {
    log,
    lines: () => {
      const lines = log.lines.slice(read);
      read = log.lines.length;
      return lines;
    },
  };
}

const ended = (exitCode: number, stderrTail = ''): RunScript['steps'] => [
  { afterMs: 10, event: { type: 'woken' } },
  { afterMs: 100, event: { type: 'exited', exitCode, signal: null, stderrTail } },
];

const SCRIPTS: Readonly<Record<Behavior, RunScript>> = {
  ends: { steps: ended(0) },
  fails: { steps: ended(3, 'it broke') },
  works: { steps: [{ afterMs: 10, event: { type: 'woken' } }], endsWithinMs: 50 },
  'ignores-stop': { endsWithinMs: Infinity },
  'leaves-tools': { endsWithinMs: Infinity },
  'cannot-start': { refuses: { message: 'there is no such program', retryable: false } },
};

export const scriptedSubject: FilesSubject = { follows: 'files', world: () => Promise.resolve(scriptedWorld()) };

function scriptedWorld(): ProcessWorld {
  const clock = virtualClock();
  const runners = new Map<Behavior, ReturnType<typeof scriptedRunner>>();
  const runnerOf = (behavior: Behavior): ReturnType<typeof scriptedRunner> => {
    const runner = runners.get(behavior) ?? scriptedRunner({ clock, script: () => SCRIPTS[behavior] });
    runners.set(behavior, runner);
    return runner;
  };
  let requests = 0;
  return {
    runner: (behavior) => Promise.resolve(runnerOf(behavior)),
    request: () => Promise.resolve(aWakeRequest((requests += 1))),
    async settle(promise) {
      await turning(promise, () => clock.runNext());
      return promise;
    },
    atWork: () => Promise.resolve(),
    async endAgent({ runId }) {
      for (const runner of runners.values()) runner.end(runId, { exitCode: 0, signal: null });
      return Promise.resolve();
    },
    livingOf: (runId) => Promise.resolve([...runners.values()].flatMap((runner, pid) => (runner.living().includes(runId) ? [pid] : []))),
    environmentOf: () => '', // There are no processes.
    close: () => Promise.resolve(),
  };
}

export function aWakeRequest(n: number): WakeRequest {
  return {
    taskId: aTaskId(n),
    generation: aGeneration(1),
    agentId: anAgentId(),
    runId: `run-${String(n)}`,
    task: { description: 'count the files' },
    taskFile: '/task.json',
    resultsDir: '/results',
    runDir: '/run',
  };
}

/** Runs the event loop, advancing time between turns, until the promise is settled. */
export async function turning(promise: Promise<unknown>, moveOn: () => unknown): Promise<void> {
  let isSettled = false;
  const settled = (): void => {
    isSettled = true;
  };
  promise.then(settled, settled);
  for (let turns = 0; !isSettled; turns += 1) {
    if (turns > 1_000) throw new Error('it is never settled, however long one waits');
    await new Promise((resolve) => setImmediate(resolve));
    if (!isSettled) moveOn();
  }
}
