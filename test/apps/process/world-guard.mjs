/**
 * Ends everything that still runs in the folder of a world, and removes the folder, as soon as standard input closes:
 * when the test asks for it, and when the test was killed or has crashed. Every process of a world, including its
 * agents and their children, has the folder, or one in it, as its working directory.
 */
import { readdirSync, readlinkSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const [dir] = process.argv.slice(2);

for await (const _ of process.stdin);
for (let left = ownProcesses(); left.length > 0; left = ownProcesses()) {
  for (const pid of left) kill(pid);
  await sleep(10);
}
rmSync(dir, { recursive: true, force: true, maxRetries: 5 });

function ownProcesses() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => `${cwdOf(pid)}/`.startsWith(`${dir}/`));
}

/** Null for a process that has ended, including a zombie, and for one of another user. */
function cwdOf(pid) {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return null;
  }
}

function kill(pid) {
  try {
    process.kill(Number(pid), 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}
