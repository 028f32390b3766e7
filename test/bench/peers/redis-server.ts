/** A Redis server that syncs each write before it answers, in its own folder. */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort, type TestEnd } from '../../apps/app-world.ts';

export interface RedisServer {
  readonly pid: number;
  readonly port: number;
  /** What the server reported. */
  readonly durability: string;
}

const STARTED_WITHIN_MS = 10_000;
const LOOK_MS = 50;

/** Such as `7.0.15`. Fails if Redis is not installed. */
export function redisVersion(): string {
  try {
    return /v=(\S+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown';
  } catch (thrown) {
    throw new Error(
      'BullMQ needs redis-server, which is not on the PATH. Install it (Debian: apt-get install redis-server), or choose others: --only agentcom,plainjob',
      { cause: thrown },
    );
  }
}

export async function startRedis(t: TestEnd): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'agentcom-redis-'));
  const port = await freePort();
  const settings = { port, bind: '127.0.0.1', dir: folder, save: '', appendonly: 'yes', appendfsync: 'always', loglevel: 'warning' };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const server = spawn('redis-server', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const exited = once(server, 'exit');
  const kill = (): void => void server.kill('SIGKILL');
  process.once('exit', kill);
  t.teardown(async () => {
    kill();
    await exited;
    process.off('exit', kill);
    rmSync(folder, { recursive: true, force: true });
  });
  const ask = async (...words: readonly string[]): Promise<string> =>
    (await promisify(execFile)('redis-cli', ['-p', String(port), ...words])).stdout.trim();
  const untilMs = performance.now() + STARTED_WITHIN_MS;
  while ((await ask('PING').catch(() => null)) !== 'PONG') {
    if (server.exitCode !== null || performance.now() > untilMs) throw new Error(`redis-server did not start on port ${port}`);
    await sleep(LOOK_MS);
  }
  const lines = await Promise.all(['appendonly', 'appendfsync'].map(async (name) => (await ask('CONFIG', 'GET', name)).replace('\n', '=')));
  if (lines.join(' ') !== 'appendonly=yes appendfsync=always') throw new Error(`Redis says ${lines.join(' ')}`);
  return { pid: server.pid ?? 0, port, durability: lines.join(' ') };
}
