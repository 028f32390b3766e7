/** A sidecar whose process is stopped for a while, as by a container that is paused or a machine that sleeps. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { builtTree } from '../../rig/built-tree.ts';
import { runWorld } from '../run-world.ts';

const SIDECAR_PROCESS = builtTree().compiled('test/plugins/sidecar-process.ts');
const IDLE_MS = 1_000;

/** Prints a line each 50 ms until there is a file `end`. */
const TALKS = `until test -e "$AGENTCOM_RESULTS_DIR/end"; do echo '{"percent":1}'; sleep 0.05; done; echo '{"status":"success","output":"heard"}'`;

void t.test('R16: an agent that went on printing while its sidecar was stopped does not count as silent', async (t) => {
  const world = await runWorld();
  t.teardown(() => world.close());
  const request = await world.request();
  const options = { argv: ['sh', '-c', TALKS], report: 'last-json-line', idleMs: IDLE_MS };
  const errand = JSON.stringify({ options, request, baseDir: world.baseDir, leaves: false });
  const sidecar = spawn(process.execPath, [SIDECAR_PROCESS, errand], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => sidecar.kill('SIGKILL'));
  const lines = createInterface(sidecar.stdout);
  await once(lines, 'line');
  const outcome = once(lines, 'line');
  for (let times = 0; times < 3; times += 1) {
    sidecar.kill('SIGSTOP');
    await sleep(1.5 * IDLE_MS);
    sidecar.kill('SIGCONT');
    await sleep(0.2 * IDLE_MS);
  }
  await writeFile(join(request.resultsDir, 'end'), '');
  t.match(JSON.parse(String(await outcome)), { type: 'completed', output: 'heard' });
});
