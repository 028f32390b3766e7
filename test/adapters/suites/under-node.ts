/** Every suite of `agentcom/testing` under Node's own test runner, over twins behind objects that only forward. */
import { test } from 'node:test';
import { clockContract } from '../../product/contracts/clock.contract.ts';
import { journalContract } from '../../product/contracts/files/journal.contract.ts';
import { resultInboxContract } from '../../product/contracts/files/result-inbox.contract.ts';
import { idsContract } from '../../product/contracts/ids.contract.ts';
import { logContract } from '../../product/contracts/log.contract.ts';
import { wakeRunnerContract } from '../../product/contracts/runner/wake-runner.contract.ts';
import { storageContract } from '../../product/contracts/storage/storage.contract.ts';
import { hubLinkContract } from '../../product/contracts/wire/hub-link.contract.ts';
import { hubTransportContract } from '../../product/contracts/wire/hub-transport.contract.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { seededIds } from '../../product/twins/ids-seeded/seeded-ids.ts';
import {
  forwardedClock,
  forwardedIds,
  forwardedInboxes,
  forwardedJournals,
  forwardedLog,
  forwardedRunners,
  forwardedStorages,
  forwardedWire,
} from './forwarded.ts';
import {
  freshMemoryLog,
  memoryInboxSubject,
  memoryJournalSubject,
  memoryStorageSubject,
  memoryWireSubject,
  scriptedSubject,
} from './twin-subjects.ts';

storageContract('memory', forwardedStorages(memoryStorageSubject(false)), { test });
storageContract('memory, shared', forwardedStorages(memoryStorageSubject(true)), { test });

const wire = forwardedWire(memoryWireSubject());
hubTransportContract('memory', wire, { test });
hubLinkContract('memory', wire, { test });

journalContract('memory', forwardedJournals(memoryJournalSubject), { test });
resultInboxContract('memory', forwardedInboxes(memoryInboxSubject), { test });

wakeRunnerContract('scripted', forwardedRunners(scriptedSubject), { test });

const clock = virtualClock();
clockContract('virtual', { clock: forwardedClock(clock), pass: async (ms) => clock.advance(ms) }, { test });
idsContract('seeded', { fresh: () => forwardedIds(seededIds({ seed: 'under node' })) }, { test });
logContract(
  'memory',
  {
    fresh() {
      const { log, lines } = freshMemoryLog();
      return { log: forwardedLog(log), lines };
    },
  },
  { test },
);
