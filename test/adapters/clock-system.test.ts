import { spawnSync } from 'node:child_process';
import t from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { clockContract } from '../product/contracts/clock.contract.ts';
import { builtTree } from '../rig/built-tree.ts';

// Waits by one of Node's own timers, not by the one under test; a little longer, for a busy machine.
clockContract('system', { clock: systemClock(), pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms + 25)) }, t);

const CLOCK = JSON.stringify(builtTree().compiled('adapters/clock-system/system-clock.ts'));

/** Runs a line with the clock as `clock` in a child process, and returns what it printed. */
const runs = (line: string): string => {
  const program = `const { systemClock } = await import(${CLOCK}); const clock = systemClock(); ${line}`;
  const args = ['--input-type=module', '--eval', program];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 30_000 });
  t.equal(stderr, '');
  return stdout;
};

t.test('a waiting timer keeps the process alive, a cancelled one does not', async (t) => {
  t.equal(runs(`clock.after(50, () => console.log('fired'));`), 'fired\n');
  t.equal(runs(`clock.after(1e12, () => undefined).cancel(); console.log('end');`), 'end\n');
});
