/** A session's memory of the tasks that its sidecar reported does not grow with their number. */
import t from 'tap';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ReportHandler } from '../../../../core/application/hub/sessions/report-handler.ts';
import type { ReportCommand, Settled } from '../../../../core/application/hub/batch/commands.ts';
import type { SessionDeps } from '../../../../core/application/hub/sessions/session-deps.ts';
import { virtualClock } from '../../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryLog } from '../../../product/twins/log-memory/memory-log.ts';
import type { AgentId, Generation, TaskId } from '../../../../core/domain/ids.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const TASKS = 200_000;
/** What the engine itself may retain, in bytes. 92 bytes for each task were 18 MB. */
const SLACK_BYTES = 4_000_000;

t.test('R20: a session of either version retains nothing about the tasks it has reported', (t) => {
  for (const version of [1, 2] as const) {
    const clock = virtualClock();
    const inbox = {
      post(command: ReportCommand, settled: (outcome: Settled<ReportCommand>) => void) {
        const generation = command.generation ?? (1 as NonNullable<ReportCommand['generation']>);
        settled({ ok: true, answer: { kind: 'acknowledged', status: 'complete', generation, duplicate: false } });
      },
    };
    const deps = { inbox, clock, log: memoryLog(), refusedFrames: { add: () => undefined, all: () => ({}) } } as unknown as SessionDeps;
    let sent = 0;
    const handler = new ReportHandler(deps, { version, send: () => (sent += 1), sendText: () => undefined });
    const from = { agentId: 'a1' as AgentId, session: 1 };
    const report = (place: number): void => {
      const taskId = `task-${place.toString(16).padStart(16, '0')}` as TaskId;
      handler.on({ type: 'task_complete', task_id: taskId, generation: 1 as Generation, result: null }, from, 100);
    };
    for (let place = 0; place < 1_000; place += 1) report(place);
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let place = 1_000; place < TASKS; place += 1) report(place);
    collect();
    const grownBytes = process.memoryUsage().heapUsed - before;
    t.equal(sent, TASKS, 'every report was answered');
    t.ok(grownBytes < SLACK_BYTES, `version ${version}: grown by ${grownBytes} bytes with ${TASKS} tasks`);
  }
  t.end();
});
