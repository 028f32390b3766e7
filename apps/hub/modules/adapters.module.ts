/** The adapters that the config chose. Their packages are loaded here and not before. */
import { ContainerModule } from 'inversify';
import { archiveFiles } from '../../../adapters/archive-files/archive-files.ts';
import type { ResolvedHubConfig } from '../../../core/config/config.ts';
import { servedCertificate } from '../../tls/served-certificate.ts';
import { TOKENS } from '../../container-tokens.ts';

export const adaptersModule = (config: ResolvedHubConfig): ContainerModule =>
  new ContainerModule(({ bind }) => {
    bind(TOKENS.HubConfig).toConstantValue(config);
    bind(TOKENS.Storage)
      .toResolvedValue((clock, log) => config.storage.create({ dataDir: config.dataDir, clock, log }), [TOKENS.Clock, TOKENS.Log])
      .inSingletonScope();
    bind(TOKENS.Archive).toConstantValue(config.archiveDir === null ? null : archiveFiles({ dir: config.archiveDir }));
    bind(TOKENS.HubTransport)
      .toResolvedValue(
        (log, certificate) => config.transport.create({ log, certificate: certificate ?? undefined }),
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
