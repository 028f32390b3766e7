/** An agent for tests; its first argument selects its behavior. It writes `<task_id>.started` once it runs. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, renameSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const { AGENTCOM_TASK_ID: taskId, AGENTCOM_TASK_FILE: taskFile, AGENTCOM_RESULTS_DIR: resultsDir } = process.env;
const [behavior, ...rest] = process.argv.slice(2);

const started = () => writeFileSync(join(resultsDir, `${taskId}.started`), '');

/** Runs until a file `end` appears, printing a line every 10 ms. */
function work() {
  const end = join(resultsDir, 'end');
  const endIfTold = () => {
    if (existsSync(end)) process.exit(0);
  };
  watch(resultsDir, endIfTold);
  setInterval(() => process.stdout.write('tick\n'), 10);
  started();
  endIfTold();
}

/** A node process that ignores SIGTERM as long as it lives, and prints a line once it does. */
const STUBBORN = `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up')`;

/** Starts one and resolves once it is ready. */
function stubborn(program, args, options) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'], ...options });
    child.stdout.once('data', () => resolve(child));
  });
}

const NODE = process.execPath;
const behaviors = {
  ends: () => started(),
  fails() {
    started();
    console.error('it broke');
    process.exitCode = 3;
  },
  works: work,
  'ignores-stop'() {
    process.on('SIGTERM', () => {});
    work();
  },
  /** Takes a moment to clean up when it is asked to end. */
  tidies() {
    process.on('SIGTERM', () => setTimeout(() => process.exit(0), 50));
    process.on('exit', () => writeFileSync(join(resultsDir, 'tidied'), ''));
    work();
  },
  /** Children in its group, in groups and sessions of their own, and one that has lost its parent; all ignore SIGTERM. */
  async tree() {
    process.on('SIGTERM', () => {});
    await stubborn(NODE, ['-e', STUBBORN]);
    await stubborn(NODE, ['-e', STUBBORN], { detached: true });
    await stubborn('sh', ['-c', `setsid ${NODE} -e "$1" & wait`, 'sh', STUBBORN]);
    await stubborn('sh', ['-c', `setsid ${NODE} -e "$1" & exit 0`, 'sh', STUBBORN]);
    work();
  },
  /** Ends by itself and leaves two children: one in its group, one in a session of its own. */
  async leaves() {
    const inGroup = await stubborn(NODE, ['-e', STUBBORN]);
    const onItsOwn = await stubborn(NODE, ['-e', STUBBORN], { detached: true });
    started();
    for (const child of [inGroup, onItsOwn]) child.unref();
    process.exit(0);
  },
  /** Records everything that it was given. */
  reports() {
    const stdin = readFileSync(0).toString('base64');
    const file = readFileSync(taskFile).toString('base64');
    const path = join(resultsDir, 'report.json');
    writeFileSync(`${path}.part`, JSON.stringify({ args: rest, stdin, file, env: process.env, cwd: process.cwd() }));
    renameSync(`${path}.part`, path);
    started();
  },
  /** Writes this many MiB to standard output, then continues to run if the next argument says so. */
  floods() {
    const mebibyte = Buffer.alloc(1024 * 1024, 'x');
    for (let i = 0; i < Number(rest[0]); i += 1) writeFileSync(1, mebibyte);
    if (rest[1] === 'works') work();
  },
};
await behaviors[behavior]();
