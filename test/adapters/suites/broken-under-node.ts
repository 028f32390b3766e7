/** Adapters that each break one promise, under Node's own test runner. */
import { test } from 'node:test';
import type { Clock } from '../../../core/ports/clock.ts';
import { clockContract } from '../../product/contracts/clock.contract.ts';
import { journalContract, type JournalSubject } from '../../product/contracts/files/journal.contract.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryJournalSubject } from './twin-subjects.ts';

/** It reports a report as deleted, and keeps it. */
const keepsReports: JournalSubject = {
  ...memoryJournalSubject,
  async place(t) {
    const place = await memoryJournalSubject.place(t);
    return {
      ...place,
      journal: () => Object.assign(place.journal(), { removeReport: () => Promise.resolve() }),
    };
  },
};
journalContract('broken', keepsReports, { test });

/** It fires twice, and swallows what the second call threw. */
const time = virtualClock();
const firesTwice: Clock = {
  ...time,
  after: (delayMs, fire) =>
    time.after(delayMs, () => {
      fire();
      void Promise.allSettled([new Promise((resolve) => resolve(fire()))]);
    }),
};
clockContract('broken', { clock: firesTwice, pass: async (ms) => time.advance(ms) }, { test });
