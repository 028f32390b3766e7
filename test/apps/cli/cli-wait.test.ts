/** Waiting for a task and watching events: `submit --wait` and `watch`, against a real HTTP server. */
import t, { type Test } from 'tap';
import { sse, taskJson, testHub } from './cli-world.ts';

const ID = 'task-00000000000000aa';
const SUBMITTED = { task_id: ID, status: 'queued', priority: 'normal', created_at: 1_700_000_000_000 };

/** A hub on which one task runs to `status`; the stream breaks in the middle. */
const runningHub = (t: Test, status: string, last: string) => {
  const requested: (string | undefined)[] = [];
  return testHub(t, (app) =>
    app
      .post('/api/tasks', (c) => c.json(SUBMITTED, 201))
      .get('/api/tasks/:id', (c) =>
        c.json(
          taskJson({
            status,
            assigned_to: 'w1',
            last_error: 'boom',
            result: status === 'completed' ? { status: 'success', output: 'forty\ntwo \u001b[31m' } : null,
            history: [],
            waiting_for: null,
          }),
        ),
      )
      .get('/api/events', (c) => {
        requested.push(c.headers['last-event-id']);
        const headers = { 'content-type': 'text/event-stream', 'x-asked': requested.join() };
        if (requested.length === 1)
          return c.body(sse(3, 'submitted') + sse(4, 'assigned', { agent_id: 'w1', generation: 1 }), 200, headers);
        const progress = sse(9, 'progress', { agent_id: 'w1', generation: 1, details: { percent: 50, message: 'half \u001b[2J' } });
        return c.body(progress + sse(10, last, { agent_id: 'w1', generation: 1 }), 200, headers);
      }),
  );
};

const STREAM = { headers: { 'content-type': 'text/event-stream' } };

t.test('submit --wait reports events, survives a dropped stream, and exits by the outcome', async (t) => {
  const outcomes: readonly (readonly [status: string, last: string, code: number, words: RegExp])[] = [
    ['completed', 'completed', 0, /task-00000000000000aa completed by w1 after 42s\nforty\ntwo \\e\[31m\n$/],
    ['dead_letter', 'dead_lettered', 1, /was dead-lettered after 42s: boom\n$/],
    ['cancelled', 'cancelled', 6, /was cancelled after 42s\n$/],
  ];
  for (const [status, last, code, words] of outcomes) {
    const hub = await runningHub(t, status, last);
    const ran = await hub.run(['submit', 'x', '--wait']);
    t.equal(ran.code, code, status);
    t.match(ran.out, words, status);
    const lines = ran.out.split('\n').map((line) => line.replace(/^2023-11-14 \d\d:\d\d:\d\d/, 'TIME'));
    t.match(lines[1], /^TIME {6}EVENT {11}AGENT {2}DETAILS \(times: \S+\)$/);
    t.strictSame(lines.toSpliced(1, 1).slice(0, 5), [
      `${ID} queued (normal)`,
      'TIME  submitted',
      'TIME  assigned        w1 g1',
      'TIME  progress        w1 g1  50% half \\e[2J',
      `TIME  ${last.padEnd(14)}  w1 g1`,
    ]);
    const streams = hub.requests.filter(({ request }) => request.includes('/api/events'));
    t.strictSame(
      streams.map(({ request, headers }) => [request, headers['last-event-id']]),
      [
        [`GET /api/events?task_id=${ID}`, '0'],
        [`GET /api/events?task_id=${ID}`, '4'],
      ],
    );
  }
});

t.test('with --json a wait is one object a line, the task last', async (t) => {
  const hub = await runningHub(t, 'completed', 'completed');
  const ran = await hub.run(['submit', 'x', '--wait', '--json']);
  t.equal(ran.code, 0);
  t.equal(ran.err, '');
  const lines = ran.out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  t.strictSame(
    lines.map((line) => Object.keys(line)[0]),
    ['task_id', 'event', 'event', 'event', 'event', 'task'],
  );
  t.match(lines.at(-1), { task: { id: ID, status: 'completed', result: { output: 'forty\ntwo \u001b[31m' } } });
  t.notMatch(ran.out, /\u001b/, 'nothing that a terminal obeys');
});

t.test('an interrupt ends the wait, not the task', async (t) => {
  const controller = new AbortController();
  const hub = await testHub(t, (app) =>
    app
      .post('/api/tasks', (c) => c.json(SUBMITTED, 201))
      .get('/api/tasks/:id', (c) => c.json(taskJson({ history: [], waiting_for: null })))
      .get(
        '/api/events',
        () =>
          new Response(new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode(sse(1, 'submitted'))) }), STREAM),
      ),
  );
  const ran = await hub.run(['submit', 'x', '--wait'], {
    interrupt: controller.signal,
    onOut: (out) => {
      if (out.includes('submitted')) controller.abort();
    },
  });
  t.equal(ran.code, 130);
  t.equal(ran.err, `Interrupted; the task continues. To follow it: agentcom watch ${ID}\n`);
});

t.test('a task revived from dead letter is still waited for', async (t) => {
  let status = 'queued';
  const hub = await testHub(t, (app) =>
    app
      .get('/api/tasks/:id', (c) => c.json(taskJson({ status, history: [], waiting_for: null })))
      .get('/api/events', (c) => {
        if (c.headers['last-event-id'] === '0') return c.body(sse(1, 'dead_lettered'), 200, STREAM.headers);
        status = 'completed';
        return c.body(sse(2, 'retried') + sse(3, 'completed'), 200, STREAM.headers);
      }),
  );
  const ran = await hub.run(['watch', ID]);
  t.equal(ran.code, 0);
  t.match(ran.out, /dead_lettered\n.*retried\n.*completed\n/);
});

t.test('an end hidden by a gap in the stream is found', async (t) => {
  const hub = await testHub(t, (app) =>
    app
      .get('/api/tasks/:id', (c) => c.json(taskJson({ status: 'cancelled', history: [], waiting_for: null })))
      .get('/api/events', (c) => c.body('event: gap\ndata: {"from":1,"to":9}\n\n', 200, STREAM.headers)),
  );
  const ran = await hub.run(['watch', ID]);
  t.match(ran, { code: 6, out: `\n--:--:--  events 1 to 9 are no longer kept\n${ID} was cancelled after 42s\n`, err: '' });
});

t.test('watch and submit --wait show why an attempt failed: the last 20 lines that its program printed', async (t) => {
  const linesOf = (name: string) => Array.from({ length: 25 }, (_, n) => `${name} ${n + 1}`).join('\n');
  const inner = { stderr_tail: `${linesOf('err')}\n\u001b[31mno module`, last_output: linesOf('out') };
  const failed = { agent_id: 'w1', generation: 1, details: { error: 'turn failed', details: inner } };
  const hub = await testHub(t, (app) =>
    app
      .post('/api/tasks', (c) => c.json(SUBMITTED, 201))
      .get('/api/tasks/:id', (c) => c.json(taskJson({ status: 'dead_letter', last_error: 'turn failed', history: [], waiting_for: null })))
      .get('/api/events', (c) => c.body(sse(3, 'failed', failed) + sse(4, 'dead_lettered'), 200, STREAM.headers)),
  );
  for (const command of [
    ['watch', ID],
    ['submit', 'x', '--wait'],
  ]) {
    const { out } = await hub.run(command);
    const pattern =
      / {2}last 20 lines of output:\n {2}\| out 6\n[^]* {2}\| out 25\n {2}last 20 lines of standard error:\n {2}\| err 7\n[^]*\| \\e\[31mno module\n/;
    t.match(out, pattern, command.join(' '));
  }
});

t.test('submit --wait says that an output is truncated, on standard error, so that nobody takes it for the whole', async (t) => {
  const result = { status: 'success', output: 'xx', output_truncated: true, output_bytes: 2_000_000 };
  const hub = await testHub(t, (app) =>
    app
      .post('/api/tasks', (c) => c.json(SUBMITTED, 201))
      .get('/api/tasks/:id', (c) => c.json(taskJson({ status: 'completed', result, history: [], waiting_for: null })))
      .get('/api/events', (c) => c.body(sse(4, 'completed'), 200, STREAM.headers)),
  );
  t.match(await hub.run(['submit', 'x', '--wait']), { code: 0, out: /\nxx\n$/, err: /^The output is truncated: it had 2000000 bytes\. / });
});

t.test('a wait explains why nothing happens: at first, when the reason changes, and when it is due', async (t) => {
  const controller = new AbortController();
  const lacking = { reason: 'capabilities', kind: 'capability_missing', message: 'No agent has "gpu".', capabilities: ['gpu'] };
  const answers = [
    lacking,
    { ...lacking, message: 'No agent has "gpu" still.' },
    { reason: 'backoff', kind: 'backoff', message: 'It is retried in 300 ms.', until: Date.now() + 300 },
    { reason: 'agent_unknown', kind: 'no_agent', message: 'No agent is known.' },
  ];
  let requestCount = 0;
  let stream: ReadableStreamDefaultController<Uint8Array> | undefined;
  const push = (id: number, event: string) => stream?.enqueue(new TextEncoder().encode(sse(id, event)));
  const hub = await testHub(t, (app) =>
    app
      .post('/api/tasks', (c) => c.json(SUBMITTED, 201))
      .get('/api/tasks/:id', (c) => {
        const waiting_for = answers[Math.min(requestCount, answers.length - 1)];
        requestCount += 1;
        // The same reason in other words is not printed again; an event triggers the next read, after that only time.
        if (requestCount === 1) setTimeout(() => push(2, 'reclaimed'), 50);
        if (requestCount === 2) setTimeout(() => push(3, 'failed'), 50);
        return c.json(taskJson({ history: [], waiting_for }));
      })
      .get('/api/events', (c) => {
        // As a hub answers a submitter.
        if (c.target.includes('about=agents')) return c.json({ error: 'forbidden' }, 403);
        return new Response(
          new ReadableStream({
            start: (started) => {
              stream = started;
              push(1, 'submitted');
            },
          }),
          STREAM,
        );
      }),
  );
  const ran = await hub.run(['submit', 'x', '--wait'], {
    interrupt: controller.signal,
    onOut: (out) => {
      if (out.includes('No agent is known')) controller.abort();
    },
  });
  const received = ran.out.split('\n').filter((line) => line.startsWith('waiting: '));
  t.strictSame(received, ['waiting: No agent has "gpu".', 'waiting: It is retried in 300 ms.', 'waiting: No agent is known.']);
  t.equal(requestCount, 4, 'it does not poll');
  t.notMatch(ran.err, /agents/, 'that it may not follow the agents is not reported');
});

t.test('why TASK and why AGENT', async (t) => {
  const hub = await testHub(t, (app) =>
    app
      .get('/api/tasks/:id', (c) =>
        c.json(
          taskJson({
            history: [],
            waiting_for: {
              reason: 'agent_offline',
              kind: 'offline',
              message: 'None.',
              agents: [{ agent_id: 'w1', blocker: 'offline', message: 'is away' }],
            },
          }),
        ),
      )
      .get('/api/tasks', (c) => c.json({ tasks: c.target.endsWith('=task-0000') ? [taskJson()] : [], next_cursor: null }))
      .get('/api/agents/:id', (c) =>
        c.target.endsWith('/w1')
          ? c.json({ agent_id: 'w1', status: 'paused', waiting_for: { kind: 'paused', message: 'is paused', until: 0 } })
          : c.json({ error: 'unknown_agent', message: 'There is no such agent.' }, 404),
      ),
  );
  t.strictSame(await hub.run(['why', ID]), { code: 0, out: `${ID} is queued\nNone.\n`, err: '' });
  t.strictSame(await hub.run(['why', 'w1', '--utc']), { code: 0, out: 'w1 is paused\n  until  1970-01-01 00:00:00 UTC\n', err: '' });
  t.match(await hub.run(['why', '0000']), { code: 0, out: `${ID} is queued\nNone.\n` }, 'digits that no agent has as its ID');
  t.match(await hub.run(['why', 'ffff']), { code: 2, err: /No task has an ID that begins with task-ffff/ });
  t.match(await hub.run(['why', 'w2']), { code: 7, err: /There is no such agent/ });
  t.match(JSON.parse((await hub.run(['why', ID, '--json'])).out), { task_id: ID, waiting_for: { kind: 'offline' } });
});

t.test('watch of everything passes the filters on, and says if the hub has no such agent', async (t) => {
  for (const [agent, note] of [
    ['w1', ''],
    ['w2', 'The hub has no agent "w2": `agentcom agents` lists them. Waiting for one of that name.\n'],
  ] as const) {
    const controller = new AbortController();
    const hub = await testHub(t, (app) =>
      app
        .get('/api/agents/:id', (c) =>
          c.params['id'] === 'w1'
            ? c.json({ agent_id: 'w1' })
            : c.json({ error: 'unknown_agent', message: 'There is no such agent.' }, 404),
        )
        .get('/api/events', (c) => c.body(sse(1, 'failed', { agent_id: agent }), 200, STREAM.headers)),
    );
    const ran = await hub.run(['watch', '--agent', agent, '--type', 'failed'], {
      interrupt: controller.signal,
      onOut: (text) => text.includes('failed') && controller.abort(),
    });
    t.equal(ran.code, 130);
    t.match(ran.out, new RegExp(`^TIME .*\\n2023-11-14 \\d\\d:\\d\\d:\\d\\d {2}task-00000000000000aa {2}failed {10}${agent}\\n$`));
    t.equal(ran.err, note);
    const events = hub.requests.find(({ request }) => request.includes('/api/events'));
    t.equal(events?.request, `GET /api/events?agent_id=${agent}&type=failed`);
    t.equal(events?.headers['last-event-id'], undefined, 'only what happens from now on');
  }
});
