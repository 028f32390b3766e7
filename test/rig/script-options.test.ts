/** The command line of this repository's scripts. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import t from 'tap';
import { withEnds } from '../chaos/rig/chaos-figures.ts';

const PLANTED = 'architecture/promises/run-planted.ts';

function run(script: string, ...options: readonly string[]) {
  const file = path.resolve(import.meta.dirname, '..', script);
  const given = ['--conditions=agentcom-source', '--import=tsx', file, ...options];
  const { status, stdout, stderr } = spawnSync(process.execPath, given, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

t.test('--help prints the options', async (t) => {
  const { status, stdout } = run(PLANTED, '--help');
  t.equal(status, 0);
  t.match(stdout, /^Options, after `--`:\n {2}--only VALUE\n {2}--missing\n$/);
});

t.test('an unknown option, and a value that is not a number, are refused without a stack trace', async (t) => {
  const unknown = run(PLANTED, '--speed', '3');
  t.equal(unknown.status, 2);
  t.match(unknown.stderr, /^Unknown option '--speed'.*\nOptions, after `--`:\n/);
  t.notMatch(unknown.stderr, /\n {4}at /);
  t.same(run('simulation/nightly.ts', '--seeds', 'many'), { status: 2, stdout: '', stderr: '--seeds many: expected a number from 0\n' });
});

t.test('every teardown runs, and every failure is reported', async (t) => {
  const ran: string[] = [];
  const work = withEnds(async (end) => {
    end.teardown(async () => void ran.push('first'));
    end.teardown(async () => {
      ran.push('second');
      throw new Error('the teardown failed');
    });
    throw new Error('the work failed');
  });
  await t.rejects(work, { message: 'the work failed; the teardown failed' });
  t.same(ran, ['second', 'first']);
  await t.rejects(
    withEnds(async () => {
      throw new Error('alone');
    }),
    { message: 'alone' },
  );
  t.equal(await withEnds(async () => 'answer'), 'answer');
});
