/** The adapters that the config chose. Their packages are loaded here and not before. */
import { ContainerModule } from 'inversify';
import { archiveFiles } from '../../../adapters/archive-files/archive-files.ts';
import type { ResolvedHubConfig } from '../../../core/config/config.ts';
import { servedCertificate } from '../../tls/served-certificate.ts';
import { createdAdapter } from '../created-adapter.ts';
import { TOKENS } from '../../container-tokens.ts';

const STORAGE_MEMBERS = {
  ...({ tasks: 'object', agents: 'object', events: 'object', output: 'object', audit: 'object', notifier: 'object' } as const),
  ...({ open: 'function', close: 'function', healthy: 'function' } as const),
};
const TRANSPORT_MEMBERS = { capabilities: 'object', listen: 'function', refuseNew: 'function', close: 'function' } as const;

export const adaptersModule = (config: ResolvedHubConfig): ContainerModule =>
  new ContainerModule(({ bind }) => {
    bind(TOKENS.HubConfig).toConstantValue(config);
    bind(TOKENS.Storage)
      .toResolvedValue(
        (clock, log) => createdAdapter(config.storage, { dataDir: config.dataDir, clock, log }, STORAGE_MEMBERS),
        [TOKENS.Clock, TOKENS.Log],
      )
      .inSingletonScope();
    bind(TOKENS.Archive).toConstantValue(config.archiveDir === null ? null : archiveFiles({ dir: config.archiveDir }));
    bind(TOKENS.HubTransport)
      .toResolvedValue(
        (log, certificate) => createdAdapter(config.transport, { log, certificate: certificate ?? undefined }, TRANSPORT_MEMBERS),
        [TOKENS.Log, TOKENS.Certificate],
      )
      .inSingletonScope();
    bind(TOKENS.Certificate)
      .toResolvedValue(
        async (clock, log) => (config.tls === null ? null : servedCertificate({ tls: config.tls, names: config.names, clock, log })),
        [TOKENS.Clock, TOKENS.Log],
      )
      .inSingletonScope();
  });
