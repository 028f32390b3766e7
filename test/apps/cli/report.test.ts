/** `agentcom report`, from inside an agent's run: the files that its sidecar reads. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { readProgress, readResult } from '../../../core/protocol/agent-files.ts';
import { run, type Ran } from './cli-world.ts';
import { builtTree } from '../../rig/built-tree.ts';

const ID = 'task-00000000000000aa';

interface AgentRun {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  report(argv: readonly string[], stdin?: string): Promise<Ran>;
  read(kind: string): Promise<string>;
}

async function agentRun(t: Test): Promise<AgentRun> {
  const parent = await mkdtemp(join(tmpdir(), 'agentcom-report-'));
  t.teardown(() => rm(parent, { recursive: true }));
  const folder = join(parent, `${ID}.g1`);
  await mkdir(folder);
  const env = { AGENTCOM_TASK_ID: ID, AGENTCOM_RESULTS_DIR: folder, AGENTCOM_GENERATION: '1' };
  return {
    folder,
    env,
    report: (argv, stdin) => run(['report', ...argv], { env, stdin, cwd: parent }),
    read: (kind) => readFile(join(folder, `${ID}.${kind}`), 'utf8'),
  };
}

const DONE: Ran = { code: 0, out: '', err: '' };

t.test('started, progress and complete, as the sidecar reads them', async (t) => {
  const agent = await agentRun(t);
  t.strictSame(await agent.report(['started']), DONE);
  t.strictSame(await agent.report(['started']), DONE, 'twice is fine');
  t.equal(await agent.read('started'), '');
  t.strictSame(await agent.report(['progress', '--percent', '40', '--message', 'half\nway', '--tokens', '7']), DONE);
  t.strictSame(await agent.report(['progress', '--percent', '41.5']), DONE);
  t.strictSame(await agent.report(['progress']), DONE, 'without arguments it only checks');
  const lines = (await agent.read('progress')).split('\n');
  t.equal(lines.pop(), '', 'each line ends with a line break');
  t.strictSame(lines.map(readProgress), [
    { percent: 40, message: 'half\nway', tokensUsed: 7 },
    { percent: 41.5, message: null, tokensUsed: null },
  ]);
  t.strictSame(await agent.report(['complete', 'forty-two', '--tokens', '12']), DONE);
  t.strictSame(readResult(await agent.read('json')), {
    kind: 'object',
    value: { status: 'success', output: 'forty-two', tokens_used: 12 },
    replaced: false,
  });
  t.equal((await stat(join(agent.folder, `${ID}.json`))).mode & 0o777, 0o600);
  t.strictSame((await readdir(agent.folder)).sort(), [`${ID}.json`, `${ID}.progress`, `${ID}.started`], 'nothing is left next to them');
});

t.test('the output from standard input, a file and as JSON; and a failure', async (t) => {
  const agent = await agentRun(t);
  const hostile = '$(x) "q"\n\u{1f600}\u0007';
  await writeFile(join(agent.folder, '../out.txt'), hostile);
  const results: readonly (readonly [readonly string[], unknown])[] = [
    [['complete', '-'], { status: 'success', output: hostile }],
    [['complete', '--file', 'out.txt'], { status: 'success', output: hostile }],
    [['complete', '--output-json', '{"files":[1,2]}'], { status: 'success', output: { files: [1, 2] } }],
    [['complete', '--output-json', 'null'], { status: 'success', output: null }],
    [['complete'], { status: 'success', output: '' }],
    [['fail', 'no disk', '--tokens', '3'], { status: 'failed', reason: 'no disk', tokens_used: 3 }],
  ];
  for (const [argv, expected] of results) {
    t.strictSame(await agent.report(argv, hostile), DONE, argv.join(' '));
    t.strictSame(JSON.parse(await agent.read('json')), expected, argv.join(' '));
  }
});

t.test('once the assignment is gone, started and progress exit with 6; a result is still stored', async (t) => {
  const agent = await agentRun(t);
  await writeFile(join(agent.folder, `${ID}.stop`), '');
  for (const argv of [['started'], ['progress'], ['progress', '--percent', '1']]) {
    const ran = await agent.report(argv);
    t.equal(ran.code, 6, argv.join(' '));
    t.match(
      ran.err,
      /^agentcom: The assignment of task-00000000000000aa is gone: a stop of it was requested\. .* \(AC_ASSIGNMENT_GONE\)\n$/,
    );
  }
  t.strictSame(await readdir(agent.folder), [`${ID}.stop`], 'nothing was written');
  const late = await agent.report(['complete', 'late']);
  t.equal(late.code, 0);
  t.match(late.err, /is gone: the result is kept for the operator, but may never be used/);
  t.match(await agent.read('json'), /late/);
  await rm(agent.folder, { recursive: true });
  for (const argv of [['started'], ['progress'], ['complete', 'x'], ['fail', 'x']]) {
    const ran = await agent.report(argv);
    t.equal(ran.code, 6, argv.join(' '));
    t.match(ran.err, /is gone: \/.* no longer exists/);
  }
});

t.test('outside a run, or with an oversized report', async (t) => {
  const agent = await agentRun(t);
  const wrong: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
    [{}, /AGENTCOM_TASK_ID not set, AGENTCOM_RESULTS_DIR not set/],
    [{ ...agent.env, AGENTCOM_TASK_ID: '../../etc/passwd' }, /AGENTCOM_TASK_ID "\.\.\/\.\.\/etc\/passwd"/],
    [{ ...agent.env, AGENTCOM_RESULTS_DIR: 'relative' }, /AGENTCOM_RESULTS_DIR "relative"/],
  ];
  for (const [env, message] of wrong) {
    const ran = await run(['report', 'started'], { env });
    t.equal(ran.code, 2);
    t.match(ran.err, message);
  }
  t.match(await agent.report(['progress', '--percent', '101']), { code: 2, err: /Expected a number from 0 to 100/ });
  t.match(await agent.report(['progress', '--message', 'x'.repeat(20_000)]), { code: 2, err: /expected at most 16384/ });
  t.match(await agent.report(['complete', 'x'.repeat(8_388_608)]), { code: 2, err: /expected at most 8388608/ });
  t.match(await agent.report(['complete', 'x', '--output-json', '1']), { code: 2, err: /Expected one output/ });
  t.match(await agent.report(['complete', '--file', 'nope']), { code: 2, err: /Cannot read/ });
  t.strictSame(await readdir(agent.folder), []);
});

t.test('no link is followed', async (t) => {
  const agent = await agentRun(t);
  const elsewhere = join(agent.folder, '../elsewhere');
  await writeFile(elsewhere, 'mine');
  for (const kind of ['started', 'progress', 'json']) await symlink(elsewhere, join(agent.folder, `${ID}.${kind}`));
  t.match(await agent.report(['progress', '--percent', '1']), { code: 4, err: /Cannot write .*ELOOP/ });
  t.match(await agent.report(['started']), { code: 4 });
  await agent.report(['complete', 'done']);
  t.equal(await readFile(elsewhere, 'utf8'), 'mine');
});

t.test('from a script, at once, and many at a time', async (t) => {
  const agent = await agentRun(t);
  const ends = [1, 2].map(async (percent) => {
    const child = spawn(process.execPath, [builtTree().bin, 'report', 'progress', '--percent', String(percent)], {
      env: { PATH: process.env['PATH'], ...agent.env },
      stdio: 'inherit',
    });
    const [code] = (await once(child, 'exit')) as [number];
    return code;
  });
  t.strictSame(await Promise.all(ends), [0, 0]);
  const percents = (await agent.read('progress'))
    .trim()
    .split('\n')
    .map((line) => readProgress(line)?.percent);
  t.strictSame(percents.sort(), [1, 2]);
});
