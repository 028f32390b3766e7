/** The adapters that the config chose. Their packages are loaded here and not before. */
import { ContainerModule } from 'inversify';
import type { ResolvedHubConfig } from '../../../core/config/config.ts';
import { TOKENS } from '../../container-tokens.ts';

export const adaptersModule = (config: ResolvedHubConfig): ContainerModule =>
  new ContainerModule(({ bind }) => {
    bind(TOKENS.HubConfig).toConstantValue(config);
    bind(TOKENS.Storage)
      .toResolvedValue((clock, log) => config.storage.create({ dataDir: config.dataDir, clock, log }), [TOKENS.Clock, TOKENS.Log])
      .inSingletonScope();
    bind(TOKENS.HubTransport)
      .toResolvedValue((log) => config.transport.create({ log }), [TOKENS.Log])
      .inSingletonScope();
  });
