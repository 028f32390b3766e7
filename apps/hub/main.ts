/** The hub as a program: config, container, lifecycle, signals. */
import 'reflect-metadata';
import { Container } from 'inversify';
import type { ResolvedConfig, ResolvedHubConfig } from '../../core/config/config.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { Log } from '../../core/ports/log.ts';
import { loadConfigFile } from '../config/load.ts';
import { makeDataDir } from '../data-dir.ts';
import { programLog } from '../program-log.ts';
import { runProgram, type Running, type RunningProgram } from '../run-program.ts';
import { TOKENS } from '../container-tokens.ts';
import { adaptersModule } from './modules/adapters.module.ts';
import { httpModule } from './modules/http.module.ts';
import { hubModule } from './modules/hub.module.ts';
import { machineModule } from '../modules/machine.module.ts';
import { hubServices } from './services.ts';
import { hubUrls } from './urls.ts';

export interface RunHubOptions {
  /** `--config FILE`. */
  readonly configFile?: string | undefined;
}

/** Runs a hub until a signal stops it. Throws if it cannot start. */
export async function runHub(options: RunHubOptions): Promise<void> {
  const { config, file } = await loadConfigFile({ configFile: options.configFile });
  const log = programLog('hub');
  await runProgram({ log, start: (program) => startHub(hubPart(config, file), log, program) });
}

/** The container of a hub with this config; nothing is opened. */
export function hubContainer(config: ResolvedHubConfig, log: Log): Container {
  const container = new Container();
  container.load(machineModule(log), adaptersModule(config), hubModule(), httpModule());
  return container;
}

async function startHub(config: ResolvedHubConfig, log: Log, program: RunningProgram): Promise<Running | null> {
  await makeDataDir(config.dataDir, 'set hub.dataDir (AGENTCOM_DATA_DIR)');
  if (config.archiveDir !== null) await makeDataDir(config.archiveDir, 'set hub.archiveDir');
  const container = hubContainer(config, log);
  const outcome = await program.lifecycle.start(await hubServices(container));
  const { host, tls } = config;
  const { port, finished } = await container.getAsync(TOKENS.Hub);
  return outcome === 'running'
    ? { ready: Promise.resolve(`agentcom hub ready ${hubUrls({ host, port, isTls: tls !== null }).api}`), finished }
    : null;
}

function hubPart(config: ResolvedConfig, file: string): ResolvedHubConfig {
  if (config.hub !== undefined) return config.hub;
  throw new AgentcomError(
    'AC_CONFIG_INVALID',
    `${file} has no "hub" section, which \`agentcom hub\` needs. Add hub: { storage: sqlite({ file: "agentcom.db" }), transport: ws() }, with sqlite from "agentcom/storage" and ws from "agentcom/transport".`,
  );
}
