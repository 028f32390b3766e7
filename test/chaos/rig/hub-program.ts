/** The hub as a program, assembled as usual, with some parts of its container replaced. */
import 'reflect-metadata';
import type { Container } from 'inversify';
import { loadConfigFile } from '../../../apps/config/load.ts';
import { makeDataDir } from '../../../apps/data-dir.ts';
import { hubContainer } from '../../../apps/hub/main.ts';
import { hubServices } from '../../../apps/hub/services.ts';
import { programLog } from '../../../apps/program-log.ts';
import { runProgram } from '../../../apps/run-program.ts';
import { TOKENS } from '../../../apps/container-tokens.ts';

/** Runs the hub of the config file named on the command line. `change` may rebind anything before anything starts. */
export async function runHubWith(change: (container: Container) => Promise<void>): Promise<void> {
  const [configFile] = process.argv.slice(2);
  const { config } = await loadConfigFile({ configFile });
  if (config.hub === undefined) throw new Error(`${configFile}: expected a hub`);
  const { hub } = config;
  const log = programLog('hub');
  await runProgram({
    log,
    start: async ({ lifecycle }) => {
      await makeDataDir(hub.dataDir, 'set hub.dataDir');
      const container = hubContainer(hub, log);
      await change(container);
      const outcome = await lifecycle.start(await hubServices(container));
      const { port, finished } = await container.getAsync(TOKENS.Hub);
      return outcome === 'running' ? { ready: Promise.resolve(`agentcom hub ready http://127.0.0.1:${port}`), finished } : null;
    },
  });
}
