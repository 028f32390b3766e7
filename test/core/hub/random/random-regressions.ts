/** Histories that once failed, shrunk to a minimum. Each names its failure. */
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
  'an assignment pushed again and ended by its deadline in one batch was sent with a generation never assigned': [
    { act: 'hold' },
    { ...SUBMIT, assignTo: 0, withinMs: 900 },
    { act: 'pass', ms: 26_000 },
    { act: 'identify', agent: 0, held: 'all', cutFirst: false },
    { act: 'release' },
  ],
  'an accepted assignment under a rolled back store was revoked without counting as an attempt': [
    { ...SUBMIT, maxRetries: 1, assignTo: 0 },
    { ...REPORT, agent: 0, task: 0, report: 'failed' },
    { act: 'pass', ms: 900 },
    { ...REPORT, agent: 0, task: 0, report: 'accepted' },
    { act: 'identify', agent: 0, held: 'ahead', cutFirst: false },
  ],
  'the end of a pause was forgotten when its sweep failed': [
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
  'a task retried in the batch that completed its dependency stayed blocked': [
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
  'a second cancel freed the slot of an unconfirmed stop': [
    { ...SUBMIT, assignTo: 1 },
    { ...SUBMIT, assignTo: 1 },
    { ...SUBMIT, assignTo: 1 },
    { ...SUBMIT, assignTo: 1 },
    { act: 'operate', task: 3, how: 'cancel' },
    { act: 'operate', task: 2, how: 'cancel' },
  ],
  'a version 1 result after a cancel got the number of the event before it': [
    { ...SUBMIT, assignTo: 2 },
    { act: 'pass', ms: 5_000 },
    { ...REPORT, agent: 2, task: 0, report: 'accepted' },
    { act: 'operate', task: 0, how: 'cancel' },
    { ...REPORT, agent: 2, task: 0, report: 'complete' },
  ],
};
