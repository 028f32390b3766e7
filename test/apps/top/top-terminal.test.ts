/** `agentcom top` on a real pseudo terminal, with a real hub. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { builtTree } from '../../rig/built-tree.ts';
import { run, sse, testHub } from '../cli/cli-world.ts';
import { runningHub } from '../running-hub.ts';

const hub = await runningHub();
t.teardown(() => hub.stop());
/** The one from util-linux. */
const hasTerminal = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout.includes('util-linux');
const skip = hasTerminal ? false : 'there is no script(1) of util-linux, which gives a program a terminal';

/** The command on a terminal of 24 by 80. */
function onTerminal() {
  const command = `tty; stty rows 24 cols 80; exec '${process.execPath}' '${builtTree().bin}' top --utc`;
  const child = spawn('script', ['-qfec', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, NO_COLOR: '1', TERM: 'xterm', AGENTCOM_API_URL: hub.url, AGENTCOM_ADMIN_TOKEN: hub.adminToken },
  });
  t.teardown(() => child.kill('SIGKILL'));
  let printed = '';
  let look = (): void => undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
    look();
  });
  return {
    child,
    exit: once(child, 'exit') as Promise<[number | null]>,
    output: () => printed,
    press: (key: string) => child.stdin.write(key),
    /** The output since `from`, as soon as it matches. */
    until: (wanted: RegExp, from = 0): Promise<string> =>
      new Promise((resolve) => {
        look = () => {
          if (wanted.test(printed.slice(from))) resolve(printed.slice(from));
        };
        look();
      }),
  };
}

const frames = (printed: string): readonly string[] =>
  printed.split('\u001b[H').map((frame) => frame.replaceAll('\u001b[K', '').replaceAll('\r', ''));

t.test('top follows the hub, fits a resized terminal, and restores the terminal', { skip }, async (t) => {
  await hub.api.tasks.submit({ description: 'the first \u001b[2J', needed_capabilities: ['gpu'] });
  const top = onTerminal();
  const first = await top.until(/the first .*No agent/);
  t.match(first, /\u001b\[\?1049h\u001b\[\?25l/, 'the alternate screen');
  t.match(first, /agentcom top {2}http.* live {2}\d\d:\d\d:\d\d UTC/);
  t.match(first, /the first \\e\[2J/, 'a control character is escaped');
  t.match(first, /No agent has connected yet/);

  const before = top.output().length;
  await hub.api.tasks.submit({ description: 'the second', priority: 'urgent', needed_capabilities: ['tpu'] });
  await top.until(/urgent 1 \(oldest/, before);
  await top.until(/2 submitted/, before);

  const agentsFrom = top.output().length;
  const agent = await hub.agent('worker-7');
  await top.until(/worker-7 +idle +0\/1/, agentsFrom);
  agent.leave();
  await top.until(/worker-7 +offline/, agentsFrom);

  const [, tty = ''] = /(\/dev\/pts\/\d+)/.exec(first) ?? [];
  const wide = top.output().length;
  t.equal(spawnSync('stty', ['-F', tty, 'rows', '10', 'cols', '40']).status, 0);
  await top.until(/\u001b\[H[^\u0007]{1,600}\u001b\[J\u001b\[H/, wide);
  const small = frames(top.output().slice(wide)).at(-2)?.split('\u001b')[0]?.split('\n') ?? [];
  t.ok(small.length <= 10 && small.every((line) => [...line].length <= 40), small.join('\n'));

  top.press('q');
  t.strictSame(await top.exit, [0, null]);
  t.match(top.output(), /\u001b\[\?7h\u001b\[\?25h\u001b\[\?1049l\s*$/, 'it restores the screen last');
});

t.test('top prints a snapshot for programs and pipes', async (t) => {
  const env = { AGENTCOM_API_URL: hub.url, AGENTCOM_ADMIN_TOKEN: hub.adminToken };
  const json = await run(['top', '--json'], { env });
  t.strictSame([json.code, json.err], [0, '']);
  t.match(JSON.parse(json.out), {
    url: hub.url,
    tasks: { queued: Number },
    queue: { low: { queued: 0, oldest_ready: null } },
    throughput: { covered_ms: 60_000 },
    agents: [],
    attention: { dead_letters: [] },
  });
  t.match((await run(['top', '--once'], { env, tty: true })).out, /agentcom top {2}http/);
  t.notMatch((await run(['top'], { env })).out, /\u001b/, 'no screen without a terminal');
  const viewer = await hub.token('submitter');
  t.match(await run(['top'], { env: { ...env, AGENTCOM_ADMIN_TOKEN: viewer } }), { code: 7, err: /403 forbidden/ });
});

t.test('an interrupted stream is resumed, and the state is read again', async (t) => {
  const page = { tasks: [], agents: [], next_cursor: null };
  const stopped = new AbortController();
  let streams = 0;
  const hub = await testHub(t, (app) =>
    app
      .get('/health', (c) => c.json({ version: '0.1.0', server_time: Date.now() }))
      .get('/api/tasks/stats', (c) => c.json({}))
      .get('/api/agents', (c) => c.json(page))
      .get('/api/tasks', (c) => c.json(page))
      .get('/api/events', (c) => {
        streams += 1;
        if (streams === 2) return c.json({ error: 'hub_busy', message: 'Later.' }, 503);
        const opened = new ReadableStream<Uint8Array>({ start: (stream) => stream.enqueue(Buffer.from(sse(streams, 'completed'))) });
        return c.body(streams === 1 ? sse(1, 'submitted') : opened, 200, { 'content-type': 'text/event-stream' });
      }),
  );
  let printed = '';
  const { code } = await hub.run(['top', '--utc'], {
    tty: true,
    interrupt: stopped.signal,
    onOut(text) {
      printed += text;
      if (/cut off since [^]* live /.test(printed)) stopped.abort();
    },
  });
  t.equal(code, 130);
  t.match(printed, /cut off since [\d:]+, retrying: .*hub_busy/);
  const streamed = hub.requests.filter(({ request }) => request.startsWith('GET /api/events'));
  t.strictSame(
    streamed.map(({ headers }) => headers['last-event-id']),
    [undefined, '1', '1'],
  );
});

t.test('a lost hub is shown with the time of the loss; Ctrl-C ends top', { skip }, async (t) => {
  const top = onTerminal();
  await top.until(/ live /);
  await hub.stop();
  await top.until(/cut off since \d\d:\d\d:\d\d, retrying: /);
  top.press('\u0003');
  t.strictSame(await top.exit, [130, null]);
  t.match(top.output(), /\u001b\[\?1049l\s*$/);
});
