/** The client commands against a real HTTP server that records its requests. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { freePort, run, taskJson, testHub } from './cli-world.ts';
import { builtTree } from '../../rig/built-tree.ts';

const ID = 'task-00000000000000aa';
const BIN = builtTree().bin;
const SUBMITTED = { task_id: ID, status: 'queued', priority: 'normal', created_at: 1_700_000_000_000 };
const COMMANDS = [
  'hub',
  'sidecar',
  'quickstart',
  'submit',
  'list',
  'show',
  'watch',
  'top',
  'why',
  'retry',
  'cancel',
  'adopt',
  'stats',
  'agents',
  'drain',
  'resume',
  'takeover',
  'forget',
  'push',
  'tokens',
  'whoami',
  'schemas',
  'doctor',
  'report',
];

async function folderWith(t: Test, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-cli-'));
  t.teardown(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

t.test('every command explains itself', async (t) => {
  const { code, out } = await run(['--help']);
  t.equal(code, 0);
  for (const command of COMMANDS) {
    t.match(out, new RegExp(`^ {2}${command}\\b`, 'm'), command);
    const help = await run([command, '--help']);
    t.equal(help.code, 0, command);
    t.match(help.out, new RegExp(`^Usage: agentcom ${command}\\b`), command);
    t.equal(help.err, '');
  }
  for (const command of [
    'tokens create',
    'tokens list',
    'tokens revoke',
    'report started',
    'report progress',
    'report complete',
    'report fail',
  ]) {
    const help = await run([...command.split(' '), '--help']);
    t.equal(help.code, 0, command);
    t.match(help.out, `Usage: agentcom ${command}`);
  }
  t.match(out, /Exit codes:\n {2}0 /);
});

t.test('submit sends every given option, with an idempotency key', async (t) => {
  const hub = await testHub(t, (app) => app.post('/api/tasks', (c) => c.json(SUBMITTED, 201)));
  const ran = await hub.run([
    'submit',
    'do it',
    '-p',
    'high',
    '-n',
    'code',
    '-n',
    'gpu',
    '-a',
    'w1',
    '-m',
    '{"team":"web"}',
    '--max-retries',
    '0',
    '--ttl',
    '90s',
    '--run-max',
    '1.5h',
    '--run-at',
    '2030-01-01T00:00:00Z',
    '--complete-by',
    '1900000000000',
    '--depends-on',
    ID,
    '--repo',
    'r',
    '--branch',
    'b',
    '--file-hint',
    'f',
    '--criterion',
    'c',
    '--verify',
    'v',
    '--verify',
    '{"type":"git_clean"}',
    '--accept',
    'empty',
    '--accept',
    'truncated',
  ]);
  t.strictSame(ran, { code: 0, out: `${ID} queued (normal)\n`, err: '' });
  t.strictSame(JSON.parse(hub.requests[0]?.body ?? ''), {
    description: 'do it',
    priority: 'high',
    needed_capabilities: ['code', 'gpu'],
    assign_to: 'w1',
    metadata: { team: 'web' },
    max_retries: 0,
    run_at: 1_893_456_000_000,
    ttl_ms: 90_000,
    run_max_ms: 5_400_000,
    complete_by: 1_900_000_000_000,
    depends_on: [ID],
    repo: 'r',
    branch: 'b',
    file_hints: ['f'],
    success_criteria: ['c'],
    verification_steps: ['v', { type: 'git_clean' }],
    accept: { empty: true, truncated: true },
  });
  t.match(await hub.run(['submit', 'x', '--accept', 'all']), { code: 2, err: /Expected one of empty, truncated, refused/ });
  t.match(hub.requests[0]?.headers, {
    authorization: 'Bearer tok',
    'idempotency-key': /^task-[0-9a-f]{32}$/,
    'content-type': 'application/json',
  });
  await hub.run(['submit', 'again', '--idempotency-key', 'my-key']);
  t.equal(hub.requests[1]?.headers['idempotency-key'], 'my-key');
});

t.test('the description from standard input and from a file, byte for byte', async (t) => {
  const hostile = '$(rm -rf /) "quotes" \'and\'\n../ \u{1f600} \u0007';
  const hub = await testHub(t, (app) =>
    app.post('/api/tasks', (c) => c.json(SUBMITTED, 201)).post('/api/tasks/bulk', (c) => c.json({ task_ids: [ID] }, 201)),
  );
  const cwd = await folderWith(t, { 'task.md': hostile, 'tasks.ndjson': '{"description":"a"}\n{"description":"b"}\n' });
  await hub.run(['submit', '-'], { stdin: hostile });
  await hub.run(['submit', '--file', 'task.md'], { cwd });
  await hub.run(['submit', hostile]);
  for (const { body } of hub.requests) t.strictSame(JSON.parse(body), { description: hostile });
  t.equal(hub.requests.length, 3);
  const bulk = await hub.run(['submit', '--bulk', 'tasks.ndjson', '--json'], { cwd });
  t.strictSame(bulk, { code: 0, out: `{"task_ids":["${ID}"]}\n`, err: '' });
  t.equal(hub.requests[3]?.body, '{"description":"a"}\n{"description":"b"}\n');
  t.match(hub.requests[3]?.headers, { 'content-type': 'application/x-ndjson', 'idempotency-key': /./ });
  t.match(await hub.run(['submit', '--file', 'nope.md'], { cwd }), {
    code: 2,
    err: /Cannot read .*nope\.md: ENOENT: no such file or directory\. \(AC_USAGE\)/,
  });
});

t.test('list prints a table for people and JSON for programs', async (t) => {
  const evil = 'first \u001b]0;title\u0007 \u202etxt.exe\nsecond line';
  const page = { tasks: [taskJson({ description: evil, status: 'assigned', assigned_to: 'w1' }), taskJson()], next_cursor: 'abc' };
  const hub = await testHub(t, (app) => app.get('/api/tasks', (c) => c.json(page)));
  const ran = await hub.run(['list', '--status', 'queued', '--priority', 'low', '--agent', 'w1', '--limit', '2', '--cursor', 'x']);
  t.equal(ran.code, 0);
  t.equal(hub.requests[0]?.request, 'GET /api/tasks?status=queued&priority=low&assigned_to=w1&cursor=x&limit=2');
  const [title, first, second] = ran.out.split('\n');
  t.match(title, /^TASK {19}STATUS {4}PRIORITY {2}AGENT {2}FAILED {2}TOKENS {2}USD {2}AGE +DESCRIPTION$/);
  t.match(first, /assigned {2}normal {4}w1 {5}0 of 4 .* first \\e\]0;title\\x07 \\u202etxt\.exe$/);
  t.match(second, /queued {4}normal {4}- /);
  t.equal(ran.err, 'Next page: --cursor abc\n');
  t.notMatch(ran.out, /\u001b/, 'no colors into a pipe');
  const json = await hub.run(['list', '--json']);
  t.strictSame(JSON.parse(json.out), page);
  t.notMatch(json.out.trimEnd(), /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
  t.equal(json.err, '');
});

t.test('colors only on a terminal, and not with NO_COLOR', async (t) => {
  const hub = await testHub(t, (app) => app.get('/api/tasks', (c) => c.json({ tasks: [], next_cursor: null })));
  t.match((await hub.run(['list'], { tty: true })).out, /^\u001b\[1mTASK/);
  t.match((await hub.run(['list'], { tty: true, env: { NO_COLOR: '1' } })).out, /^TASK/);
});

t.test('a failed attempt is shown with the tail of its standard error, whatever is in it', async (t) => {
  const tail = [...Array.from({ length: 30 }, (_, n) => `line ${n + 1}`), 'Traceback: \u001b[31mline 42'].join('\n');
  const details = { error: 'the agent exited with code 3', details: { exit_code: 3, stderr_tail: `${tail}\n` } };
  const failed = { event: 'failed', timestamp: 1, agent_id: 'w1', generation: 1, details };
  const hub = await testHub(t, (app) => app.get('/api/tasks/:id', (c) => c.json(taskJson({ history: [failed], waiting_for: null }))));
  const { out } = await hub.run(['show', ID]);
  t.match(out, / {4}last 20 lines of standard error:\n {4}\| line 12\n/);
  t.match(out, /\n {4}\| line 30\n {4}\| Traceback: \\e\[31mline 42\n/);
  t.notMatch(out, /line 11\n/);
});

t.test('show prints why a task waits, and its history', async (t) => {
  const history = [
    { event: 'submitted', timestamp: 1_700_000_000_000 },
    { event: 'failed', timestamp: 1_700_000_001_000, agent_id: 'w1', generation: 2, details: { error: 'no \u0007' } },
  ];
  const task = taskJson({
    history,
    waiting_for: { reason: 'capabilities', message: 'No agent has "gpu".' },
    needed_capabilities: ['gpu', 'co\u001bde'],
    result: { a: [1] },
    usage_incomplete: true,
    submitted_by: 'tok-1',
    submitted_by_name: 'ci',
  });
  const hub = await testHub(t, (app) =>
    app.get('/api/tasks/:id', (c) =>
      c.params['id'] === ID ? c.json(task) : c.json({ error: 'unknown_task', message: 'There is no such task.' }, 404),
    ),
  );
  const ran = await hub.run(['show', ID]);
  t.equal(ran.code, 0);
  t.match(ran.out, /^waiting for {3}No agent has "gpu"\.$/m);
  t.match(ran.out, /^needs {9}gpu, co\\ede$/m);
  t.match(
    ran.out,
    /^history\n {2}2023-11-14 \d\d:\d\d:\d\d {2}submitted\n {2}2023-11-14 \d\d:\d\d:\d\d {2}failed {10}w1 g2 {2}error=no \\x07$/m,
  );
  t.match(ran.out, /^failed {8}0 of 4 attempts$/m);
  t.match(ran.out, /^submitted by {2}ci \(tok-1\)$/m);
  t.match(ran.out, /^submitted {5}2023-11-14 \d\d:\d\d:20 [A-Z]\S+$/m, 'the zone is named');
  t.match((await hub.run(['show', ID, '--utc'])).out, /^submitted {5}2023-11-14 22:13:20 UTC\nupdated {7}2023-11-14 22:14:02\n/m);
  t.match(ran.out, /^result\n {2}\{\n {4}"a"/m);
  t.match(ran.out, /an attempt that had started did not report its usage\n/);
  t.strictSame(JSON.parse((await hub.run(['show', ID, '--json'])).out), task);
  const unknown = await hub.run(['show', 'task-00000000000000bb']);
  t.strictSame(unknown, {
    code: 7,
    out: '',
    err: 'agentcom: The hub refused GET /api/tasks/task-00000000000000bb (404 unknown_task): There is no such task. (AC_API)\n',
  });
});

t.test('retry and cancel act on each task, and report each refusal', async (t) => {
  const hub = await testHub(t, (app) =>
    app
      .get('/api/tasks/:id', (c) => c.json({ waiting_for: null }))
      .post('/api/tasks/:id/:act', (c) =>
        c.params['id'] === 'task-00000000000000a2'
          ? c.json({ error: 'invalid_state', message: 'It has ended.' }, 409)
          : c.json({ status: c.params['act'] === 'retry' ? 'queued' : 'cancelled' }),
      ),
  );
  const ran = await hub.run(['cancel', 'task-00000000000000a1', 'task-00000000000000a2', 'task-00000000000000a3']);
  t.equal(ran.code, 7);
  t.equal(ran.out, 'task-00000000000000a1 is cancelled\ntask-00000000000000a3 is cancelled\n');
  t.match(ran.err, /409 invalid_state\): It has ended\. \(AC_API\)\n$/);
  t.strictSame(await hub.run(['retry', 'task-00000000000000a1']), { code: 0, out: 'task-00000000000000a1 is again queued\n', err: '' });
  t.equal(hub.requests.at(-1)?.request, 'POST /api/tasks/task-00000000000000a1/retry');
});

t.test('a refusal names its fields; with --json it is one object on standard error', async (t) => {
  const answer = {
    error: 'validation_failed',
    message: 'The body is wrong.',
    details: [
      { line: 2, field: 'max_retries', error: 'maximum', detail: 'must be <= 100' },
      { field: '', error: 'type' },
    ],
  };
  const hub = await testHub(t, (app) => app.post('/api/tasks', (c) => c.json(answer, 400)));
  const ran = await hub.run(['submit', 'x', '--max-retries', '999']);
  t.equal(ran.code, 2);
  t.equal(
    ran.err,
    'agentcom: The hub refused POST /api/tasks (400 validation_failed): The body is wrong. (AC_API)\n  line 2, max_retries: must be <= 100\n  (the body): type\n',
  );
  const detail = { field: 'max_retries', error: 'maximum', detail: 'must be <= 100' };
  const only = { ...answer, message: 'Invalid request: max_retries must be <= 100.', details: [detail] };
  const once = await testHub(t, (app) => app.post('/api/tasks', (c) => c.json(only, 400)));
  t.match((await once.run(['submit', 'x'])).err, /max_retries must be <= 100\. \(AC_API\)\n$/, 'not repeated');
  const json = await hub.run(['submit', 'x', '--json']);
  t.match(JSON.parse(json.err), { error: 'AC_API', details: { status: 400, answer } });
  t.equal(json.out, '');
});

t.test('address and token: options, then environment, then the config', async (t) => {
  const hub = await testHub(t, (app) => app.get('/api/tasks/stats', (c) => c.json({ auth: c.headers['authorization'] ?? null })));
  const { port } = new URL(hub.url);
  const config = (more = ''): string =>
    `import { sqlite } from 'agentcom/storage'; import { ws } from 'agentcom/transport';
     export default { hub: { storage: sqlite({ file: 'x.db' }), transport: ws(), listen: { port: ${port} }, dataDir: 'hub' ${more} } };`;
  const cwd = await folderWith(t, {
    'agentcom.config.ts': config(),
    'with-token.ts': config(`, adminToken: '${'c'.repeat(32)}'`),
    'sidecar.ts': `export default { sidecar: { hubs: ['ws://127.0.0.1:1/ws'], agentId: 'w1' } };`,
  });
  const auth = async (argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<unknown> => {
    const ran = await run(['stats', '--json', ...argv], { cwd, env });
    return ran.code === 0 ? (JSON.parse(ran.out) as { auth: string }).auth : ran.err;
  };
  t.match(await auth([]), /No token: .*hub\/admin-token does not exist/);
  await mkdir(join(cwd, 'hub'));
  await writeFile(join(cwd, 'hub/admin-token'), 'from-file\n', { mode: 0o600 });
  t.equal(await auth([]), 'Bearer from-file');
  t.equal(await auth(['--config', 'with-token.ts']), `Bearer ${'c'.repeat(32)}`);
  t.equal(await auth([], { AGENTCOM_ADMIN_TOKEN: 'from-env' }), 'Bearer from-env');
  t.equal(await auth(['--token', 'from-option'], { AGENTCOM_ADMIN_TOKEN: 'from-env' }), 'Bearer from-option');
  t.equal(await auth(['--url', hub.url, '--token', 'x'], { AGENTCOM_API_URL: 'http://127.0.0.1:1' }), 'Bearer x');
  t.match(await auth(['--config', 'sidecar.ts']), /sidecar\.ts has no hub\. Pass --url/);
  t.match(
    await auth(['--url', 'http://hub.example.org']),
    /No token for http:\/\/hub\.example\.org: the config belongs to another hub/,
    'the own token is sent to no other hub',
  );
  const elsewhere = await run(['stats'], { cwd: await folderWith(t, {}) });
  t.equal(elsewhere.code, 2);
  t.match(
    elsewhere.err,
    /^agentcom: There is no agentcom\.config\.ts.* Or pass --url \(or set AGENTCOM_API_URL\)\. \(AC_CONFIG_NOT_FOUND\)\n$/,
  );
});

t.test('the command itself: a version, an unreachable hub, a pipe that closes', async (t) => {
  const start = (argv: readonly string[]) => {
    const child = spawn(process.execPath, [BIN, ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, AGENTCOM_ADMIN_TOKEN: 'x' },
    });
    t.teardown(() => child.kill('SIGKILL'));
    return child;
  };
  const version = start(['--version']);
  const [output, [code]] = await Promise.all([text(version.stdout), once(version, 'exit')]);
  t.strictSame([output.trim(), code], ['0.1.0', 0]);
  for (const letter of ['-v', '-V']) t.match(await run([letter]), { code: 0, out: '0.1.0\n' });

  const missing = start(['list', '--url', `http://127.0.0.1:${await freePort()}`]);
  const [complaint, [exit]] = await Promise.all([text(missing.stderr), once(missing, 'exit')]);
  t.equal(exit, 7);
  t.match(complaint, /^The hub at .* cannot be reached: connection refused\..*\nRetrying …\nagentcom: The hub at .* cannot be reached/);

  const many = Array.from({ length: 3_000 }, () => taskJson());
  const hub = await testHub(t, (app) => app.get('/api/tasks', (c) => c.json({ tasks: many, next_cursor: null })));
  const cut = start(['list', '--url', hub.url]);
  await once(cut.stdout, 'data');
  cut.stdout.destroy();
  const [words, [end]] = await Promise.all([text(cut.stderr), once(cut, 'exit')]);
  t.strictSame([words, end], ['', 0]);
});
