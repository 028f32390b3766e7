/** The hub, and its metrics. */
import { ContainerModule } from 'inversify';
import { promMetrics } from '../../../adapters/metrics-prom/prom-metrics.ts';
import { createHub } from '../../../core/application/hub/hub.ts';
import { TOKENS } from '../../container-tokens.ts';
import { allowedOrigins } from '../origins.ts';

export const hubModule = (): ContainerModule =>
  new ContainerModule(({ bind }) => {
    bind(TOKENS.HubMetrics)
      .toResolvedValue(() => promMetrics(), [])
      .inSingletonScope();
    bind(TOKENS.Hub)
      .toResolvedValue(
        (config, storage, transport, clock, ids, digest, log, metrics, archive) =>
          createHub(
            { storage, transport, clock, ids, digest, log, metrics, archive },
            { ...config, isAllowedOrigin: allowedOrigins(config.host, config.names) },
          ),
        [
          TOKENS.HubConfig,
          TOKENS.Storage,
          TOKENS.HubTransport,
          TOKENS.Clock,
          TOKENS.Ids,
          TOKENS.Digest,
          TOKENS.Log,
          TOKENS.HubMetrics,
          TOKENS.Archive,
        ],
      )
      .inSingletonScope();
  });
