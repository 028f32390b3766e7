/** The hub. */
import { ContainerModule } from 'inversify';
import { createHub } from '../../../core/application/hub/hub.ts';
import { TOKENS } from '../../container-tokens.ts';
import { allowedOrigins } from '../origins.ts';

export const hubModule = (): ContainerModule =>
  new ContainerModule(({ bind }) => {
    bind(TOKENS.Hub)
      .toResolvedValue(
        (config, storage, transport, clock, ids, digest, log) =>
          createHub(
            { storage, transport, clock, ids, digest, log },
            { ...config, isAllowedOrigin: allowedOrigins(config.host, config.names) },
          ),
        [TOKENS.HubConfig, TOKENS.Storage, TOKENS.HubTransport, TOKENS.Clock, TOKENS.Ids, TOKENS.Digest, TOKENS.Log],
      )
      .inSingletonScope();
  });
