/** Wrong options, what a worker loads, and what its log and events may do. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { worker, type WorkerOptions } from '../../../apps/worker/index.ts';
import { checkedOptions } from '../../../apps/worker/worker-options.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { workerRoom } from './worker-room.ts';

const RIGHT: WorkerOptions = { hub: 'http://127.0.0.1:1', token: 'a-token', agentId: 'w1', handle: () => undefined, log: {} };

t.test('options that are no object are an error of the options', (t) => {
  for (const wrong of [undefined, null, 5])
    t.throws(() => worker(wrong as never), { code: 'AC_CONFIG_INVALID', message: /\n {2}options: expected an object, found / });
  t.end();
});

t.test('the hub may be named by the address of its API or of its socket', (t) => {
  for (const hub of ['http://127.0.0.1:1', 'http://127.0.0.1:1/', 'ws://127.0.0.1:1', 'ws://127.0.0.1:1/ws', 'http://127.0.0.1:1/ws/'])
    t.strictSame(checkedOptions({ ...RIGHT, hub }).config.hubs, ['ws://127.0.0.1:1/ws'], hub);
  t.strictSame(checkedOptions({ ...RIGHT, hub: 'https://a.example/agentcom' }).config.hubs, ['wss://a.example/agentcom/ws']);
  t.end();
});

t.test('all errors are reported at once, by option name', (t) => {
  const cases: readonly (readonly [wrong: object, said: readonly RegExp[]])[] = [
    [{ hub: undefined }, [/\n {2}hub: /]],
    [{ hub: 'ftp://x' }, [/\n {2}hub\[0\]: expected an address such as http:\/\/127\.0\.0\.1:4000/]],
    [{ hub: [] }, [/\n {2}hub: expected a list of 1 to/]],
    [{ hub: 'http://hub.example.org' }, [/\n {2}hub\[0\]: expected https:\/\/ .*insecure: true/]],
    [{ token: undefined }, [/\n {2}token: is missing/]],
    [{ token: '' }, [/\n {2}token: expected a token of visible ASCII characters, from `agentcom tokens create --agent ID`, found /]],
    [{ agentId: 'A B' }, [/\n {2}agentId: expected an ID/]],
    [{ handle: 'x' }, [/\n {2}handle: expected a function/]],
    [{ slots: 0, drainMs: -1, journalDir: '', onEvent: 1, log: 1 }, [/slots: /, /drainMs: /, /journalDir: /, /onEvent: /, /log: /]],
    [{ idleMs: 'x' }, [/\n {2}idleMs: /]],
    [{ deviceKey: 'yes', journalDir: 'x' }, [/\n {2}deviceKey: /]],
    [{ deviceKey: true }, [/\n {2}deviceKey: is set without journalDir; expected journalDir, where the key is kept/]],
    [{ slot: 2 }, [/\n {2}slot: there is no such option; expected one of hub, /]],
  ];
  for (const [wrong, pattern] of cases) {
    try {
      worker({ ...RIGHT, ...wrong } as WorkerOptions);
      t.fail(JSON.stringify(wrong));
    } catch (thrown) {
      t.ok(AgentcomError.is(thrown));
      for (const each of pattern) t.match((thrown as Error).message, each);
      t.notMatch((thrown as Error).message, /sidecar/);
      t.notMatch((thrown as Error).message, /a-token/);
    }
  }
  t.end();
});

t.test('a worker whose hub is away stops at once', async (t) => {
  const running = worker(RIGHT);
  await running.stop();
  await running.finished;
  t.pass('stopped');
});

t.test('with deviceKey, a stolen worker token is useless; the original machine can reconnect', async (t) => {
  const room = await workerRoom(t);
  const token = await room.hub.token('agent', 'w1');
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-worker-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const journalDir = join(folder, 'journal');
  const first = await room.worker({ token, journalDir, deviceKey: true, handle: () => 'first' });
  t.match(await room.hub.api.agents.get('w1'), { connected: true, device_key_bound: true });
  await first.stop();

  let refused = (_message: string): void => undefined;
  const refusal = new Promise<string>((resolve) => (refused = resolve));
  const thief = worker({ ...RIGHT, hub: room.hub.url, token, log: { error: (message) => refused(message) } });
  t.match(await refusal, /the hub refuses the device key of agent "w1"/);
  await thief.stop();

  await room.worker({ token, journalDir, deviceKey: true, handle: () => 'again' });
  t.match(await room.done({ description: 'x' }), { status: 'completed', result: { output: 'again' } });
});

t.test('the journal of a worker is exclusive to it', async (t) => {
  const room = await workerRoom(t);
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-worker-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const journalDir = join(folder, 'journal');
  await room.worker({ journalDir, handle: () => 'journaled' });
  t.match(await room.done({ description: 'x' }), { status: 'completed', result: { output: 'journaled' } });
  const second = worker({ ...RIGHT, journalDir });
  await t.rejects(second.ready, { code: 'AC_JOURNAL_LOCKED' });
  await t.rejects(second.finished, { code: 'AC_JOURNAL_LOCKED' });
  await second.stop();
});

t.test('a log and an onEvent that throw change nothing', async (t) => {
  const room = await workerRoom(t);
  const fail = (): never => {
    throw new Error('no room');
  };
  await room.worker({ handle: () => 1, onEvent: fail, log: { debug: fail, info: fail, warn: fail, error: fail } });
  t.equal((await room.done({ description: 'x' })).status, 'completed');
});

t.test('the worker loads neither a database nor the container', (t) => {
  const entry = builtTree().compiled('apps/worker/index.ts');
  const script = `await import(${JSON.stringify(entry)})`;
  const trace = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], NODE_DEBUG: 'esm' },
    // Newer Nodes report much more about each module.
    maxBuffer: 67_108_864,
  });
  t.equal(trace.status, 0, trace.stderr.slice(-2_000));
  t.match(trace.stderr, /apps\/worker\/running-worker\.js/, 'loaded modules are detected');
  for (const heavy of [
    'node_modules/knex',
    'node_modules/sqlite3',
    'node_modules/pg/',
    'inversify',
    'node_modules/pino',
    'journal-file/file-journal',
  ]) {
    t.notOk(trace.stderr.includes(heavy), `${heavy} is not loaded`);
  }
  t.end();
});
