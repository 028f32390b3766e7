/** Histories in which something was wrong once, shrunk to what it took. Each says what it was. */
import type { Act, ActOf } from './random-acts.ts';

const SUBMIT: ActOf<'submit'> = {
  act: 'submit',
  lane: 0,
  maxRetries: 0,
  needsGpu: null,
  assignTo: null,
  runAfterMs: null,
  ttlMs: null,
  withinMs: null,
  runMaxMs: null,
  dependsOn: [],
  key: null,
};
const REPORT = { act: 'report', generation: 'its own', onOlder: null } as const;

export const REGRESSIONS: Readonly<Record<string, readonly Act[]>> = {
  'an assignment pushed again and ended by its deadline in one batch left with a generation that nobody was given': [
    { act: 'hold' },
    { ...SUBMIT, assignTo: 0, withinMs: 900 },
    { act: 'pass', ms: 26_000 },
    { act: 'identify', agent: 0, held: 'all', cutFirst: false },
    { act: 'release' },
  ],
  'an accepted assignment under a store that fell back was taken back without counting as an attempt': [
    { ...SUBMIT, maxRetries: 1, assignTo: 0 },
    { ...REPORT, agent: 0, task: 0, report: 'failed' },
    { act: 'pass', ms: 900 },
    { ...REPORT, agent: 0, task: 0, report: 'accepted' },
    { act: 'identify', agent: 0, held: 'ahead', cutFirst: false },
  ],
  'the end of a pause was forgotten with the sweep that failed': [
    { ...SUBMIT, assignTo: 0 },
    { ...REPORT, agent: 0, task: 0, report: 'rejected' },
    { act: 'pass', ms: 26_000 },
    { act: 'pass', ms: 26_000 },
    { act: 'pass', ms: 5_000 },
    { act: 'pass', ms: 1_100 },
    { act: 'pass', ms: 1_100 },
    { act: 'fail', times: 1, step: 'begin', code: 'AC_STORE_UNAVAILABLE' },
    { act: 'pass', ms: 5_000 },
  ],
  'what was retried in the batch that completed its dependency stayed blocked': [
    { ...SUBMIT, assignTo: 0 },
    { ...SUBMIT, dependsOn: [0], withinMs: 900 },
    { ...REPORT, agent: 0, task: 0, report: 'accepted' },
    { act: 'pass', ms: 1_100 },
    { act: 'hold' },
    { act: 'say', agent: 0, word: 'idle' },
    { act: 'operate', task: 0, how: 'retry' },
    { ...REPORT, agent: 0, task: 0, report: 'complete' },
    { act: 'release' },
  ],
  'a second cancel gave away the slot of a stop that nobody had confirmed': [
    { ...SUBMIT, assignTo: 1 },
    { ...SUBMIT, assignTo: 1 },
    { ...SUBMIT, assignTo: 1 },
    { ...SUBMIT, assignTo: 1 },
    { act: 'operate', task: 3, how: 'cancel' },
    { act: 'operate', task: 2, how: 'cancel' },
  ],
  'a version 1 result that came in after a cancel had the number of the event before it': [
    { ...SUBMIT, assignTo: 2 },
    { act: 'pass', ms: 5_000 },
    { ...REPORT, agent: 2, task: 0, report: 'accepted' },
    { act: 'operate', task: 0, how: 'cancel' },
    { ...REPORT, agent: 2, task: 0, report: 'complete' },
  ],
};
