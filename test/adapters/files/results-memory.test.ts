import t from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryResultInbox, type MemoryResultInbox } from '../../product/twins/results-memory/memory-result-inbox.ts';
import { nameOf } from '../../product/contracts/files/inbox-place.ts';
import { resultInboxContract } from '../../product/contracts/files/result-inbox.contract.ts';
import { sightingRecorder } from '../../product/contracts/files/sighting-recorder.ts';

const STILL_MS = 2_000;

resultInboxContract('memory', {
  place: (t) => {
    const clock = virtualClock();
    const root = memoryResultInbox({ clock, resultStillMs: STILL_MS });
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
      odd: null,
    });
  },
});

t.test('a test may report a sighting of its own, of what is expected', async (t) => {
  const inbox = memoryResultInbox({ clock: virtualClock() });
  const saw = sightingRecorder();
  await inbox.open(saw.put);
  inbox.expect(nameOf('a', 1), 'all');
  inbox.sight({ kind: 'started', name: nameOf('a', 1) });
  inbox.sight({ kind: 'started', name: nameOf('b', 1) });
  t.same(saw.all, [{ kind: 'started', name: nameOf('a', 1) }]);
  await inbox.close();
});
