/**
 * Hubs and many sidecars as people run them, each in its own process, in a folder of their own. They are started and killed
 * here; what that did to the tasks is judged by what their agents, submitters and files report (chaos-judge.ts).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { hubClient, type HubClient } from '../../../apps/client/index.ts';
import type { PostgresOptions } from '../../../adapters/storage-knex/postgres/options.ts';
import type { HubLimits } from '../../../core/config/limits.ts';
import type { HubTiming, SidecarTiming } from '../../../core/config/times.ts';
import { freePort, type TestEnd } from '../../apps/app-world.ts';
import type { BuiltTree } from '../../rig/built-tree.ts';
import { openLedger, type Ledger } from './chaos-ledger.ts';
import { startProgram, type Program } from './chaos-program.ts';
import { postgresReader, sqliteReader, type StoreReader } from './stored.ts';

const AGENT = resolve(import.meta.dirname, 'scripts/agent.sh');
/** For long runs on glibc, as in docs/performance.md; otherwise memory that threads freed stays with the process. For runs that judge memory. */
export const MALLOC = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072' };
const LOOP_LAG = resolve(import.meta.dirname, 'scripts/loop-lag.mjs');
/** The environment of a program that loop-lag.mjs measures; how it triggers garbage collection is experimental in Node. */
export const loopLagTo = (file: string): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import=${LOOP_LAG} --disable-warning=ExperimentalWarning`,
  LOOP_LAG_FILE: file,
});
/** Ends the processes that run in a world's folder, and removes the folder. */
const GUARD = resolve(import.meta.dirname, '../../apps/process/world-guard.mjs');
const ADMIN_TOKEN = 'a-token-of-the-chaos-runs-'.repeat(2);

/**
 * Scaled-down times, generous enough for a machine on which fifty processes start at once, so that no sidecar is away
 * for long by chance.
 */
export const CHAOS_HUB_TIMING: Partial<HubTiming> = {
  heartbeatMs: 2_000,
  pongWaitMs: 3_000,
  reconnectMaxMs: 2_000,
  graceMarginMs: 4_000,
  reconnectGraceMs: 30_000,
  quietAfterStartMs: 30_000,
  sweepMs: 2_000,
  stopResendMs: 2_000,
  killGraceMs: 1_000,
  acceptMs: 30_000,
  leaseMs: 30_000,
  backoff: { firstMs: 100, maxMs: 1_000 },
  breaker: { firstMs: 500, maxMs: 2_000 },
};
export const CHAOS_SIDECAR_TIMING: Partial<SidecarTiming> = {
  wakeRetriesMs: [200, 400, 800],
  confirmWithinMs: 30_000,
  reportRepeat: { firstMs: 1_000, maxMs: 4_000 },
};
/** No request limits: the submitters share one token and never pause, and neither does the client that checks the outcome. */
const LIMITS: Partial<HubLimits> = { requestsPerSecond: 0, readMsPerSecond: 0 };

export interface SidecarSetting {
  readonly agentId: string;
  /** The port of a proxy, for example. Default: the hubs themselves. */
  readonly hubPort?: number | undefined;
  readonly slots: number;
  readonly capabilities?: readonly string[] | undefined;
  /** What it wakes instead of agent.sh. */
  readonly argv?: readonly string[] | undefined;
}

export interface ChaosWorld {
  readonly dir: string;
  /** The port of the first hub. */
  readonly hubPort: number;
  readonly hubPorts: readonly number[];
  /** The SQLite file, if the hub has one. */
  readonly database: string;
  readonly store: StoreReader;
  /** The token that `api` uses. */
  readonly adminToken: string;
  /** The path of a program's config file. `name`: `hub`, or an agent's id. */
  configOf(name: string): string;
  /** Client of the first hub. It does not retry: every failure reaches the caller. */
  readonly api: HubClient;
  /** One for each hub. */
  readonly apis: readonly HubClient[];
  readonly ledger: Ledger;
  /** Passed to agents as LEDGER_DIR. */
  readonly ledgerDir: string;
  /** Event-loop lag of all hubs that ran. */
  readonly lagFile: string;
  /** `program`: a program of the built tree, instead of the command `agentcom`. `HUB_TIMING` in `env`: times that override the world's, as JSON. */
  startHub(more?: StartMore): Program;
  /** Creates its token and config; needs a running hub. */
  enrol(setting: SidecarSetting): Promise<void>;
  startSidecar(agentId: string, more?: StartMore): Program;
  /** Files in a folder of a sidecar's data directory. */
  filesOf(agentId: string, folder: 'outbox' | 'refused'): readonly string[];
  logOf(name: string): string;
}

export interface StartMore {
  readonly program?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Index of the hub to start, if there are several. Default 0. */
  readonly hub?: number | undefined;
  /** Used instead of the world's tree. */
  readonly tree?: BuiltTree | undefined;
  /** Arguments for node itself, before the program. */
  readonly nodeArgs?: readonly string[] | undefined;
}

export interface WorldOptions {
  readonly tree: BuiltTree;
  readonly hubTiming?: Partial<HubTiming> | undefined;
  /** Override the hub's defaults. If omitted, only the requests of a token are unlimited. */
  readonly limits?: Partial<HubLimits> | undefined;
  readonly sidecarTiming?: Partial<SidecarTiming> | undefined;
  /** By its name in `agentcom/transport`; default `ws`. */
  readonly transport?: string | undefined;
  /** Hubs that share one Postgres. Default: one hub on SQLite. */
  readonly postgres?: { readonly options: PostgresOptions; readonly hubs: number } | undefined;
}

export async function makeChaosWorld(
  t: TestEnd,
  { tree, hubTiming = {}, limits = LIMITS, sidecarTiming = {}, transport = 'ws', postgres }: WorldOptions,
): Promise<ChaosWorld> {
  const dir = mkdtempSync(join(tmpdir(), 'agentcom-chaos-'));
  const hubPorts: number[] = [];
  while (hubPorts.length < (postgres?.hubs ?? 1)) hubPorts.push(await freePort());
  const [hubPort = 0] = hubPorts;
  const hubNamed = (index: number): string => (index === 0 ? 'hub' : `hub-${index + 1}`);
  const timing = { ...CHAOS_HUB_TIMING, ...hubTiming };
  const ledgerDir = join(dir, 'ledger');
  const ledger = openLedger(ledgerDir);
  const lagFile = join(dir, 'loop-lag');
  const configOf = (name: string): string => join(dir, `${name}.config.mjs`);
  const logOf = (name: string): string => join(dir, `${name}.log`);
  mkdirSync(join(dir, 'sidecars'));
  tree.installIn(dir);

  const [storageName, storage] =
    postgres === undefined ? ['sqlite', `sqlite({ file: 'hub.db' })`] : ['postgres', `postgres(${JSON.stringify(postgres.options)})`];
  for (const [index, port] of hubPorts.entries())
    writeFileSync(
      configOf(hubNamed(index)),
      `import { defineConfig } from 'agentcom';
import { ${storageName} } from 'agentcom/storage';
import { ${transport} } from 'agentcom/transport';
export default defineConfig({ hub: { listen: { port: ${port} }, storage: ${storage}, transport: ${transport}(), dataDir: '${hubNamed(index)}',
  adminToken: ${JSON.stringify(ADMIN_TOKEN)}, limits: ${JSON.stringify(limits)}, timing: { ...${JSON.stringify(timing)}, ...JSON.parse(process.env.HUB_TIMING ?? '{}') } } });
`,
    );

  const start = (
    kind: 'hub' | 'sidecar',
    name: string,
    { program, env = {}, tree: chosen = tree, nodeArgs = [] }: StartMore = {},
  ): Program => {
    const run = program === undefined ? [chosen.bin, kind, '--config', configOf(name)] : [chosen.program(program), configOf(name)];
    const args = [...nodeArgs, ...run];
    return startProgram({ args, cwd: dir, logFile: logOf(name), env });
  };

  // Cleans up even if this process is killed: agents outlive their sidecars on purpose.
  const guard = spawn(process.execPath, [GUARD, dir], { detached: true, stdio: ['pipe', 'ignore', 'inherit'] });
  const guardEnded = once(guard, 'exit');
  t.teardown(async () => {
    guard.stdin.end();
    await guardEnded;
  });

  const apis = hubPorts.map((port) => hubClient({ url: `http://127.0.0.1:${port}`, token: ADMIN_TOKEN, retryWithinMs: 0 }));
  const api = apis[0] as HubClient; // there is at least one
  const database = join(dir, 'hub', 'hub.db');
  return {
    dir,
    hubPort,
    hubPorts,
    database,
    store: postgres === undefined ? sqliteReader(database) : postgresReader(postgres.options),
    api,
    apis,
    ledger,
    ledgerDir,
    lagFile,
    adminToken: ADMIN_TOKEN,
    configOf,
    startHub: ({ program, env = {}, hub = 0, nodeArgs, tree: chosen } = {}) =>
      start('hub', hubNamed(hub), { program, nodeArgs, tree: chosen, env: { ...loopLagTo(lagFile), ...env } }),
    async enrol({ agentId, hubPort: proxied, slots, capabilities = ['code'], argv = ['/bin/sh', AGENT, '${TASK_DESCRIPTION}'] }) {
      const { token } = await api.tokens.create({ agent_id: agentId });
      const wake = { argv, graceMs: timing.killGraceMs, env: { LEDGER_DIR: ledgerDir } };
      const hubs = (proxied === undefined ? hubPorts : [proxied]).map((port) => `ws://127.0.0.1:${port}/ws`);
      const sidecar = { hubs, agentId, token, dataDir: `sidecars/${agentId}`, capabilities, slots };
      writeFileSync(
        configOf(agentId),
        `import { defineConfig } from 'agentcom';
import { command } from 'agentcom/runners';
export default defineConfig({ sidecar: { ...${JSON.stringify(sidecar)}, timing: ${JSON.stringify({ ...CHAOS_SIDECAR_TIMING, ...sidecarTiming })},
  wake: command(${JSON.stringify(wake)}) } });
`,
      );
    },
    startSidecar: (agentId, more) => start('sidecar', agentId, more),
    filesOf(agentId, folder) {
      const path = join(dir, 'sidecars', agentId, folder);
      return existsSync(path) ? readdirSync(path) : []; // none before the sidecar's first start
    },
    logOf,
  };
}
