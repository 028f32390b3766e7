/** What the doctor finds out about agent programs, with programs that answer like the real ones. */
import { execFileSync } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { checkText, IDENTIFY_MESSAGE_BYTES } from '../../../core/application/sidecar/health/checks.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { askProgram, checkAgentProgram, systemProcessTable, versionIn } from '../../../plugins/plugin.ts';
import { acp, claudeCode, codex, command, gemini, openclaw, opencode } from '../../../plugins/runners.ts';
import { claude, place } from './check-place.ts';
import { fileAppears } from '../run-world.ts';

const table = systemProcessTable();

void t.test('a program that exists, is new enough and is logged in', async (t) => {
  const { program, checks, folder } = await place(t);
  const found = await checks(claudeCode({ bin: await program(claude('2.1.328', true)), cwd: 'project' }));
  t.match(found, {
    cwd: { ok: true, message: join(folder, 'project') },
    program: { ok: true, message: /2\.1\.328$/ },
    login: { ok: true },
  });
});

void t.test('a program that is missing, cannot be run, has an incomplete install, or is too old', async (t) => {
  const { program, checks, folder } = await place(t);
  const cwd = 'project';
  t.match(await checks(claudeCode({ bin: 'no-such-claude', cwd })), {
    program: { ok: false, message: /^There is no "no-such-claude" on PATH\.$/, hint: /npm install.* PATH: / },
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
    'standard error is not read as a version',
  );
});

void t.test('R13: a long PATH does not hide the name of a missing program and how to install it', async (t) => {
  const { checks } = await place(t);
  const env = { PATH: '/a/folder/of/programs:'.repeat(228).slice(0, 5_000) };
  const [bin, cwd] = ['no-such-agent', 'project'];
  for (const [choice, hint] of [
    [claudeCode({ bin, cwd, env }), 'Install it with "npm install -g @anthropic-ai/claude-code"'],
    [codex({ bin, cwd, env }), 'Install it with "npm install -g @openai/codex"'],
    [gemini({ bin, cwd, env }), 'Install it with "npm install -g @google/gemini-cli"'],
    [openclaw({ bin, cwd, env }), 'Install it with "npm install -g openclaw'],
    [opencode({ bin, cwd, model: 'a/b', env }), 'Install it with "npm install -g opencode-ai'],
    [acp({ bin, cwd, env }), 'Set the option "bin" to the path of the agent.'],
    [command({ argv: [bin], cwd, env }), 'Install it or correct argv[0].'],
  ] as const) {
    const { program } = await checks(choice);
    if (program === undefined) throw new Error(`${choice.name}: nothing was checked`);
    const received = checkText(program, IDENTIFY_MESSAGE_BYTES);
    t.ok(Buffer.byteLength(JSON.stringify(received)) <= IDENTIFY_MESSAGE_BYTES, `${choice.name}: ${received}`);
    t.match(received, /^There is no "no-such-agent"/);
    t.ok(received.includes(hint), `${choice.name}: ${received}`);
    t.match(received, /PATH: \/a\/folder.*… \(5000 characters\)$/);
  }
});

void t.test('a version is found among warnings on standard error', async (t) => {
  const { program, checks } = await place(t);
  const bin = await program(`echo 'WARNING: 1.2.3' >&2; echo 'codex-cli 0.169.0'; [ "$1" = --version ] || exit 1`);
  t.match(await checks(codex({ bin, cwd: 'project', env: { CODEX_API_KEY: 'k' } })), {
    program: { ok: true, message: /0\.169\.0$/ },
    login: { ok: true, message: 'CODEX_API_KEY is set' },
  });
  t.match(await checks(codex({ bin, cwd: 'project', env: { CODEX_API_KEY: '', OPENAI_API_KEY: '' } })), {
    login: { ok: false, message: 'Codex is not logged in.', hint: /codex login/ },
  });
  t.equal(versionIn('none here 1.2'), null);
});

void t.test('a program that is not logged in', async (t) => {
  const { program, checks } = await place(t);
  const found = await checks(claudeCode({ bin: await program(claude('2.1.328', false)), cwd: 'project' }));
  t.match(found, { program: { ok: true }, login: { ok: false, message: /not logged in/, hint: /\/login/ } });
});

void t.test('R16: a check that the config overrides by name does not block an agent, and reports what it found', async (t) => {
  const { program, checks } = await place(t);
  const bin = await program(claude('2.1.328', false));
  const ignored = { ok: true, message: /^failed, but ignored by ignoreChecks: .*not logged in/ };
  t.match(await checks(claudeCode({ bin, cwd: 'project', ignoreChecks: ['login'] })), { program: { ok: true }, login: ignored });
  t.match(await checks(claudeCode({ bin, cwd: 'project', ignoreChecks: ['program'] })), { login: { ok: false } });
  t.match(await checks(acp({ bin: 'no-such-agent', cwd: 'project', ignoreChecks: ['program'] })), {
    program: { ok: true, message: /no-such-agent/ },
  });
  t.strictSame(
    claudeCode({ ignoreChecks: ['logn'] as never })
      .problems()
      .map(({ path }) => path),
    ['ignoreChecks[0]'],
  );
});

void t.test('R16: a different program of the same name is detected by its version, whatever keys are set', async (t) => {
  const { program, checks } = await place(t);
  const bin = await program(`[ "$1" = --version ] && echo 'git version 2.39.5' || echo "git: '$1' is not a git command" >&2`);
  const env = { CODEX_API_KEY: 'k', GEMINI_API_KEY: 'k', ANTHROPIC_API_KEY: 'k' };
  for (const choice of [
    claudeCode({ bin, cwd: 'project', env }),
    codex({ bin, cwd: 'project', env }),
    gemini({ bin, cwd: 'project', env }),
    openclaw({ bin, cwd: 'project', env }),
    opencode({ bin, cwd: 'project', model: 'a/b', env }),
  ]) {
    const { program: found } = await checks(choice);
    t.match(
      found,
      { ok: false, message: /printed "git version 2\.39\.5": this is another program\.$/, hint: /set the option "bin" to its path/ },
      choice.name,
    );
  }
});

void t.test('a folder that is missing, that is not the agent’s, or that it cannot write to', async (t) => {
  const { program, checks } = await place(t);
  const bin = await program(claude('2.1.328', true));
  t.match(await checks(claudeCode({ bin, cwd: 'nowhere' })), {
    cwd: { ok: false, message: /nowhere" is not a folder/ },
    program: undefined,
  });
  t.match(await checks(opencode({ bin, cwd: '/', model: 'a/b' })), { cwd: { ok: false, message: /not a safe working directory/ } });
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

void t.test('a folder that is not writable even for root, or whose disk is full', { skip: noMount }, async (t) => {
  const { program, checks, folder } = await place(t);
  const bin = await program(claude('2.1.328', true));
  for (const [options, wanted, message] of [
    ['ro,size=64m', false, /project" is not writable/],
    ['size=4m', false, /^only 4 MiB are free at ".*project"\.$/],
    ['size=64m', true, /project$/],
  ] as const) {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', join(folder, 'project')]);
    const looks = async (permissions: 'edit' | 'read-only') => (await checks(claudeCode({ bin, cwd: 'project', permissions })))['cwd'];
    const [working, reading] = [await looks('edit'), await looks('read-only')];
    execFileSync('umount', ['-l', join(folder, 'project')]);
    t.match(working, { ok: wanted, message }, options);
    t.match(reading, { ok: true }, 'a program that only reads needs neither');
  }
});

void t.test('checks ask programs for version and login, within 5 s in total, and never send a prompt', async (t) => {
  const { program, checks, folder } = await place(t);
  const inputFile = join(folder, 'asked');
  const versions = "printf '9999.0.0\\n9999.0.0 (Claude Code)\\ncodex-cli 9999.0.0\\nOpenClaw 9999.0.0\\n'";
  const bin = await program(`echo "$@" >> ${inputFile}; read -r line && echo "$line" >> ${inputFile}; ${versions}`);
  const env = { ANTHROPIC_API_KEY: '', CODEX_API_KEY: '', OPENAI_API_KEY: '' };
  const greeting = /^\{"jsonrpc":"2\.0","id":0,"method":"initialize",/;
  for (const [choice, wanted] of [
    [claudeCode({ bin, cwd: 'project', env }), ['--version', 'auth status']],
    [codex({ bin, cwd: 'project', env }), ['--version', 'login status']],
    [gemini({ bin, cwd: 'project', env: { HOME: folder } }), ['--version']],
    [opencode({ bin, cwd: 'project', model: 'a/b' }), ['--version', 'models']],
    [openclaw({ bin, cwd: 'project' }), ['--version', 'models status --check --json']],
    [acp({ bin: [bin, 'acp'], cwd: 'project' }), ['acp', greeting]],
    [command({ argv: [bin], cwd: 'project' }), []],
  ] as const) {
    await rm(inputFile, { force: true });
    const beganMs = performance.now();
    await checks(choice);
    t.ok(performance.now() - beganMs < 5_000);
    const lines = (await readFile(inputFile, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
    t.equal(lines.length, wanted.length, `${choice.name}: ${lines.join(', ')}`);
    for (const one of wanted)
      t.ok(
        lines.some((line) => (typeof one === 'string' ? line === one : one.test(line))),
        `${choice.name}: ${String(one)}`,
      );
  }
});

void t.test('opencode is queried sequentially: two at once would create its database at the same time', async (t) => {
  const { program, checks, folder } = await place(t);
  const output = join(folder, 'said');
  const bin = await program(
    `echo "began $1" >> ${output}; [ "$1" = --version ] && sleep 0.3; echo "ended $1" >> ${output}; echo 1.18.33; echo a/b`,
  );
  t.match(await checks(opencode({ bin, cwd: 'project', model: 'a/b' })), { program: { ok: true }, settings: { ok: true } });
  const lines = (await readFile(output, 'utf8')).trim().split('\n');
  t.strictSame(lines, ['began --version', 'ended --version', 'began models', 'ended models']);
});

void t.test('permissions that apply to root too', async (t) => {
  const { program, checks } = await place(t);
  const bin = await program(claude('2.1.328', true));
  const isRoot = process.getuid?.() === 0;
  t.match(
    await checks(claudeCode({ bin, cwd: 'project', permissions: 'full' })),
    isRoot ? { permissions: { ok: false, hint: /IS_SANDBOX/ } } : {},
  );
  t.match(
    await checks(claudeCode({ bin, cwd: 'project', permissions: 'full', env: { IS_SANDBOX: '1' } })),
    isRoot ? { permissions: { ok: true } } : {},
  );
});

void t.test('an aborted check ends what it has started', async (t) => {
  const { folder, program } = await place(t);
  // Some ask it twice at once: each ends, and one is inspected.
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
      { ok: false, message: /was aborted/ },
      choice.name,
    );
    while (table.find(child)?.isZombie === false) await nextTurn(); // The system needs a moment for it.
    await rm(join(folder, 'child'));
  }
  const late = await askProgram([bin], { cwd: folder, env: {}, signal: AbortSignal.abort() });
  t.match(late, { kind: 'failed', message: 'was aborted' });
});

void t.test('a program that is only slow does not block its agent', async (t) => {
  const { folder, program } = await place(t);
  const bin = await program('exec sleep 600');
  const request = {
    argv: [bin],
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '' },
    minVersion: '1.0.0',
    install: 'Install it.',
    withinMs: 50,
  };
  t.match(await checkAgentProgram(request), { ok: true, message: /still starting: it did not answer within 50 ms/ });
});

void t.test('a program that does not answer is not waited for, and leaves no process', async (t) => {
  const { folder, program } = await place(t);
  const bin = await program(`sleep 600 & echo $! > ${folder}/child; wait`);
  const request = await askProgram([bin, '--version'], { cwd: folder, env: { PATH: process.env['PATH'] ?? '' }, withinMs: 300 });
  t.match(request, { kind: 'slow', message: 'did not answer within 300 ms' });
  const child = Number(await readFile(join(folder, 'child'), 'utf8'));
  const isLeft = (): boolean => table.find(child)?.isZombie === false;
  while (isLeft()) await nextTurn(); // The system needs a moment for it.
  t.notOk(isLeft());
  t.match(await askProgram(['no-such-program'], { cwd: folder, env: {} }), { kind: 'failed', message: /ENOENT/ });
  t.match(await askProgram(['true', 'x'.repeat(200_000)], { cwd: folder, env: {} }), { kind: 'failed', message: /E2BIG/ });
  const flood = await askProgram(['sh', '-c', 'yes | head -c 3000000; exit 4'], { cwd: folder, env: { PATH: process.env['PATH'] ?? '' } });
  t.ok(flood.kind === 'answered' && flood.exitCode === 4 && flood.stdout.length === 1024 * 1024);
});

void t.test('a program that leaves a process with its streams has answered, and nothing is read from that process', async (t) => {
  const { folder, program } = await place(t);
  const leave = `echo $$ > ${folder}/child; exec sleep 600`;
  for (const [start, isKilled] of [
    ['setsid', false],
    ['', true],
  ] as const) {
    const bin = await program(`${start} sh -c '${leave}' &\nwhile ! [ -s ${folder}/child ]; do :; done; echo 1.2.3; exit 3`);
    const pipes = (): number => process.getActiveResourcesInfo().filter((name) => name === 'PipeWrap').length;
    const before = pipes();
    const answer = await askProgram([bin], { cwd: folder, env: { PATH: process.env['PATH'] ?? '' }, withinMs: 60_000 });
    t.match(answer, { kind: 'answered', exitCode: 3, stdout: '1.2.3\n' });
    while (pipes() > before) await nextTurn(); // One that stays would keep the process of the checks alive.
    const child = Number(await readFile(join(folder, 'child'), 'utf8'));
    if (!isKilled) process.kill(child, 'SIGKILL');
    while (table.find(child)?.isZombie === false) await nextTurn();
    await rm(join(folder, 'child'));
  }
});

void t.test('a program that may not be killed, since it runs as another user, does not end the sidecar that checks it', async (t) => {
  const { folder, program } = await place(t);
  const bin = await program('echo 1.2.3; exec sleep 600');
  const { kill } = process;
  const refused: number[] = [];
  t.teardown(() => {
    process.kill = kill;
    for (const pid of refused) process.kill(pid, 'SIGKILL');
  });
  process.kill = (pid) => {
    refused.push(pid);
    throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' });
  };
  const asked = { cwd: folder, env: { PATH: process.env['PATH'] ?? '' } };
  t.match(await askProgram([bin], { ...asked, isAnswer: (text) => text !== '' }), { kind: 'answered', stdout: '1.2.3\n' });
  t.match(await askProgram([bin], { ...asked, withinMs: 50 }), { kind: 'slow' });
  t.match(await askProgram([bin], { ...asked, signal: AbortSignal.timeout(50) }), { kind: 'failed', message: 'was aborted' });
  t.equal(refused.length, 3);
});
