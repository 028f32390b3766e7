import t from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryResultInbox } from '../../product/twins/results-memory/memory-result-inbox.ts';
import { nameOf } from '../../product/contracts/files/inbox-place.ts';
import { resultInboxContract } from '../../product/contracts/files/result-inbox.contract.ts';
import { fileEventRecorder } from '../../product/contracts/files/file-event-recorder.ts';
import { memoryInboxSubject } from '../suites/twin-subjects.ts';

resultInboxContract('memory', memoryInboxSubject, t);

t.test('a test can report a file event for an expected assignment', async (t) => {
  const inbox = memoryResultInbox({ clock: virtualClock() });
  const saw = fileEventRecorder();
  await inbox.open(saw.put);
  inbox.watch(nameOf('a', 1), 'all');
  inbox.emit({ kind: 'started', assignment: nameOf('a', 1) });
  inbox.emit({ kind: 'started', assignment: nameOf('b', 1) });
  t.same(saw.all, [{ kind: 'started', assignment: nameOf('a', 1) }]);
  await inbox.close();
});
