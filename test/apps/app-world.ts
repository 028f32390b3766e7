/** Hubs and sidecars as real processes, in their own folder: started by the command that people use, and killed as in reality. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { hubClient, type HubClient, type StreamEvent } from '../../apps/client/index.ts';
import type { HubTiming, SidecarTiming } from '../../core/config/times.ts';
import { adaptersUnderTest, requireAdapters, type StorageUnderTest } from './adapters-under-test.ts';
import { builtTree } from '../rig/built-tree.ts';

const GUARD = resolve(import.meta.dirname, 'process/world-guard.mjs');
const LEDGER_ARGV = [process.execPath, resolve(import.meta.dirname, '../durability/ledger-agent.mjs')];
/** How long a program may take to report that it is ready, in milliseconds, on two busy cores. */
const READY_WITHIN_MS = 60_000;
/** How long a test waits for what must happen, in milliseconds. */
const EVENT_WITHIN_MS = 30_000;
/** Interval between reads of the ledger: file watchers miss lines. */
const LEDGER_LOOK_MS = 20;

/** Times scaled down so that a test takes seconds; the sum that the grace period must reach is preserved. */
export const QUICK_HUB_TIMING: Partial<HubTiming> = {
  heartbeatMs: 500,
  pongWaitMs: 500,
  reconnectMaxMs: 500,
  graceMarginMs: 500,
  reconnectGraceMs: 4_000,
  quietAfterStartMs: 4_000,
  sweepMs: 500,
  stopResendMs: 1_000,
  killGraceMs: 1_000,
  acceptMs: 10_000,
  leaseMs: 6_000,
  backoff: { firstMs: 100, maxMs: 1_000 },
};
export const QUICK_SIDECAR_TIMING: Partial<SidecarTiming> = {
  wakeRetriesMs: [100, 200, 300],
  confirmWithinMs: 15_000,
  reportRepeat: { firstMs: 300, maxMs: 1_000 },
};

export interface Program {
  readonly process: ChildProcess;
  readonly ready: string;
  /** Its log so far. */
  log(): string;
  /** Sends the signal and waits for the process to end; returns the exit code, or the signal that killed it. */
  kill(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null>;
}

export interface LedgerLine {
  readonly what: 'start' | 'child' | 'end' | 'stopped';
  readonly pid: number;
  readonly task: string;
  readonly generation: number;
  readonly at: number;
  readonly beside?: readonly number[];
  readonly description?: string;
}

export interface World {
  readonly dir: string;
  readonly port: number;
  readonly api: HubClient;
  readonly adminToken: string;
  startHub(env?: Readonly<Record<string, string>>): Promise<Program>;
  /** Starts it again with the config of the first time. */
  startSidecar(agentId: string, options?: SidecarOptions): Promise<Program>;
  ledger(): readonly LedgerLine[];
  /** Waits until the task's agents have written this line, in any run or in that of `generation`. */
  ledgerLine(taskId: string, what: LedgerLine['what'], generation?: number): Promise<LedgerLine>;
  /** Lets the agent of this task, or all agents, finish; with `generation` only in that run. */
  release(taskId?: string, generation?: number): void;
  /** Waits for an event of the task (one of `names` that `matches` accepts) and returns its name. */
  event(taskId: string, names: readonly string[], withinMs?: number, matches?: (data: StreamEvent['data']) => boolean): Promise<string>;
  /** The event names of the task's history, in order. */
  history(taskId: string): Promise<readonly string[]>;
}

export interface SidecarOptions {
  /** For example through a proxy. */
  readonly hubUrl?: string;
  readonly capabilities?: readonly string[];
  /** The program that it wakes instead of the ledger agent. */
  readonly argv?: readonly string[];
  /** Its runner instead of `command`: the name in `agentcom/runners`, and the options. */
  readonly wake?: readonly [name: string, options: Readonly<Record<string, unknown>>];
  /** Environment of its agents. */
  readonly env?: Readonly<Record<string, string>>;
  /** Its own environment. */
  readonly programEnv?: Readonly<Record<string, string>>;
  /** Timing that only this one has. */
  readonly timing?: Partial<SidecarTiming>;
  /** More of the sidecar's config, as source text. */
  readonly extra?: string;
}

export interface WorldOptions {
  /** The hub's storage, if the test needs a particular one. */
  readonly storage?: StorageUnderTest;
  readonly hubTiming?: Partial<HubTiming>;
  readonly sidecarTiming?: Partial<SidecarTiming>;
  /** More of the hub's config, and of its `listen`, as source text. */
  readonly hubExtra?: string;
  readonly hubListen?: string;
  /** The hub serves TLS with these files. */
  readonly hubTls?: { readonly certFile: string; readonly keyFile: string; readonly fingerprint: string };
}

/** The part of a tap test that a world needs. */
export interface TestEnd {
  teardown(fn: () => Promise<void>): void;
}

export async function makeWorld(t: TestEnd, options: WorldOptions = {}): Promise<World> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'agentcom-world-')));
  const port = await freePort();
  const adminToken = 'a-token-of-the-tests-'.repeat(3);
  const hubTiming = { ...QUICK_HUB_TIMING, ...options.hubTiming };
  const sidecarTiming = { ...QUICK_SIDECAR_TIMING, ...options.sidecarTiming };
  mkdirSync(join(dir, 'ledger'));
  builtTree().installIn(dir);
  const { hubTls: tls } = options;
  const hubTls = tls === undefined ? '' : `tls: ${JSON.stringify({ certFile: tls.certFile, keyFile: tls.keyFile })},`;
  const url = `http${tls === undefined ? '' : 's'}://127.0.0.1:${port}`;
  const trust = tls === undefined ? {} : { fingerprints: [tls.fingerprint] };
  const api = hubClient({ url, token: adminToken, tls: trust, retryWithinMs: 10_000 });
  const adapters = { ...adaptersUnderTest(), ...(options.storage === undefined ? {} : { storage: options.storage }) };
  const stopping = new AbortController();

  writeFileSync(
    join(dir, 'hub.config.mjs'),
    `import { defineConfig } from 'agentcom';
import { ${adapters.storage.name} } from 'agentcom/storage';
import { ${adapters.transport} } from 'agentcom/transport';
export default defineConfig({ hub: { listen: { port: ${port}, ${hubTls} ${options.hubListen ?? ''} }, storage: ${adapters.storage.text}, transport: ${adapters.transport}(), dataDir: 'hub',
  adminToken: ${JSON.stringify(adminToken)}, timing: ${JSON.stringify(hubTiming)}, ${options.hubExtra ?? ''} } });
`,
  );

  const start = (name: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Program> =>
    startProgram(join(dir, `${name}.log`), args, dir, env);

  const guard = startGuard(dir);
  t.teardown(async () => {
    stopping.abort();
    await guard.end();
  });

  return {
    dir,
    port,
    api,
    adminToken,
    async startHub(env) {
      const hub = await start('hub', ['hub', '--config', join(dir, 'hub.config.mjs')], env);
      await requireAdapters(api, adapters);
      return hub;
    },
    async startSidecar(agentId, options = {}) {
      const {
        hubUrl = `ws://127.0.0.1:${port}/ws`,
        capabilities = ['code'],
        argv = LEDGER_ARGV,
        env = {},
        wake = ['command', { argv, graceMs: hubTiming.killGraceMs, env: { LEDGER_DIR: join(dir, 'ledger'), ...env } }],
        programEnv = {},
        timing = {},
        extra = '',
      } = options;
      const config = join(dir, `${agentId}.config.mjs`);
      if (!existsSync(config)) {
        const { token } = await api.tokens.create({ agent_id: agentId });
        writeFileSync(
          config,
          `import { defineConfig } from 'agentcom';
import { ${wake[0]} as runner } from 'agentcom/runners';
export default defineConfig({ sidecar: { hubs: [${JSON.stringify(hubUrl)}], agentId: '${agentId}', token: ${JSON.stringify(token)}, dataDir: '${agentId}',
  capabilities: ${JSON.stringify(capabilities)}, timing: ${JSON.stringify({ ...sidecarTiming, ...timing })},
  wake: runner(${JSON.stringify(wake[1])}), ${extra} } });
`,
        );
      }
      return start(agentId, ['sidecar', '--config', config], programEnv);
    },
    ledger: () => readLedger(dir),
    async ledgerLine(taskId, what, generation) {
      const isIt = (line: LedgerLine): boolean =>
        line.task === taskId && line.what === what && (generation === undefined || line.generation === generation);
      const untilMs = Date.now() + EVENT_WITHIN_MS;
      while (Date.now() < untilMs) {
        const line = readLedger(dir).find(isIt);
        if (line !== undefined) return line;
        await sleep(LEDGER_LOOK_MS, undefined, { signal: stopping.signal });
      }
      throw new Error(`${taskId}: no "${what}" in the ledger within ${EVENT_WITHIN_MS} ms: ${JSON.stringify(readLedger(dir))}`);
    },
    release(taskId = 'all', generation) {
      writeFileSync(join(dir, 'ledger', `release-${taskId}${generation === undefined ? '' : `.g${generation}`}`), '');
    },
    async event(taskId, names, withinMs = EVENT_WITHIN_MS, matches = () => true) {
      const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(withinMs)]);
      for await (const event of api.events({ taskId, lastEventId: '0', signal })) {
        if (names.includes(event.event) && matches(event.data)) return event.event;
      }
      throw new Error(
        `${taskId}: none of ${names.join(', ')} within ${withinMs} ms; its history: ${(await historyOf(api, taskId)).join(' ')}`,
      );
    },
    history: (taskId) => historyOf(api, taskId),
  };
}

const historyOf = async (api: HubClient, taskId: string): Promise<readonly string[]> =>
  (await api.tasks.get(taskId)).history.map((event) => event.event);

async function startProgram(
  logFile: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): Promise<Program> {
  const child = spawn(process.execPath, [builtTree().bin, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
  });
  const log = createWriteStream(logFile, { flags: 'a' });
  child.stderr.pipe(log);
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const lines = createInterface({ input: child.stdout });
  const timer = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS);
  const first = await Promise.race([once(lines, 'line').then(([line]) => line as string), exited.then(() => null)]);
  clearTimeout(timer);
  if (first === null) throw new Error(`${args.join(' ')} ended before it was ready:\n${readFileSync(logFile, 'utf8')}`);
  return {
    process: child,
    ready: first,
    log: () => readFileSync(logFile, 'utf8'),
    async kill(signal) {
      child.kill(signal);
      const [code, by] = await exited;
      return code ?? by;
    },
  };
}

function readLedger(dir: string): readonly LedgerLine[] {
  const file = join(dir, 'ledger', 'ledger.jsonl');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as LedgerLine);
}

/** Agents outlive their sidecars, and programs outlive a killed test; the guard outlives them all. */
function startGuard(dir: string): { readonly end: () => Promise<void> } {
  const guard = spawn(process.execPath, [GUARD, dir], { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'inherit'] });
  const exited = once(guard, 'exit');
  guard.unref();
  return {
    async end() {
      guard.ref();
      guard.stdin.end();
      const [code] = (await exited) as [number | null];
      if (code !== 0) throw new Error(`the guard of ${dir} ended with ${code}`);
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
