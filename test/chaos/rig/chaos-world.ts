/**
 * A hub and many sidecars as people run them, each a process of its own, in a folder of their own. They are started and
 * killed here; what that did to the tasks is judged from what their agents, submitters and files say (judge.ts).
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
/** What docs/performance.md says for what runs for months on glibc: without it, what threads have freed stays theirs. For runs that judge memory. */
export const MALLOC = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072' };
const LOOP_LAG = resolve(import.meta.dirname, 'scripts/loop-lag.mjs');
/** The environment of a program that loop-lag.mjs measures; what it collects by is experimental in Node. */
export const loopLagTo = (file: string): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import=${LOOP_LAG} --disable-warning=ExperimentalWarning`,
  LOOP_LAG_FILE: file,
});
/** Ends what runs in a world's folder, and removes it. */
const GUARD = resolve(import.meta.dirname, '../../apps/process/world-guard.mjs');
const ADMIN_TOKEN = 'a-token-of-the-chaos-runs-'.repeat(2);

/** Times scaled down, with room for a machine on which fifty processes start at once: nobody is away for long by chance. */
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
/** The submitters are one client that never rests, and so is the one that looks at what came of it. */
const LIMITS: Partial<HubLimits> = { requestsPerSecond: 0, readMsPerSecond: 0 };

export interface SidecarSetting {
  readonly agentId: string;
  /** Through a proxy, say; else the hubs themselves. */
  readonly hubPort?: number | undefined;
  readonly slots: number;
  readonly capabilities?: readonly string[] | undefined;
  /** What it wakes instead of agent.sh. */
  readonly argv?: readonly string[] | undefined;
}

export interface ChaosWorld {
  readonly dir: string;
  /** Of the first hub. */
  readonly hubPort: number;
  readonly hubPorts: readonly number[];
  /** The SQLite file, where its hub has one. */
  readonly database: string;
  readonly store: StoreReader;
  /** Admits to `api`. */
  readonly adminToken: string;
  /** Where the config of a program lies: `hub`, or an agent's id. */
  configOf(name: string): string;
  /** Of the first hub. Every failed try is the caller's: nothing is repeated inside. */
  readonly api: HubClient;
  /** One for each hub. */
  readonly apis: readonly HubClient[];
  readonly ledger: Ledger;
  /** Agents have it as LEDGER_DIR. */
  readonly ledgerDir: string;
  /** Loop lag of all hubs that ran. */
  readonly lagFile: string;
  /** `compiled`: a program of the built tree instead of the command `agentcom`. `HUB_TIMING` in its environment: times of its own, as JSON. */
  startHub(more?: StartMore): Program;
  /** Makes its token and config; needs a hub that runs. */
  enrol(setting: SidecarSetting): Promise<void>;
  startSidecar(agentId: string, more?: StartMore): Program;
  /** Files in a folder of a sidecar's data directory. */
  filesOf(agentId: string, folder: 'outbox' | 'refused'): readonly string[];
  logOf(name: string): string;
}

export interface StartMore {
  readonly program?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Of several hubs, which; from 0, the default. */
  readonly hub?: number | undefined;
  /** Instead of the world's. */
  readonly tree?: BuiltTree | undefined;
  /** For node itself, before the program. */
  readonly nodeArgs?: readonly string[] | undefined;
}

export interface WorldOptions {
  readonly tree: BuiltTree;
  readonly hubTiming?: Partial<HubTiming> | undefined;
  /** Over the defaults; unless given, only requests of a token are not limited. */
  readonly limits?: Partial<HubLimits> | undefined;
  readonly sidecarTiming?: Partial<SidecarTiming> | undefined;
  /** By its name in `agentcom/transport`; default `ws`. */
  readonly transport?: string | undefined;
  /** On one Postgres; unless given, one hub on SQLite. */
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

  // Also when this process is killed: agents outlive their sidecars on purpose.
  const guard = spawn(process.execPath, [GUARD, dir], { detached: true, stdio: ['pipe', 'ignore', 'inherit'] });
  const guardEnded = once(guard, 'exit');
  t.teardown(async () => {
    guard.stdin.end();
    await guardEnded;
  });

  const apis = hubPorts.map((port) => hubClient({ url: `http://127.0.0.1:${port}`, token: ADMIN_TOKEN, retryWithinMs: 0 }));
  const api = apis[0] as HubClient; // there is one at least
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
