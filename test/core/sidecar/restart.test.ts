import t from 'tap';
import { EMPTY_JOURNAL, readJournalState, type JournalState } from '../../../core/application/sidecar/state/journal-state.ts';
import type { SidecarSettings } from '../../../core/application/sidecar/state/state.ts';
import type { OutboxEntry } from '../../../core/domain/assignment/outbox.ts';
import { stopFor, type Slot } from '../../../core/domain/assignment/slot.ts';
import {
  exited,
  named,
  NONCE,
  only,
  OTHER,
  pathsOf,
  sent,
  SPAWNED,
  stage,
  START_MS,
  startedFor,
  stoppedRun,
  TASK,
  waking,
  words,
  working,
  writtenBody,
} from './rig/stage.ts';

const RUN = { runId: 'run-old', startedAtMs: START_MS, process: { pid: 7, startTime: '1', bootId: 'b' }, woken: true, detached: false };
const SLOT: Slot = {
  ...named(),
  status: 'accepted',
  storeId: 'store-1',
  assignedAtMs: START_MS,
  acceptedAtMs: START_MS,
  runMaxMs: 3_600_000,
  task: { task_id: TASK, generation: 1, description: 'count' },
  wakes: 0,
  expectedSinceMs: null,
  run: null,
  stop: null,
};
const WOKEN_SLOT: Slot = { ...SLOT, status: 'working', wakes: 1, expectedSinceMs: START_MS, run: RUN };
const REPORT: OutboxEntry = { ...named(), report: 'complete', reason: null, storeId: 'store-1', assignedAtMs: START_MS, keepFiles: false };
const journal = (slot: Slot, ...outbox: OutboxEntry[]): JournalState => ({ ...EMPTY_JOURNAL, slots: [slot], outbox });
const restarted = (state: JournalState, runner: SidecarSettings['runner'] = { adoptable: true, hasCheck: false }) => {
  const sidecar = stage({ runner }, state);
  const effects = sidecar.take({ type: 'start' });
  return { sidecar, effects };
};

t.test('R10: after a restart every slot resumes from its state', async (t) => {
  t.test('accepted: woken', async (t) => {
    const { sidecar, effects } = restarted(journal(SLOT));
    t.same(words(effects), ['withdrawAllExcept', 'findFolders', 'connect', 'prepare']);
    t.equal(startedFor(effects, 'lease'), 100_000);
    t.same(words(sidecar.prepared()), ['persist', 'watch', 'wake']);
  });
  t.test('waking, between two attempts: the next attempt follows after its delay', async (t) => {
    const { sidecar, effects } = restarted(journal({ ...SLOT, status: 'waking', wakes: 2, expectedSinceMs: START_MS }));
    t.same(words(effects), ['withdrawAllExcept', 'findFolders', 'watch', 'connect']);
    t.equal(startedFor(effects, 'retry'), 15_000);
    t.same(words(sidecar.timer('retry')), ['prepare']);
  });
  t.test('waking, with a run that may have been spawned: it is looked up, and never woken next to it', async (t) => {
    const { sidecar, effects } = restarted(journal({ ...WOKEN_SLOT, status: 'waking', run: { ...RUN, process: null, woken: false } }));
    t.same(words(effects), ['withdrawAllExcept', 'findFolders', 'watch', 'prepare', 'connect']);
    const found = sidecar.prepared();
    t.same(words(found), ['attach']);
    t.match(only(found, 'attach'), [{ stop: null, run: { runId: 'run-old', process: null } }]);
    t.same(words(sidecar.wake(exited(null))), ['scan']);
    t.match(writtenBody(sidecar.scanned()), { kind: 'lost' }, 'it counts as an attempt');
  });
  t.test('waking, with a run that was never spawned: woken again without using up a retry', async (t) => {
    const { sidecar } = restarted(journal({ ...WOKEN_SLOT, status: 'waking', run: { ...RUN, process: null, woken: false } }));
    sidecar.prepared();
    const newEffects = sidecar.wake({ type: 'failed', phase: 'spawn', message: 'never started', retryable: true });
    t.equal(startedFor(newEffects, 'retry'), 5_000);
    t.same(words(sidecar.timer('retry')), ['prepare']);
    t.same(words(sidecar.prepared()), ['persist', 'wake']);
  });
  t.test('waking, with a process: a spawn failure reported by the runner counts as an attempt', async (t) => {
    const { sidecar } = restarted(journal({ ...WOKEN_SLOT, status: 'waking', run: { ...RUN, woken: false } }));
    sidecar.prepared();
    t.same(words(sidecar.wake({ type: 'failed', phase: 'spawn', message: 'never started', retryable: true })), ['scan']);
    t.match(writtenBody(sidecar.scanned()), { kind: 'lost' });
  });
  t.test('waking_confirmation: adopted, and its time starts over', async (t) => {
    const { sidecar, effects } = restarted(journal({ ...WOKEN_SLOT, status: 'waking_confirmation' }));
    t.equal(startedFor(effects, 'confirm'), 30_000);
    t.match(only(sidecar.prepared(), 'attach'), [{ stop: null }]);
    sidecar.sight({ kind: 'started' });
    t.equal(sidecar.slot()?.status, 'working');
  });
  t.test('working: adopted, and its result is found whenever it was written', async (t) => {
    const { sidecar, effects } = restarted(journal(WOKEN_SLOT));
    t.same(words(effects), ['withdrawAllExcept', 'findFolders', 'watch', 'prepare', 'connect']);
    sidecar.prepared();
    t.same(words(sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false })), ['writeReport', 'persist']);
    t.same(words(sidecar.wake(exited(null))), ['unwatch', 'persist']);
  });
  t.test('working, its process gone without a result: lost', async (t) => {
    const { sidecar } = restarted(journal(WOKEN_SLOT));
    sidecar.prepared();
    sidecar.wake(exited(null));
    t.match(writtenBody(sidecar.scanned()), { kind: 'lost' });
  });
  t.test('waking, then released by its runner: detached from now on', async (t) => {
    const { sidecar } = restarted(journal({ ...WOKEN_SLOT, status: 'waking_confirmation' }));
    sidecar.prepared();
    sidecar.wake({ type: 'woken' });
    sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId: RUN.runId, error: null });
    t.match(sidecar.slot(), { status: 'waking_confirmation', run: { detached: true } });
  });
  t.test('working, detached: only watched', async (t) => {
    const { effects } = restarted(journal({ ...WOKEN_SLOT, run: { ...RUN, detached: true } }));
    t.same(words(effects), ['withdrawAllExcept', 'findFolders', 'watch', 'connect']);
    t.equal(startedFor(effects, 'silence'), 1_800_000);
  });
  t.test('reporting: its run is stopped and its report sent', async (t) => {
    const { sidecar } = restarted(journal({ ...WOKEN_SLOT, status: 'reporting' }, REPORT));
    t.match(only(sidecar.prepared(), 'attach'), [{ stop: { reason: 'its result is known' } }]);
    t.same(words(sidecar.identify()), ['send identify', 'ready', 'readReport']);
    t.same(words(sidecar.wake(stoppedRun())), ['unwatch', 'persist']);
  });
  t.test('being stopped: the stop completes, and is confirmed when the hub asks again', async (t) => {
    const { sidecar } = restarted(journal({ ...WOKEN_SLOT, stop: stopFor('cancelled', 'cancelled', 50) }));
    t.match(only(sidecar.prepared(), 'attach'), [{ stop: { reason: 'cancelled', graceMs: 50 } }]);
    sidecar.wake(stoppedRun());
    sidecar.identify();
    t.match(sent(sidecar.scanned()), [{ type: 'task_cancel_ack', outcome: 'killed' }]);
  });
  t.test('being stopped for an execution timeout: reported as such', async (t) => {
    const { sidecar } = restarted(journal({ ...WOKEN_SLOT, stop: stopFor('execution_timeout', 'too long') }));
    sidecar.prepared();
    sidecar.wake(stoppedRun());
    t.match(writtenBody(sidecar.scanned()), { kind: 'execution_timeout' });
  });
  t.test('only a report: sent after identified', async (t) => {
    const { sidecar, effects } = restarted({ ...EMPTY_JOURNAL, outbox: [REPORT] });
    t.same(words(effects), ['withdrawAllExcept', 'findFolders', 'connect']);
    t.same(words(sidecar.identify()), ['send identify', 'ready', 'readReport']);
  });
});

t.test('a run that its runner cannot adopt is stopped and lost', async (t) => {
  const { sidecar } = restarted(journal(WOKEN_SLOT), { adoptable: false, hasCheck: false });
  t.match(only(sidecar.prepared(), 'attach'), [{ stop: { reason: /cannot adopt/ } }]);
  sidecar.wake(stoppedRun());
  t.match(writtenBody(sidecar.scanned()), { kind: 'lost', error: /its sidecar or machine went down/ });
});

t.test('R13: a stopping sidecar hands back a run that no later process could adopt, with its session', async (t) => {
  const sidecar = waking({ runner: { adoptable: false, hasCheck: false } });
  sidecar.wake(SPAWNED);
  sidecar.wake({ type: 'started', sessionId: 'ses_1' });
  const newEffects = sidecar.take({ type: 'stop' });
  t.match(only(newEffects, 'kill'), [{ reason: { reason: /its sidecar was stopped/ } }]);
  t.notOk(words(newEffects).includes('stopped'), 'not before its run is gone');
  sidecar.wake(stoppedRun());
  const [released] = sent(sidecar.scanned());
  t.match(released, { type: 'task_released', cause: 'sidecar_stopped', reason: /its sidecar was stopped/, session_id: 'ses_1' });
  t.equal(sidecar.state.phase, 'stopping', 'until the hub acknowledges it');
  t.ok(words(sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status: 'released' })).includes('stopped'));
  const adoptable = waking();
  adoptable.wake(SPAWNED);
  t.notOk(words(adoptable.take({ type: 'stop' })).includes('kill'), 'an adoptable run is left alone');
});

t.test('a run without a runner in the config is lost, unless its result exists', async (t) => {
  const { sidecar } = restarted(journal(WOKEN_SLOT), null);
  t.match(writtenBody(sidecar.scanned()), { kind: 'lost' });
});

t.test('a run whose state cannot be determined keeps its slot', async (t) => {
  const { sidecar } = restarted(journal(WOKEN_SLOT));
  sidecar.prepared();
  t.equal(startedFor(sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId: 'run-old', error: 'EIO' }), 'retry'), 5_000);
  t.same(words(sidecar.timer('retry')), ['prepare']);
  t.equal(sidecar.slot()?.status, 'working');
});

t.test('R16: a run whose folders cannot be recreated continues and ends', async (t) => {
  const { sidecar } = restarted(journal(WOKEN_SLOT));
  const taken = sidecar.take({ type: 'prepare_failed', assignment: named(), paths: pathsOf(named()), message: 'EACCES' });
  t.match(only(taken, 'attach'), [{ run: { runId: 'run-old', ...pathsOf(named()) }, stop: null }]);
  sidecar.take({ type: 'wake_event', assignment: named(), runId: 'run-old', event: exited(null) });
  t.match(writtenBody(sidecar.scanned()), { kind: 'lost' });
  t.equal(sidecar.slot(), undefined, 'its slot is free');
});

t.test('the remaining run time survives a restart and a clock change', async (t) => {
  for (const [passedMs, leftMs] of [
    [600_000, 3_000_000],
    [-3_600_000, 3_600_000],
  ] as const) {
    const sidecar = stage({}, journal(WOKEN_SLOT));
    sidecar.nowMs += passedMs;
    t.equal(startedFor(sidecar.take({ type: 'start' }), 'run_max'), leftMs);
  }
});

t.test("R11: after a restart a run times out once the hub's time confirms it, or after 5 minutes without a hub", async (t) => {
  const DAY_MS = 86_400_000;
  for (const [what, hubPassedMs, leftMs] of [
    ['the clock was moved forward by a day', 600_000, 3_000_000],
    ['it has passed', DAY_MS, 0],
    ['the hub says the same time as at the start', 0, 3_600_000],
  ] as const) {
    const sidecar = stage({}, journal(WOKEN_SLOT));
    sidecar.nowMs += DAY_MS;
    t.equal(startedFor(sidecar.take({ type: 'start' }), 'run_max'), 300_000, what);
    const identified = sidecar.identify({ server_time: WOKEN_SLOT.assignedAtMs + hubPassedMs });
    t.equal(startedFor(identified, 'run_max'), leftMs, what);
    sidecar.take({ type: 'link_down', connectionId: 1, code: 1006, reason: '' });
    sidecar.timer('reconnect');
    t.equal(startedFor(sidecar.identify({ server_time: START_MS }), 'run_max'), undefined, 'asked once');
  }
  const unheard = stage({}, journal(WOKEN_SLOT));
  unheard.nowMs += DAY_MS;
  unheard.take({ type: 'start' });
  t.ok(words(unheard.timer('run_max')).includes('persist'));
  t.match(unheard.slot(), { stop: { cause: 'execution_timeout' } });
});

t.test('everything a sidecar journals is read back unchanged', async (t) => {
  const sidecar = working({ slots: 2 });
  sidecar.frame({ type: 'task_cancelled', task_id: 'task-00000000000000c3', generation: 2 });
  sidecar.timer('run_max');
  t.same(readJournalState(JSON.parse(JSON.stringify(sidecar.state.journal))), sidecar.state.journal);
  t.equal(readJournalState(undefined), EMPTY_JOURNAL);
  for (const effect of only(sidecar.all, 'persist')) t.ok(readJournalState(JSON.parse(JSON.stringify(effect.journal))));
});

t.test('R22: a journal with an unknown version or invalid content is refused', async (t) => {
  t.throws(() => readJournalState({ ...EMPTY_JOURNAL, version: 2 }), { code: 'AC_SCHEMA_UNKNOWN' });
  const wrong = [
    {},
    null,
    [],
    { ...EMPTY_JOURNAL, slots: [{}] },
    { ...EMPTY_JOURNAL, ended: ['../../etc 1 c 3'] },
    { ...EMPTY_JOURNAL, version: 0 },
  ];
  for (const value of wrong) t.throws(() => readJournalState(value), { code: 'AC_JOURNAL_CORRUPT' }, JSON.stringify(value));
  t.throws(() => readJournalState(journal({ ...SLOT, taskId: '../x' as Slot['taskId'] })), { code: 'AC_JOURNAL_CORRUPT' });
});

t.test('a second start does nothing', async (t) => {
  const { sidecar } = restarted(EMPTY_JOURNAL);
  t.same(sidecar.take({ type: 'start' }), []);
  t.same(stage().take({ type: 'link_up', nonce: NONCE, connectionId: 0 }), [], 'inputs before the start are ignored');
});

t.test('R16: an assignment that cannot be resumed ends with its reason, and the others continue', async (t) => {
  const poisoned = (slot: Slot): Slot => {
    let times = 0;
    return Object.defineProperty({ ...slot }, 'expectedSinceMs', {
      enumerable: true,
      get() {
        // Called once for the published tasks, then while it is resumed.
        if ((times += 1) === 2) throw new Error('planted');
        return slot.expectedSinceMs;
      },
    });
  };
  const other = { ...WOKEN_SLOT, ...named(1, OTHER), run: { ...RUN, runId: 'run-other' } };
  const restart = (slot: Slot) => {
    const sidecar = stage({ slots: 2, runner: null }, { ...EMPTY_JOURNAL, slots: [poisoned(slot), other] });
    return { sidecar, effects: sidecar.take({ type: 'start' }) };
  };
  const { sidecar, effects } = restart({ ...WOKEN_SLOT, run: null });
  t.match(writtenBody(effects), { task_id: TASK, kind: 'agent_failed', error: /could not resume it after a restart: planted/ });
  t.match(only(effects, 'connect'), [{ connectionId: 1 }]);
  t.equal(sidecar.slot(), undefined);
  t.ok(sidecar.slot(named(1, OTHER)));
  const ended = restart({ ...WOKEN_SLOT, status: 'reporting' });
  t.equal(startedFor(ended.effects, 'retry'), 5_000, 'a known end is unchanged');
  t.match(only(ended.effects, 'connect'), [{ connectionId: 1 }]);
});
