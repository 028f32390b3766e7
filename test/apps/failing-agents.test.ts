/**
 * An agent that cannot work, through a real hub and a real sidecar: what the hub reports about it, who takes its work,
 * and when it is asked again.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { recorded } from '../plugins/programs/recording.ts';
import { run } from './cli/cli-world.ts';
import { makeWorld, type World } from './app-world.ts';

t.setTimeout(180_000);

/** Stands in for Claude Code: what it prints about itself and about a task comes from files next to it. */
interface FakeClaude {
  readonly bin: string;
  readonly wake: readonly [name: string, options: Readonly<Record<string, unknown>>];
  /** What it prints for the next tasks, and how it ends. */
  prints(lines: readonly (string | object)[], end?: { readonly exitCode: number; readonly stderr?: string }): void;
  version(version: string): void;
  isLoggedIn(isLoggedIn: boolean): void;
  /** How many tasks it received, which is how often it would have called its model. */
  prompts(): number;
}

function fakeClaude(world: World, name: string): FakeClaude {
  const folder = join(world.dir, `${name}-claude`);
  const bin = join(folder, 'claude');
  mkdirSync(join(folder, 'project'), { recursive: true });
  const write = (file: string, text: string): void => {
    // Atomically: it may be read meanwhile.
    writeFileSync(join(folder, `${file}.part`), text);
    renameSync(join(folder, `${file}.part`), join(folder, file));
  };
  writeFileSync(
    bin,
    `#!/bin/sh
here=${folder}
case "$1" in
  --version) echo "$(cat $here/version) (Claude Code)";;
  auth) cat $here/login; grep -q true $here/login;;
  *) cat > /dev/null; echo prompt >> $here/prompts; cat $here/out; cat $here/err >&2; exit $(cat $here/code);;
esac
`,
  );
  chmodSync(bin, 0o755);
  const fake: FakeClaude = {
    bin,
    wake: ['claudeCode', { bin, cwd: join(folder, 'project') }],
    prints(lines, { exitCode, stderr = '' } = { exitCode: 0 }) {
      write('out', lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''));
      write('err', stderr);
      write('code', String(exitCode));
    },
    version: (version) => write('version', version),
    isLoggedIn: (isLoggedIn) => write('login', JSON.stringify({ loggedIn: isLoggedIn })),
    prompts: () => (existsSync(join(folder, 'prompts')) ? readFileSync(join(folder, 'prompts'), 'utf8').split('\n').length - 1 : 0),
  };
  fake.version('2.1.328');
  fake.isLoggedIn(true);
  fake.prints(recordedOutput('stream'));
  return fake;
}

const recordedOutput = (name: string): readonly string[] =>
  recorded('claude', name).lines.flatMap(({ stream, text }) => (stream === 'stdout' ? [text] : []));

const asOperator = ({ port, adminToken }: World) => ({ AGENTCOM_API_URL: `http://127.0.0.1:${port}`, AGENTCOM_ADMIN_TOKEN: adminToken });

t.test('R13: an agent’s own failure uses up no retry, reports its remedy and pauses it, and others take the work', async (t) => {
  const world = await makeWorld(t);
  const { api } = world;
  await world.startHub();
  const [one, two] = [fakeClaude(world, 'a1'), fakeClaude(world, 'a2')];
  await world.startSidecar('a1', { wake: one.wake });

  one.prints(recordedOutput('401-retries0'), { exitCode: 1 });
  const { task_id: first } = await api.tasks.submit({ description: 'for any capable agent' });
  await world.event(first, ['released']);
  const hint =
    /Claude Code on \S+: .*401.* Run "claude" on that machine and log in with \/login, or set ANTHROPIC_API_KEY for the sidecar\./;
  t.match(await api.agents.get('a1'), { status: 'paused', paused_cause: 'auth', paused_reason: hint });
  t.match(await api.tasks.get(first), { status: 'queued', retry_count: 0 });
  await world.startSidecar('a2', { wake: two.wake });
  await world.event(first, ['completed']);
  t.match(await api.tasks.get(first), { assigned_to: 'a2', retry_count: 0 });

  await api.agents.resume('a1');
  one.prints([], { exitCode: 1, stderr: 'error: unknown option' });
  const { task_id: second } = await api.tasks.submit({ description: 'for a1', assign_to: 'a1' });
  await world.event(second, ['released', 'failed']);
  t.match(await api.agents.get('a1'), { status: 'paused', paused_cause: 'config', paused_reason: /Fix the runner options/ });
  t.match(await api.tasks.get(second), { status: 'queued', retry_count: 0 });
  await api.tasks.cancel(second);

  await api.agents.resume('a1');
  const resetsAt = Math.floor(Date.now() / 1_000) + 3_600;
  one.prints([{ type: 'rate_limit_event', rate_limit_info: { status: 'rejected', resetsAt } }, ...recordedOutput('429')], { exitCode: 1 });
  const { task_id: third } = await api.tasks.submit({ description: 'for a1 again', assign_to: 'a1' });
  await world.event(third, ['released']);
  const parked = await api.agents.get('a1');
  const untilMs = Number(parked['paused_until']);
  t.match(parked, { status: 'paused', paused_cause: 'rate_limited', paused_reason: /nothing needs to be done/ });
  t.ok(Math.abs(untilMs - resetsAt * 1_000) < 5_000, `until the time that it named: ${String(untilMs)}`);
  const prompts = one.prompts();
  const { task_id: fourth } = await api.tasks.submit({ description: 'for any capable agent, again' });
  await world.event(fourth, ['completed']);
  t.match(await api.tasks.get(fourth), { assigned_to: 'a2' });
  t.equal(one.prompts(), prompts, 'it was not retried');
  // A task that was handed back first waits for its backoff.
  const { waiting_for: waits } = await api.tasks.get(third);
  if (waits?.reason === 'backoff') await sleep(Number(waits['until']) - Date.now() + 1);
  t.match(await api.tasks.get(third), { status: 'queued', retry_count: 0, waiting_for: { reason: 'agent_paused', until: untilMs } });

  const env = asOperator(world);
  t.match((await run(['agents'], { env })).out, /a1 .*paused/);
  t.match((await run(['show', third], { env })).out, /waiting for .*a1 is paused for \d+ min \(Claude Code on /);
});

t.test('usage is shown per attempt and per task, by model', async (t) => {
  // Long enough to set what the second attempt prints.
  const world = await makeWorld(t, { hubTiming: { backoff: { firstMs: 2_000, maxMs: 2_000 } } });
  const { api } = world;
  await world.startHub();
  const claude = fakeClaude(world, 'a1');
  await world.startSidecar('a1', { wake: claude.wake });
  // It has worked, and ends without a result: another attempt follows.
  claude.prints(recordedOutput('max-turns').slice(0, -1), { exitCode: 1 });
  const { task_id: id } = await api.tasks.submit({ description: 'twice', max_retries: 1 });
  await world.event(id, ['failed']);
  claude.prints(recordedOutput('stream'));
  await world.event(id, ['completed']);
  const task = await api.tasks.get(id);
  const attempts = task.attempts ?? [];
  t.match(attempts, [
    { agent_id: 'a1', models: [{ model: 'claude-opus-5-5', input_tokens: 242, cached_input_tokens: 40 }] },
    { agent_id: 'a1', tokens_used: 128, models: [{ model: 'claude-opus-5-5', input_tokens: 121, output_tokens: 7 }] },
  ]);
  t.match(task.models, [{ model: 'claude-opus-5-5', input_tokens: 242 + 121 }]);
  const [first = 0, second = 0] = attempts.map(({ tokens_used: tokens }) => tokens ?? Number.NaN);
  t.equal(task.tokens_used, first + second);
  const { out } = await run(['show', id], { env: asOperator(world) });
  t.match(out, new RegExp(`\nusage\n  a1 \\(generation 1\\)  ${first} tokens\n    claude-opus-5-5: 242 in \\(40 cached\\)`));
  t.match(out, new RegExp(`\n  a1 \\(generation \\d\\)  128 tokens, [0-9.]+ USD\n    claude-opus-5-5: 121 in \\(20 cached\\), 7 out`));
  // The first attempt was killed before it reported its cost: the sum of the others would look complete.
  t.match(out, new RegExp(`\n  total  ${first + second} tokens\n    claude-opus-5-5: 363 in`));
});

/** Why no disk can be mounted here; false if one can. */
const noMount = (() => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'mounting a disk needs root on Linux';
  try {
    execFileSync('unshare', ['--mount', 'true'], { stdio: 'ignore' });
    return false;
  } catch (error) {
    return `no right to mount here: ${String(error)}`;
  }
})();

/** Mounts a disk over a folder; returns the function that unmounts it. */
function mounted(t: Test, folder: string, options: string): () => void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]);
  let isThere = true;
  const leave = (): void => {
    if (isThere) execFileSync('umount', ['-l', folder]);
    isThere = false;
  };
  t.teardown(leave);
  return leave;
}

t.test('R13: every agent fault blocks its tasks, is reported wherever queried, and frees them once fixed', async (t) => {
  const world = await makeWorld(t);
  const { api } = world;
  const hub = await world.startHub();
  const claude = fakeClaude(world, 'a1');
  const project = join(world.dir, 'a1-claude', 'project');
  const journal = join(world.dir, 'a1');
  mkdirSync(journal, { mode: 0o700 });
  if (noMount === false) mounted(t, journal, 'size=64m,mode=0700');
  const ballast = join(journal, 'ballast');
  // Ten minutes ahead, whatever is requested.
  const ahead = 'const now = Date.now; Date.now = () => now() + 600000;';
  const clock = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(ahead)}` };
  let sidecar = await world.startSidecar('a1', { wake: claude.wake, programEnv: clock });
  const restart = async (): Promise<void> => {
    await sidecar.kill('SIGTERM');
    sidecar = await world.startSidecar('a1');
  };
  const env = { AGENTCOM_API_URL: `http://127.0.0.1:${world.port}`, AGENTCOM_ADMIN_TOKEN: world.adminToken };
  const doctor = () => run(['doctor', '--agent', 'a1'], { env });
  let done = 0;
  const failing = async (what: string, check: string, message: RegExp, fix: () => Promise<void> | void): Promise<void> => {
    const found = await doctor();
    t.equal(found.code, 8, what);
    t.match(found.out, new RegExp(`a1: paused\\n  ${check}: .*${message.source}`, 's'), what);
    t.match(await api.agents.get('a1'), { status: 'paused', paused_cause: 'checks', paused_reason: message }, what);
    const { task_id: id } = await api.tasks.submit({ description: what });
    t.match(await api.tasks.get(id), { status: 'queued', waiting_for: { reason: 'agent_paused', message } }, what);
    await fix();
    await doctor();
    await world.event(id, ['completed']);
    t.equal(claude.prompts(), (done += 1), `${what}: no check has called the model`);
  };

  await failing('clock', 'clock', /10 min ahead of (the clock of the hub|the hub.s)/, restart);
  renameSync(claude.bin, `${claude.bin}-away`);
  await failing('no binary', 'program', /There is no ".*claude"/, () => renameSync(`${claude.bin}-away`, claude.bin));
  claude.version('2.0.1');
  await failing('too old', 'program', /2\.0\.1 is older than 2\.1\.328/, () => claude.version('2.1.328'));
  claude.isLoggedIn(false);
  await failing('not logged in', 'login', /not logged in\. Run "claude" on the sidecar's machine/, () => claude.isLoggedIn(true));
  renameSync(project, `${project}-away`);
  await failing('no folder', 'cwd', /project" is not a folder/, () => renameSync(`${project}-away`, project));
  await t.test('with its own disks', { skip: noMount }, async (t) => {
    await failing('a folder that cannot be written', 'cwd', /is not writable/, mounted(t, project, 'ro,size=64m'));
    await failing('a full disk under its folder', 'cwd', /only 4 MiB are free/, mounted(t, project, 'size=4m'));
    execFileSync('sh', ['-c', `cat /dev/zero > ${ballast} 2> /dev/null || true`]);
    await failing('a full disk under its journal', 'disk', /data directory is full/, () => rmSync(ballast));
  });

  await sidecar.kill('SIGTERM');
  const gone = await doctor();
  t.equal(gone.code, 8);
  t.match(gone.out, /^a1: offline\n {2}Its sidecar is not connected\. Start it, and run `agentcom doctor` on its machine\./);
  const { task_id: id } = await api.tasks.submit({ description: 'for an absent agent' });
  t.match(await api.tasks.get(id), { waiting_for: { reason: 'agent_offline' } });
  const config = readFileSync(join(world.dir, 'a1.config.mjs'), 'utf8');
  const onItsMachine = async (name: string, text: string): Promise<readonly string[]> => {
    writeFileSync(join(world.dir, name), text);
    const { out } = await run(['doctor', '--json', '--config', join(world.dir, name)], { cwd: world.dir });
    const { findings } = JSON.parse(out) as { readonly findings: readonly { readonly check: string; readonly severity: string }[] };
    return findings.flatMap(({ check, severity }) => (severity === 'error' ? [check] : []));
  };
  t.strictSame(await onItsMachine('healthy.config.mjs', config), []);
  t.strictSame(await onItsMachine('token.config.mjs', config.replace(/token: "[^"]+"/, 'token: "an-unknown-token"')), ['token']);
  await hub.kill('SIGTERM');
  t.strictSame(await onItsMachine('away.config.mjs', config), ['hub_away']);
});
