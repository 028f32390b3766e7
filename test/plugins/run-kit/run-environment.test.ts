/** The trace of a task in the environment of its agent: only if it is valid, and never that of the sidecar. */
import t from 'tap';
import { runEnvironment } from '../../../plugins/plugin.ts';
import type { AgentId, Generation, TaskId } from '../../../core/domain/ids.ts';

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const AMBIENT = { PATH: '/bin', TRACEPARENT: '00-11111111111111111111111111111111-1111111111111111-01' };

const environmentOf = (task: Readonly<Record<string, unknown>>, env?: Readonly<Record<string, string>>): Record<string, string> => {
  const request = {
    taskId: 'task-00000000000000aa' as TaskId,
    generation: 1 as Generation,
    agentId: 'a1' as AgentId,
    runId: 'run-1',
    task: { description: 'x', ...task },
    taskFile: '/tmp/task.json',
    resultsDir: '/tmp/results',
    runDir: '/tmp/run',
  };
  return runEnvironment({ request, cwd: '/tmp', ambient: AMBIENT, env });
};

t.test("a run gets the trace context of the task's submit", (t) => {
  t.match(environmentOf({ traceparent: PARENT, tracestate: 'a=1' }), { TRACEPARENT: PARENT, TRACESTATE: 'a=1' });
  t.match(environmentOf({ traceparent: PARENT }, { TRACEPARENT: 'of the config' }), { TRACEPARENT: PARENT }, 'before one of the config');
  t.end();
});

t.test('without a valid trace the variables are not set', (t) => {
  for (const task of [
    {},
    { traceparent: null, tracestate: null },
    { traceparent: 'x\u0000y', tracestate: 'a=1' },
    { traceparent: `${PARENT}\nLD_PRELOAD=evil.so` },
    { traceparent: 7 },
    { tracestate: 'a=1' },
  ]) {
    const { TRACEPARENT, TRACESTATE } = environmentOf(task);
    t.strictSame([TRACEPARENT, TRACESTATE], [undefined, undefined], JSON.stringify(task));
  }
  t.end();
});
