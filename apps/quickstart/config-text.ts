/** The config that the quickstart writes into its folder and runs: one file for the hub and both sidecars. */
import { join } from 'node:path';
import { AGENTS } from './scenario.ts';

/** What the hub can run on: its text in the config, by the name that imports it and that `/health` reports. */
export const STORAGES = {
  sqlite: () => `sqlite({ file: 'agentcom.db' })`,
  postgres: (databaseUrl: string) => `postgres({ url: '${databaseUrl}' })`,
} as const;
export const TRANSPORTS = {
  ws: 'ws()',
  uws: 'uws()',
} as const;

export type StorageName = keyof typeof STORAGES;
export type TransportName = keyof typeof TRANSPORTS;

export interface ConfigPlace {
  readonly port: number;
  readonly storage: StorageName;
  readonly transport: TransportName;
  /** The database of `postgres`; the others have none. */
  readonly databaseUrl: string;
  /** The package's folder: the example agent works on its files. */
  readonly packageRoot: string;
}

export const configText = ({ port, storage, transport, databaseUrl, packageRoot }: ConfigPlace): string => `/**
 * Written by the quickstart. Times are scaled down so that a failure and its retries pass while you watch;
 * agentcom.config.ts at the root of the package has the defaults.
 */
import { defineConfig, env } from 'agentcom';
import { command } from 'agentcom/runners';
import { ${storage} } from 'agentcom/storage';
import { ${transport} } from 'agentcom/transport';

const agentId = env('AGENTCOM_AGENT_ID', 'builder');
const capabilities: Record<string, string[]> = ${JSON.stringify(AGENTS)};

export default defineConfig({
  hub: {
    listen: { port: ${port} },
    storage: ${STORAGES[storage](databaseUrl)},
    transport: ${TRANSPORTS[transport]},
    dataDir: 'hub',
    timing: { backoff: { firstMs: 500, maxMs: 2_000 }, sweepMs: 1_000, killGraceMs: 2_000 },
  },
  sidecar: {
    hubs: ['ws://127.0.0.1:${port}/ws'],
    agentId,
    dataDir: agentId,
    capabilities: capabilities[agentId] ?? [],
    wake: command({ argv: ['node', ${JSON.stringify(join(packageRoot, 'examples/agent.mjs'))}], cwd: ${JSON.stringify(packageRoot)} }),
  },
});
`;
