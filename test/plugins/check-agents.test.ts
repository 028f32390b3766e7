/** What the doctor finds out about agent programs, by programs that answer as the real ones did. */
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../core/ports/log.ts';
import {
  askProgram,
  checkAgentProgram,
  systemProcessTable,
  versionIn,
  type RunnerCheck,
  type WakeRunnerChoice,
} from '../../plugins/plugin.ts';
import { acp, claudeCode, codex, gemini, openclaw, opencode } from '../../plugins/runners.ts';
import { fileAppears } from './run-world.ts';

const table = systemProcessTable();

interface Place {
  readonly folder: string;
  /** A program that is this shell script. */
  program(script: string): Promise<string>;
  /** What the runner says of itself, by the names of its checks. */
  checks(choice: WakeRunnerChoice): Promise<Readonly<Record<string, RunnerCheck>>>;
}

async function place(t: Test): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-check-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'project'));
  return {
    folder,
    async program(script) {
      const path = join(folder, `program-${String((await readdir(folder)).length)}`);
      await writeFile(path, `#!/bin/sh\n${script}\n`);
      await chmod(path, 0o755);
      return path;
    },
    async checks(choice) {
      const runner = await choice.create({ agentId: 'a', baseDir: folder, dataDir: folder, clock: systemClock(), log: silentLog });
      return Object.fromEntries(((await runner.check?.()) ?? []).map((check) => [check.check, check]));
    },
  };
}

/** Answers as Claude Code does: its version, and whether it is logged in. */
const claude = (version: string, loggedIn: boolean): string =>
  `case $1 in --version) echo "${version} (Claude Code)";; auth) echo '{"loggedIn": ${String(loggedIn)}}'; exit ${loggedIn ? '0' : '1'};; esac`;

void t.test('a program that is there, new enough and logged in', async (t) => {
  const { program, checks, folder } = await place(t);
  const found = await checks(claudeCode({ bin: await program(claude('2.1.328', true)), cwd: 'project' }));
  t.match(found, {
    cwd: { ok: true, message: join(folder, 'project') },
    program: { ok: true, message: /2\.1\.328$/ },
    login: { ok: true },
  });
});

void t.test('no program, one that cannot be run, one whose install scripts did not run, and one that is too old', async (t) => {
  const { program, checks, folder } = await place(t);
  const cwd = 'project';
  t.match(await checks(claudeCode({ bin: 'no-such-claude', cwd })), {
    program: { ok: false, message: /no "no-such-claude" on PATH .*npm install/ },
    login: undefined,
  });
  await writeFile(join(folder, 'text'), 'x');
  t.match(await checks(codex({ bin: join(folder, 'text'), cwd })), { program: { ok: false, message: /not an executable file/ } });
  const unfinished = await program("echo 'Error: claude native binary not installed.' >&2; exit 1");
  t.match(await checks(claudeCode({ bin: unfinished, cwd })), {
    program: { ok: false, message: /code 1: Error: claude native binary not installed/ },
  });
  const old = await program(claude('2.1.99', true));
  t.match(await checks(claudeCode({ bin: old, cwd })), {
    program: { ok: false, message: /2\.1\.99 is older than 2\.1\.328/ },
    login: undefined,
  });
  const newer = await program(claude('10.0.0', true));
  t.match(await checks(claudeCode({ bin: newer, cwd })), { program: { ok: true } }, 'versions are numbers');
  const wrongNode = await program("echo 'openclaw: Node 20.20.2: node:sqlite is unavailable; use 24.16+/26.1+' >&2; exit 1");
  t.match(
    await checks(openclaw({ bin: wrongNode, cwd })),
    { program: { ok: false, message: /Node 20\.20\.2/ } },
    'what stands on standard error is no version',
  );
});

void t.test('a version is found beside warnings on standard error', async (t) => {
  const { program, checks } = await place(t);
  const bin = await program(`echo 'WARNING: 1.2.3' >&2; echo 'codex-cli 0.169.0'; [ "$1" = --version ] || exit 1`);
  t.match(await checks(codex({ bin, cwd: 'project', env: { CODEX_API_KEY: 'k' } })), {
    program: { ok: true, message: /0\.169\.0$/ },
    login: { ok: true, message: 'CODEX_API_KEY is set' },
  });
  t.match(await checks(codex({ bin, cwd: 'project', env: { CODEX_API_KEY: '', OPENAI_API_KEY: '' } })), {
    login: { ok: false, message: /codex login/ },
  });
  t.equal(versionIn('none here 1.2'), null);
});

void t.test('a program that is not logged in', async (t) => {
  const { program, checks } = await place(t);
  const found = await checks(claudeCode({ bin: await program(claude('2.1.328', false)), cwd: 'project' }));
  t.match(found, { program: { ok: true }, login: { ok: false, message: /not logged in.*\/login/ } });
});

void t.test('a folder that is missing, that is not the agent’s, or that it cannot write to', async (t) => {
  const { program, checks, folder } = await place(t);
  const bin = await program(claude('2.1.328', true));
  t.match(await checks(claudeCode({ bin, cwd: 'nowhere' })), {
    cwd: { ok: false, message: /nowhere" is not a folder/ },
    program: undefined,
  });
  t.match(await checks(opencode({ bin, cwd: '/', model: 'a/b' })), { cwd: { ok: false, message: /no folder for an agent/ } });
  if (process.getuid?.() === 0) return; // Root may write anywhere.
  await chmod(join(folder, 'project'), 0o555);
  t.match(await checks(claudeCode({ bin, cwd: 'project' })), { cwd: { ok: false, message: /not writable/ } });
  t.match(await checks(claudeCode({ bin, cwd: 'project', permissions: 'read-only' })), { cwd: { ok: true } });
});

void t.test('permissions that are refused to root', async (t) => {
  const { program, checks } = await place(t);
  const bin = await program(claude('2.1.328', true));
  const isRoot = process.getuid?.() === 0;
  t.match(
    await checks(claudeCode({ bin, cwd: 'project', permissions: 'full' })),
    isRoot ? { permissions: { ok: false, message: /IS_SANDBOX/ } } : {},
  );
  t.match(
    await checks(claudeCode({ bin, cwd: 'project', permissions: 'full', env: { IS_SANDBOX: '1' } })),
    isRoot ? { permissions: { ok: true } } : {},
  );
});

void t.test('a look that is called off ends what it has started', async (t) => {
  const { folder, program } = await place(t);
  // Some ask it twice at once: each ends, and one is looked at.
  const bin = await program(`sleep 600 & echo $! > ${folder}/$$.part; mv ${folder}/$$.part ${folder}/child; wait`);
  const runners = [claudeCode, codex, gemini, openclaw].map((factory) => factory({ bin, cwd: 'project' }));
  for (const choice of [...runners, opencode({ bin, cwd: 'project', model: 'a/b' }), acp({ bin: [bin], cwd: 'project' })]) {
    const runner = await choice.create({ agentId: 'a', baseDir: folder, dataDir: folder, clock: systemClock(), log: silentLog });
    const calling = new AbortController();
    const found = runner.check?.(calling.signal);
    await fileAppears(folder, 'child');
    const child = Number(await readFile(join(folder, 'child'), 'utf8'));
    calling.abort();
    t.match(
      (await found)?.find(({ check }) => check === 'program'),
      { ok: false, message: /was called off/ },
      choice.name,
    );
    while (table.find(child)?.isZombie === false) await nextTurn(); // The system needs a moment for it.
    await rm(join(folder, 'child'));
  }
  const late = await askProgram([bin], { cwd: folder, env: {}, signal: AbortSignal.abort() });
  t.match(late, { kind: 'failed', message: 'was called off' });
});

void t.test('a program that only takes long is no reason to give its agent no work', async (t) => {
  const { folder, program } = await place(t);
  const bin = await program('exec sleep 600');
  const asked = {
    argv: [bin],
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '' },
    least: '1.0.0',
    install: 'Install it.',
    withinMs: 50,
  };
  t.match(await checkAgentProgram(asked), { ok: true, message: /it is starting, and gave no answer within 50 ms/ });
});

void t.test('who gives no answer is not waited for, and nothing of it is left', async (t) => {
  const { folder, program } = await place(t);
  const bin = await program(`sleep 600 & echo $! > ${folder}/child; wait`);
  const asked = await askProgram([bin, '--version'], { cwd: folder, env: { PATH: process.env['PATH'] ?? '' }, withinMs: 300 });
  t.match(asked, { kind: 'slow', message: 'gave no answer within 300 ms' });
  const child = Number(await readFile(join(folder, 'child'), 'utf8'));
  const isLeft = (): boolean => table.find(child)?.isZombie === false;
  while (isLeft()) await nextTurn(); // The system needs a moment for it.
  t.notOk(isLeft());
  t.match(await askProgram(['no-such-program'], { cwd: folder, env: {} }), { kind: 'failed', message: /ENOENT/ });
  t.match(await askProgram(['true', 'x'.repeat(200_000)], { cwd: folder, env: {} }), { kind: 'failed', message: /E2BIG/ });
  const flood = await askProgram(['sh', '-c', 'yes | head -c 3000000; exit 4'], { cwd: folder, env: { PATH: process.env['PATH'] ?? '' } });
  t.ok(flood.kind === 'answered' && flood.exitCode === 4 && flood.stdout.length === 1024 * 1024);
});
