/** A sidecar that cannot listen for a while: its process is stopped, as in a paused container, or it cannot open files. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { builtTree } from '../../rig/built-tree.ts';
import { runWorld } from '../run-world.ts';

const SIDECAR_PROCESS = builtTree().compiled('test/plugins/sidecar-process.ts');
const IDLE_MS = 1_000;

/** Prints a line every 50 ms until a file `end` exists. */
const TALKS = `until test -e "$AGENTCOM_RESULTS_DIR/end"; do echo '{"percent":1}'; sleep 0.05; done; echo '{"status":"success","output":"heard"}'`;

/** What a sidecar reports about an agent that keeps printing while `disturb` runs, and then prints its result. */
async function outcomeDespite(t: Test, disturb: (sidecar: ChildProcess, end: () => Promise<void>) => Promise<void>): Promise<unknown> {
  const world = await runWorld();
  t.teardown(() => world.close());
  const request = await world.request();
  const options = { argv: ['sh', '-c', TALKS], report: 'last-json-line', idleMs: IDLE_MS };
  const order = JSON.stringify({ options, request, baseDir: world.baseDir, leaves: false });
  const sidecar = spawn(process.execPath, [SIDECAR_PROCESS, order], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => sidecar.kill('SIGKILL'));
  const lines = createInterface(sidecar.stdout);
  await once(lines, 'line');
  const outcome = once(lines, 'line');
  const end = (): Promise<void> => writeFile(join(request.resultsDir, 'end'), '');
  await disturb(sidecar, end);
  await end();
  return JSON.parse(String(await outcome)) as unknown;
}

void t.test('R16: an agent that kept printing while its sidecar was stopped does not count as silent', async (t) => {
  const outcome = await outcomeDespite(t, async (sidecar) => {
    for (let times = 0; times < 3; times += 1) {
      sidecar.kill('SIGSTOP');
      await sleep(1.5 * IDLE_MS);
      sidecar.kill('SIGCONT');
      await sleep(0.2 * IDLE_MS);
    }
  });
  t.match(outcome, { type: 'completed', output: 'heard' });
});

const limitFiles = (sidecar: ChildProcess, files: number) =>
  execFileSync('prlimit', ['--pid', String(sidecar.pid), `--nofile=${String(files)}:`]);

void t.test('R16: a sidecar that could not open files for a moment continues to read, and its agent does not fail', async (t) => {
  const outcome = await outcomeDespite(t, async (sidecar) => {
    limitFiles(sidecar, 3);
    await sleep(0.5 * IDLE_MS);
    limitFiles(sidecar, 1_000);
  });
  t.match(outcome, { type: 'completed', output: 'heard' });
});

void t.test('R16: a sidecar that could open no file when its agent ended looks again for what is left of it', async (t) => {
  const outcome = await outcomeDespite(t, async (sidecar, end) => {
    limitFiles(sidecar, 3);
    await end();
    await sleep(0.5 * IDLE_MS);
    limitFiles(sidecar, 1_000);
  });
  t.match(outcome, { type: 'completed', output: 'heard' });
});
