/** Which flat names count for an assignment: an earlier run of its task that may be alive could write one. */
import t from 'tap';
import type { AssignmentId } from '../../../core/domain/assignment/slot.ts';
import type { WakeEvent } from '../../../core/ports/wake-runner.ts';
import { assignFrame, exited, named, only, stage, stoppedRun, TASK, working, type Stage } from './rig/stage.ts';

const LEFT: WakeEvent = { type: 'exited', exitCode: 1, signal: null, stderrTail: '', survivors: [7] };

const answered = (sidecar: Stage, status: 'retried' | 'complete'): void =>
  void sidecar.frame({ type: 'task_ack', task_id: TASK, generation: 1, status });
const cancel = (sidecar: Stage): void => void sidecar.frame({ type: 'task_cancelled', task_id: TASK, generation: 1 });

/** Its runner releases it: the agent is on its own. */
const letGo = (sidecar: Stage): void => void sidecar.take({ type: 'wake_stream_ended', assignment: named(), runId: 'run-1', error: null });

/** It is looked for, with this outcome. */
function found(sidecar: Stage, event: WakeEvent): void {
  sidecar.prepared();
  sidecar.wake(event);
  sidecar.scanned();
}

/** Assigns the task again, and returns which flat names count for it. */
function flatOf(sidecar: Stage, of: AssignmentId): string | undefined {
  sidecar.frame(assignFrame(of));
  return only(sidecar.prepared(of), 'watch')[0]?.flat;
}

const MAY_LIVE: readonly (readonly [string, (sidecar: Stage) => void])[] = [
  ['was cancelled and cannot be stopped', (sidecar) => [letGo(sidecar), cancel(sidecar), found(sidecar, exited(null))]],
  ['was cancelled and left survivors', (sidecar) => [cancel(sidecar), sidecar.wake(stoppedRun(7)), sidecar.scanned()]],
  ['was silent and cannot be stopped', (sidecar) => [letGo(sidecar), sidecar.timer('silence'), found(sidecar, exited(null))]],
  ['left survivors', (sidecar) => [sidecar.wake(LEFT), sidecar.scanned(), answered(sidecar, 'retried')]],
  ['left survivors and is not acknowledged yet', (sidecar) => [sidecar.wake(LEFT), sidecar.scanned()]],
  [
    'left survivors after its result',
    (sidecar) => [sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false }), sidecar.wake(LEFT)],
  ],
  [
    'left survivors after its result was acknowledged',
    (sidecar) => [
      sidecar.sight({ kind: 'result', value: { status: 'success' }, replaced: false }),
      answered(sidecar, 'complete'),
      sidecar.wake(LEFT),
    ],
  ],
];

for (const [what, end] of MAY_LIVE) {
  t.test(`R8: after an earlier run that ${what}, a flat name counts only if it names its generation`, async (t) => {
    const sidecar = working();
    end(sidecar);
    t.equal(sidecar.slot(), undefined, 'the slot is free');
    t.equal(flatOf(sidecar, named(3)), 'named');
    const later = stage({}, sidecar.state.journal);
    t.match(only(later.take({ type: 'start' }), 'watch'), [{ assignment: named(3), flat: 'named' }], 'also after a restart');
    sidecar.frame({ type: 'task_cancelled', task_id: TASK, generation: 3 });
    sidecar.wake(stoppedRun(), named(3));
    sidecar.scanned(named(3));
    t.equal(flatOf(sidecar, named(5)), 'named', 'and for any later generation');
  });
}

t.test('after a run that is gone, flat names count without a generation', async (t) => {
  const sidecar = working();
  sidecar.wake(exited(1));
  sidecar.scanned();
  answered(sidecar, 'retried');
  t.equal(flatOf(sidecar, named(3)), 'all');
  const stopped = working();
  cancel(stopped);
  stopped.wake(stoppedRun());
  stopped.scanned();
  t.equal(flatOf(stopped, named(3)), 'all');
});
