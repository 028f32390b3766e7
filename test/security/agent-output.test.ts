/** What an agent writes reaches terminals and other programs as text, and none of it becomes a property of our objects. */
import t from 'tap';
import { newAgent } from '../../core/domain/agent/agent.ts';
import { readResult } from '../../core/protocol/agent-files.ts';
import { reportedResult } from '../../core/application/sidecar/report/fit-report.ts';
import { printable, printableJson, printableLines } from '../../apps/cli/output/printable.ts';
import { sse, taskJson, testHub } from '../apps/cli/cli-world.ts';
import { hubRig } from '../core/hub/hub-rig.ts';

const codePoints = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, n) => String.fromCodePoint(from + n)).join('');
/** Everything that a terminal might obey, or that reverses text. */
const HOSTILE = `${codePoints(0, 31)}${codePoints(127, 159)}\u061c\u200e\u200f\u2028\u2029${codePoints(0x202a, 0x202e)}${codePoints(0x2066, 0x2069)}\ufeff`;
const OBEYED = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/;

t.test('every control byte is escaped in every form of output', async (t) => {
  for (const character of HOSTILE) {
    const name = `U+${character.codePointAt(0)?.toString(16)}`;
    t.notMatch(printable(`a${character}b`), /[\n]|[^\u0020-\u007e]/, name);
    t.notMatch(printableLines(`a${character}b`), OBEYED, name);
    t.notMatch(printableJson({ [character]: character }), /[\n]|[^\u0020-\u007e]/, name);
    t.strictSame(JSON.parse(printableJson({ [character]: character })), { [character]: character }, `${name} is unchanged in JSON`);
  }
});

t.test('no command prints control bytes of a task, its result, its history or its agent to a terminal', async (t) => {
  const task = taskJson({
    id: 'task-00000000000000aa',
    description: HOSTILE,
    metadata: { [HOSTILE]: HOSTILE },
    status: 'dead_letter',
    last_error: HOSTILE,
    result: { status: 'failed', output: HOSTILE },
    repo: HOSTILE,
    branch: HOSTILE,
    file_hints: [HOSTILE],
    history: [{ event: 'failed', timestamp: 0, agent_id: 'w1', generation: 1, details: { error: HOSTILE, kind: HOSTILE } }],
    waiting_for: { reason: 'no_agent', message: HOSTILE },
  });
  const agent = {
    agent_id: 'w1',
    name: HOSTILE,
    status: 'paused',
    capabilities: [HOSTILE],
    slots: 1,
    connected: true,
    paused_reason: HOSTILE,
    busy_reason: HOSTILE,
    reported_status: HOSTILE,
    resources: { [HOSTILE]: HOSTILE },
    tasks: [],
    pending_stops: 0,
  };
  const hub = await testHub(t, (app) =>
    app
      .get('/api/tasks', (c) => c.json({ tasks: [task], next_cursor: null }))
      .get('/api/tasks/stats', (c) => c.json({ [HOSTILE]: { [HOSTILE]: 1 } }))
      .get('/api/tasks/:id', (c) => c.json(task))
      .post('/api/tasks/:id/retry', (c) =>
        c.json({ error: HOSTILE, message: HOSTILE, details: [{ field: HOSTILE, detail: HOSTILE }] }, 409),
      )
      .get('/api/agents', (c) => c.json({ agents: [agent], next_cursor: null }))
      .get('/api/agents/:id', (c) => c.json(agent))
      .get('/api/events', (c) =>
        c.body(
          sse(1, 'progress', { agent_id: 'w1', details: { message: HOSTILE, percent: 5 } }) +
            sse(2, 'dead_lettered', { details: { reason: HOSTILE } }),
          200,
          { 'content-type': 'text/event-stream' },
        ),
      ),
  );
  const commands = [
    ['list'],
    ['show', 'task-00000000000000aa'],
    ['watch', 'task-00000000000000aa'],
    ['retry', 'task-00000000000000aa'],
    ['agents'],
    ['stats'],
  ];
  for (const command of commands) {
    for (const argv of [command, [...command, '--json']]) {
      const { out, err } = await hub.run(argv);
      t.ok(out.length + err.length > 0, `${argv.join(' ')} prints something`);
      t.notMatch(out, OBEYED, `${argv.join(' ')}: standard output`);
      t.notMatch(err, OBEYED, `${argv.join(' ')}: standard error`);
    }
  }
});

t.test('__proto__ in a frame, a result or a body is plain data or dropped, never a prototype', async (t) => {
  const polluted = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}';
  const rig = await hubRig();
  const peer = await rig.peer('a1');
  await peer.identify();
  const id = await rig.submit();
  await peer.send({ type: 'task_accepted', task_id: id, generation: 1 });
  await peer.send(`{"type":"resource_report","cpu_percent":1,"__proto__":{"polluted":true},"inner":${polluted}}`);
  await peer.send(`{"__proto__":{"type":"task_complete","task_id":"${id}","generation":1,"result":1}}`);
  t.match(peer.newFrames().at(-1), { type: 'error', error: 'unknown_message_type' }, 'an inherited type does not count');
  await peer.send(`{"type":"task_complete","task_id":"${id}","generation":1,"result":${polluted}}`);
  const record = await rig.record(id);
  t.equal(record.task.status, 'completed');
  t.equal(record.result, polluted, 'a result is stored as it was reported');
  const read = readResult(`{"status":"success","output":1,"__proto__":{"status":"failed","polluted":true}}`);
  t.ok(read.kind === 'object' && read.value['status'] === 'success' && read.value['polluted'] === undefined);
  if (read.kind === 'object') {
    t.notOk('polluted' in reportedResult(read.value, false));
  }
  t.equal(({} as Readonly<Record<string, unknown>>)['polluted'], undefined);
  t.notOk('polluted' in newAgent('a2' as never));
  await rig.stop();
});
