/** The config that runs as it stands: one hub and one sidecar on this machine. docs/configuration.md has every option. */
import { defineConfig, env } from 'agentcom';
import { command } from 'agentcom/runners';
import { postgres, sqlite } from 'agentcom/storage';
import { uws, ws } from 'agentcom/transport';

const databaseUrl = env.optional('DATABASE_URL');

export default defineConfig({
  hub: {
    listen: { host: env('AGENTCOM_HOST', '127.0.0.1'), port: env.integer('AGENTCOM_PORT', 4000) },
    storage: databaseUrl ? postgres({ url: databaseUrl }) : sqlite({ file: 'agentcom.db' }), // the file in dataDir
    transport: env('AGENTCOM_TRANSPORT', 'ws') === 'uws' ? uws() : ws(),
    dataDir: env('AGENTCOM_DATA_DIR', 'data/hub'),
    adminToken: env.optional('AGENTCOM_ADMIN_TOKEN'), // else made at first start: dataDir/admin-token, mode 0600
  },
  sidecar: {
    hubs: [env('AGENTCOM_HUB_URL', 'ws://127.0.0.1:4000/ws')],
    agentId: env('AGENTCOM_AGENT_ID', 'worker-1'),
    token: env.optional('AGENTCOM_TOKEN'), // else enrolls itself with the hub's enrol-secret file, on this machine
    dataDir: env('AGENTCOM_SIDECAR_DIR', 'data/worker-1'),
    capabilities: ['code'],
    wake: command({ argv: ['node', 'examples/agent.mjs'] }),
  },
});
