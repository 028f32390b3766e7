import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { pinoLog } from '../../adapters/log-pino/pino-log.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { logContract, type LogSubject } from '../product/contracts/log.contract.ts';
import { builtTree } from '../rig/built-tree.ts';

type Line = Readonly<Record<string, unknown>>;

const linesOf = (text: string): readonly Line[] => {
  const lines = text.split('\n');
  assert.equal(lines.pop(), '', 'the last line is complete');
  return lines.map((line) => JSON.parse(line) as Line);
};

const inFile = (t: Test) => {
  const file = join(t.testdir(), 'log.jsonl');
  return { file, read: () => linesOf(readFileSync(file, 'utf8')) };
};

const subject: LogSubject = {
  fresh(t) {
    const folder = mkdtempSync(join(tmpdir(), 'agentcom-log-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'log.jsonl');
    return {
      log: pinoLog({ level: 'debug', file }),
      lines: () =>
        linesOf(readFileSync(file, 'utf8')).map(({ level, msg, time, pid, ...fields }) => {
          assert.equal(typeof time, 'number');
          assert.equal(pid, process.pid);
          return { level: String(level), message: String(msg), fields };
        }),
    };
  },
};
logContract('pino', subject, t);

t.test('logs info and above by default', async (t) => {
  const { file, read } = inFile(t);
  const log = pinoLog({ file });
  log.debug('no');
  log.with({}).debug('no');
  log.info('yes');
  t.equal(read().length, 1);
});

t.test('errors are logged with code, message, stack and details; conflicting field names are kept separate', async (t) => {
  const { file, read } = inFile(t);
  pinoLog({ file }).error('failed', {
    error: new AgentcomError('AC_LISTEN', 'Cannot listen.', { details: { port: 1 }, cause: new Error('EACCES') }),
    time: 'mine',
  });
  t.match(read()[0], {
    level: 'error',
    msg: 'failed',
    time: Number,
    time_: 'mine',
    error: { code: 'AC_LISTEN', message: 'Cannot listen.: EACCES', details: { port: 1 }, stack: /AgentcomError: Cannot listen\./ },
  });
});

t.test('lines of one turn are written together; a warning, an exit or 64 KiB triggers an immediate write', async (t) => {
  const { file, read } = inFile(t);
  const log = pinoLog({ file, isTogether: true }).with({ program: 'hub' });
  log.info('first');
  log.info('second');
  t.equal(readFileSync(file, 'utf8'), '', 'they wait for the end of the turn');
  await new Promise(setImmediate);
  t.match(read(), [{ msg: 'first' }, { msg: 'second' }]);
  log.info('third');
  log.warn('now');
  t.match(read().slice(2), [{ msg: 'third' }, { msg: 'now', level: 'warn' }], 'in order, after all earlier lines');
  for (let n = 0; n < 70; n += 1) log.info('long', { text: 'x'.repeat(1_000) });
  t.ok(read().length > 60, 'the pending lines are bounded');
  await new Promise(setImmediate);
  t.equal(read().length, 74, 'nothing is lost or repeated');
});

t.test('a line that is too long is truncated and marked as such', async (t) => {
  const { file, read } = inFile(t);
  const log = pinoLog({ file });
  log.info('huge', { text: 'x'.repeat(200_000) });
  log.info('next');
  t.match(read(), [{ msg: 'A log line was too long and was truncated.', characters: Number, beginning: /huge|xxx/ }, { msg: 'next' }]);
  t.ok(readFileSync(file).length < 5_000);
});

t.test('a full disk neither throws nor stops the process', { skip: existsSync('/dev/full') ? false : 'no /dev/full here' }, async (t) => {
  const log = pinoLog({ file: '/dev/full' });
  for (let n = 0; n < 1_000; n += 1) t.doesNotThrow(() => log.error('lost', { text: 'x'.repeat(5_000) }));
  await new Promise(setImmediate);
});

t.test('the last line before an exit is on standard error, and standard output stays clean', async (t) => {
  const source = JSON.stringify(builtTree().compiled('adapters/log-pino/pino-log.ts'));
  for (const options of ['{}', '{ isTogether: true }']) {
    const program = `const { pinoLog } = await import(${source}); const log = pinoLog(${options});
    for (let n = 0; n < 500; n += 1) log.info('line', { n, text: 'x'.repeat(1000) });
    log.info('last'); process.exit(3);`;
    const args = ['--input-type=module', '--eval', program];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 10_000_000 });
    t.equal(status, 3);
    t.equal(stdout, '');
    const lines = linesOf(stderr);
    t.equal(lines.length, 501);
    t.match(lines.at(-1), { msg: 'last' });
  }
});

t.test('human-readable lines show time, level, message and fields, with control characters neutralized', async (t) => {
  const file = join(t.testdir(), 'log.txt');
  const log = pinoLog({ file, isReadable: true }).with({ program: 'hub' });
  log.info('a sidecar has connected', { agent_id: 'w1', slots: 2, capabilities: ['a b'], reason: 'it said\n\u001b[31m"no"\u202e\u009b' });
  log.error('cannot commit', { error: new AgentcomError('AC_STORE_RETRY', 'too\u001b busy') });
  const [first = '', second = '', ...stack] = readFileSync(file, 'utf8').split('\n');
  t.match(
    first,
    /^\d\d:\d\d:\d\d INFO {2}a sidecar has connected {2}agent_id=w1 slots=2 capabilities=\["a b"\] reason="it said\\n\\u001b\[31m/,
  );
  t.match(second, /^\d\d:\d\d:\d\d ERROR cannot commit {2}error="too\\u001b busy"$/);
  t.match(stack[0], /^ {4}at /);
  t.notMatch(readFileSync(file, 'utf8').replaceAll('\n', ''), /[\u0000-\u001f\u007f-\u009f\u202e]/);
});
