/**
 * README.md is true: each of its code blocks is run, and a block that no case here runs fails the test. The same holds
 * for the guide's runner. test/packed checks that they compile with the installed package.
 */
import { chmod, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { loadConfigFile } from '../../../apps/config/load.ts';
import type { ResolvedSidecarConfig } from '../../../core/config/config.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { WakeEvent } from '../../../core/ports/wake-runner.ts';
import { ROOT } from '../../architecture/cruise.ts';
import { all } from '../../product/contracts/runner/wake-runner.contract.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { runWorld, type RunWorld } from '../../plugins/run-world.ts';
import { copyOfTree, program, shell, temporaryFolder } from './newcomer.ts';
import { blocksOf, fileOf, readPage } from './page-blocks.ts';
import { freePort } from '../app-world.ts';

/** Commands that a run of this test cannot repeat, since it is part of them: `.ci/run` runs each. */
const RUN_BY_CI = ['npm ci', 'npm run quickstart', 'npm test', 'npm run test:integration', 'npm run test:faults', 'npm run test:packed'];
/** What the config of the other machine reads. */
const ELSEWHERE = { AGENTCOM_TOKEN: 'the-token-of-worker-2' };

const README = 'README.md';
const RUNNERS = 'docs/wake-runners.md';
const CONFIG = 'agentcom.config.ts';

t.test('the README opens with what it is, why, commands, a picture, a config, a plugin and next steps', async (t) => {
  const first = readPage(README).split('\n').slice(0, 60).join('\n');
  for (const wanted of ['hub', '**Why.**', 'npm ci && npm run quickstart', 'core/ ', 'defineConfig({', 'defineWakeRunner({', 'Next: [']) {
    t.ok(first.includes(wanted), wanted);
  }
});

t.test('every block is of a kind that is run here, or a picture', async (t) => {
  for (const { language, file, line } of blocksOf(README)) {
    const isRun = language === 'ts' || language === 'sh';
    t.ok(isRun || language === 'text', `line ${line}: a block is ts, sh or text`);
    t.ok(language !== 'ts' || file !== null, `line ${line}: a ts block says which file it is`);
  }
  const named = new Set(blocksOf(README).flatMap(({ file }) => file ?? []));
  t.strictSame([...named].sort(), ['agent.sh', CONFIG, 'json-lines-agent.ts'], 'each file has its case below');
});

t.test('its configs load unchanged', async (t) => {
  const configs = blocksOf(README).filter(({ file }) => file === CONFIG);
  t.equal(configs.length, 2, 'one for a single machine, one for a remote sidecar');
  Object.assign(process.env, ELSEWHERE);
  t.teardown(() => Object.keys(ELSEWHERE).forEach((name) => delete process.env[name]));
  const [first, second] = await Promise.all(
    configs.map(async ({ text }) => {
      const folder = await temporaryFolder(t);
      await writeFile(join(folder, CONFIG), text);
      return (await loadConfigFile({ cwd: folder })).config;
    }),
  );
  t.match(first, { hub: { port: 4000, storage: { name: 'sqlite' } }, sidecar: { agentId: 'worker-1', wake: { name: 'command' } } });
  t.match(second, { sidecar: { agentId: 'worker-2', token: ELSEWHERE.AGENTCOM_TOKEN, hubs: ['wss://hub.example.com:4000/ws'] } });
});

t.test('its agent is complete', async (t) => {
  const { sidecar, world } = await sidecarWith(t, {
    [CONFIG]: fileOf(README, CONFIG),
    'agent.sh': fileOf(README, 'agent.sh'),
  });
  const { events, results } = await wakeOnce(sidecar, world);
  t.match(events, [{ type: 'spawned' }, { type: 'woken' }, { type: 'exited', exitCode: 0 }]);
  const words = JSON.stringify({ description: 'count the files' }).split(' ').length;
  t.strictSame(JSON.parse(await results('json')), { status: 'success', output: words });
  t.equal(await results('started'), '');
});

t.test('its plugin is a complete runner', async (t) => {
  const agent = `#!/bin/sh\nread -r task\necho '{"percent": 40}'\nprintf '{"answer": "did %s"}\\n' "$task"\n`;
  const config = fileOf(README, CONFIG)
    .replace("import { command } from 'agentcom/runners'", "import { jsonLinesAgent } from './json-lines-agent.ts'")
    .replace(/command\(.*?\] }\)/, "jsonLinesAgent({ argv: ['./my-agent'] })");
  t.match(config, 'jsonLinesAgent({ argv');
  const { sidecar, world } = await sidecarWith(t, {
    [CONFIG]: config,
    'json-lines-agent.ts': fileOf(README, 'json-lines-agent.ts'),
    'my-agent': agent,
  });
  const { events } = await wakeOnce(sidecar, world);
  t.match(events, [
    { type: 'spawned' },
    { type: 'progress', percent: 40 },
    { type: 'completed', output: 'did count the files' },
    { type: 'exited', exitCode: 0 },
  ]);
});

t.test('the runner of the guide handles the events it claims to', async (t) => {
  const printed = [
    [
      'ready',
      'nothing of it',
      { type: 'step', percent: 10, text: 'reading' },
      { type: 'thought' },
      { type: 'done', text: 'merged', tokens: 7 },
    ],
    [{ type: 'error', text: 'no key', retry: false }],
  ].map((lines) => lines.map((line) => (typeof line === 'string' ? `{"type":"${line}"}` : JSON.stringify(line))));
  const wanted = [
    [
      { type: 'started' },
      { type: 'output' },
      { type: 'progress', percent: 10, message: 'reading' },
      { type: 'output' },
      { type: 'completed', output: { text: 'merged' }, tokensUsed: 7 },
    ],
    [{ type: 'failed', phase: 'agent', message: 'no key', retryable: false }],
  ];
  for (const [index, lines] of printed.entries()) {
    const agent = `#!/bin/sh\necho "$@" >&2\ncat <<'END'\n${lines.join('\n')}\nEND\n`;
    const config = fileOf(RUNNERS, CONFIG).replace("'my-agent'", "'./my-agent'");
    const { sidecar, world } = await sidecarWith(t, { [CONFIG]: config, 'coder.ts': fileOf(RUNNERS, 'coder.ts'), 'my-agent': agent });
    // Standard error is followed next to the events.
    const events = (await wakeOnce(sidecar, world)).events.filter((event) => event.type !== 'output' || event.stream !== 'stderr');
    t.match(events, [
      { type: 'spawned' },
      ...(wanted[index] ?? []),
      { type: 'exited', stderrTail: /^--model large --branch task-[0-9a-f]{16,64}-g1\n$/ },
    ]);
    t.equal(events.length, (wanted[index]?.length ?? 0) + 2);
  }
});

t.test('its commands do what it claims, in order', async (t) => {
  const cwd = await copyOfTree(t);
  const port = await freePort();
  const env = { AGENTCOM_PORT: String(port), AGENTCOM_HUB_URL: `ws://127.0.0.1:${port}/ws` };
  const ci = await readFile(join(ROOT, '.ci/run'), 'utf8');
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  const outputs = new Map<string, string>();
  for (const command of commands()) {
    if (RUN_BY_CI.includes(command)) {
      t.match(ci, new RegExp(`^step ${command}$`, 'm'), `.ci/run runs: ${command}`);
    } else if (command === 'npm run check') {
      t.match(scripts['check'], /typecheck.*lint.*npm test.*test:integration.*test:faults.*test:packed/, command);
    } else if (command.startsWith('npm run test:e2e ')) {
      t.match(scripts['test:e2e'], 'test/apps/e2e.ts', `${command}: takes minutes of other tests, see e2e.test.ts`);
    } else if (/^npm run (hub|sidecar)$/.test(command)) {
      t.match(await program(t, command, { cwd, env }), /^agentcom (hub|sidecar) ready /, command);
    } else {
      const { code, out, err } = await shell(command, { cwd, env });
      t.equal(code, 0, `${command}: ${err}`);
      if (outputs.size === 0) await leaveSources(cwd);
      outputs.set(command, out);
    }
  }
  const outputOf = (part: string): string => [...outputs].find(([command]) => command.includes(part))?.[1] ?? '';
  t.match(outputOf('submit "Count the samples" --wait'), /\bcompleted by worker-1\b/);
  t.match(outputOf('list'), /completed .*Count the samples/);
  t.match(outputOf('agents'), /worker-1 +idle/);
  t.match(outputOf('--run-at'), /scheduled \(low\)/);
  t.match(outputOf('tokens create'), /^\S{20,}$/m);
});

/**
 * Runs what is built, like the installed package. Hub, sidecar and the first command have shown that the sources run;
 * from sources each further command would take two seconds of CPU time.
 */
async function leaveSources(copy: string): Promise<void> {
  await symlink(join(dirname(builtTree().bin), '../../dist'), join(copy, 'dist'));
  await rm(join(copy, 'apps/cli/main.ts'));
}

/** The lines of its unnamed shell blocks, without their comments. */
function commands(): readonly string[] {
  const blocks = blocksOf(README).filter(({ language, file }) => language === 'sh' && file === null);
  const lines = blocks.flatMap(({ text }) => text.split('\n')).map((line) => line.replace(/\s+#.*$/, '').trim());
  return lines.filter((line) => line !== '').flatMap((line) => line.split(' && '));
}

/** The sidecar of a config in a folder with these files. */
async function sidecarWith(
  t: Test,
  files: Readonly<Record<string, string>>,
): Promise<{ readonly sidecar: ResolvedSidecarConfig; readonly world: RunWorld }> {
  const world = await runWorld();
  t.teardown(() => world.close());
  await mkdir(world.baseDir, { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(world.baseDir, name), text);
    if (text.startsWith('#!')) await chmod(join(world.baseDir, name), 0o755);
  }
  const { config } = await loadConfigFile({ cwd: world.baseDir });
  if (config.sidecar === undefined) throw new Error('The config has no sidecar.');
  return { sidecar: config.sidecar, world };
}

/** Wakes its agent for one task, like the sidecar, and returns what happened and how to read the agent's files. */
async function wakeOnce(sidecar: ResolvedSidecarConfig, world: RunWorld) {
  const { baseDir } = world;
  const runner = await sidecar.wake?.create({ agentId: sidecar.agentId, baseDir, dataDir: baseDir, clock: systemClock(), log: silentLog });
  const request = await world.request();
  const events: readonly WakeEvent[] = runner === undefined ? [] : await all(runner.wake(request, new AbortController().signal));
  return { events, results: (kind: string) => readFile(join(request.resultsDir, `${request.taskId}.${kind}`), 'utf8') };
}
