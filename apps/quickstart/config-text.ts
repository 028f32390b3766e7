/** The config that the quickstart writes into its folder and runs: one file for the hub and both sidecars. */
import { join } from 'node:path';
import { AGENTS } from './scenario.ts';

export interface ConfigPlace {
  readonly port: number;
  /** The package's folder: the example agent works on its files. */
  readonly packageRoot: string;
}

export const configText = ({ port, packageRoot }: ConfigPlace): string => `/**
 * Written by the quickstart. Times are scaled down so that a failure and its retries pass while you watch;
 * agentcom.config.ts at the root of the package has the defaults.
 */
import { defineConfig, env } from 'agentcom';
import { command } from 'agentcom/runners';
import { sqlite } from 'agentcom/storage';
import { ws } from 'agentcom/transport';

const agentId = env('AGENTCOM_AGENT_ID', 'builder');
const capabilities: Record<string, string[]> = ${JSON.stringify(AGENTS)};

export default defineConfig({
  hub: {
    listen: { port: ${port} },
    storage: sqlite({ file: 'agentcom.db' }),
    transport: ws(),
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
