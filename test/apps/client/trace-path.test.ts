/** The trace of a submit, from a header, the client or the command line, through hub and sidecar into the environment of a real agent. */
import t from 'tap';
import { makeWorld } from '../app-world.ts';
import { run } from '../cli/cli-world.ts';

t.setTimeout(120_000);

const parentOf = (digit: string): string => `00-${digit.repeat(32)}-${digit.repeat(16)}-01`;
/** Its result is what it finds in its environment. */
const AGENT = [
  process.execPath,
  '-e',
  'const { TRACEPARENT, TRACESTATE } = process.env; console.log(JSON.stringify({ TRACEPARENT, TRACESTATE }))',
];

t.test('an agent gets the trace of its submit in its environment', async (t) => {
  const world = await makeWorld(t);
  const { api, adminToken, port } = world;
  await world.startHub();
  await world.startSidecar('a1', {
    wake: ['command', { argv: AGENT, report: 'last-json-line' }],
    programEnv: { TRACEPARENT: parentOf('f') },
  });
  const url = `http://127.0.0.1:${port}`;
  const ends = async (taskId: string) => {
    const task = await api.tasks.wait(taskId, { timeoutMs: 60_000 });
    t.equal(task?.status, 'completed', task?.last_error ?? '');
    return task;
  };
  const found = async (taskId: string): Promise<unknown> => ((await ends(taskId))?.result as { readonly output?: unknown } | null)?.output;

  const response = await fetch(`${url}/api/tasks`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${adminToken}`,
      'content-type': 'application/json',
      traceparent: parentOf('a'),
      tracestate: 'vendor=1, other=2',
    },
    body: JSON.stringify({ description: 'with headers' }),
  });
  const { task_id: byHeader } = (await response.json()) as { task_id: string };
  t.strictSame(await found(byHeader), { TRACEPARENT: parentOf('a'), TRACESTATE: 'vendor=1,other=2' });
  const env = { AGENTCOM_API_URL: url, AGENTCOM_ADMIN_TOKEN: adminToken };
  const shown = await run(['show', byHeader, '--json'], { env });
  t.match(JSON.parse(shown.out), { traceparent: parentOf('a'), tracestate: 'vendor=1,other=2' }, 'and the trace is shown');

  const { task_id: byClient } = await api.tasks.submit({ description: 'by the client' }, { traceparent: parentOf('b') });
  t.strictSame(await found(byClient), { TRACEPARENT: parentOf('b') });

  const submitted = await run(['submit', 'by the command', '--json'], { env: { ...env, TRACEPARENT: parentOf('c'), TRACESTATE: 'x=1' } });
  const { task_id: byCommand } = JSON.parse(submitted.out) as { task_id: string };
  t.strictSame(await found(byCommand), { TRACEPARENT: parentOf('c'), TRACESTATE: 'x=1' });

  const none = await run(['submit', 'without a trace', '--json'], { env: { ...env, TRACEPARENT: 'no\ntrace' } });
  const { task_id: without } = JSON.parse(none.out) as { task_id: string };
  t.strictSame(await found(without), {}, 'an invalid trace is ignored, and the sidecar’s own trace is not passed to its tasks');
});
