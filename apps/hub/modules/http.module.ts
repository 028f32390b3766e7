/** The HTTP API and the secrets that open it. */
import { ContainerModule } from 'inversify';
import { httpApi } from '../../../adapters/http/api.ts';
import { VERSION } from '../../version.ts';
import { TOKENS } from '../../tokens.ts';
import { allowedOrigins } from '../origins.ts';
import { hubSecrets } from '../secrets.ts';
import { hubUrls } from '../urls.ts';

export const httpModule = (): ContainerModule =>
  new ContainerModule(({ bind }) => {
    bind(TOKENS.HubSecrets)
      .toResolvedValue(
        ({ dataDir, adminToken }, storage, ids, digest, clock, log) =>
          hubSecrets({ dataDir, adminToken, agents: storage.agents, ids, digest, clock, log }),
        [TOKENS.HubConfig, TOKENS.Storage, TOKENS.Ids, TOKENS.Digest, TOKENS.HubClock, TOKENS.Log],
      )
      .inSingletonScope();
    bind(TOKENS.HttpApi)
      .toResolvedValue(
        (config, inbox, storage, transport, ids, digest, clock, log, secrets, sessions, wiring, tokenUse) =>
          httpApi({
            inbox,
            tasks: storage.tasks,
            agents: storage.agents,
            events: storage.events,
            tokenUse,
            ids,
            digest,
            clock,
            log,
            limits: config.limits,
            isAllowedOrigin: allowedOrigins(config.host, config.names),
            trustedProxies: config.trustedProxies,
            adminTokenHash: secrets.adminTokenHash,
            version: VERSION,
            storageName: storage.name,
            transportName: transport.name,
            durable: storage.tasks.capabilities.durable,
            healthy: () => storage.healthy(),
            deadlocks: storage.deadlocks,
            urls: () => hubUrls(config.host, wiring.port),
            onCommit: (listener) => {
              wiring.commitListeners.add(listener);
              return () => wiring.commitListeners.delete(listener);
            },
            lastHeardAtMs: (agentId) => sessions.lastHeardAtMs(agentId),
            refusals: () => sessions.refusals(),
            revokeSessions: (tokens) => sessions.dropTokens(tokens.map((token) => token.id)),
            onEnrolSecretUsed: () => secrets.renewEnrolment(),
          }),
        [
          TOKENS.HubConfig,
          TOKENS.TaskQueue,
          TOKENS.Storage,
          TOKENS.HubTransport,
          TOKENS.Ids,
          TOKENS.Digest,
          TOKENS.HubClock,
          TOKENS.Log,
          TOKENS.HubSecrets,
          TOKENS.HubSessions,
          TOKENS.HubWiring,
          TOKENS.TokenUse,
        ],
      )
      .inSingletonScope();
  });
