/** The HTTP API and the secrets that open it. */
import { join } from 'node:path';
import { ContainerModule } from 'inversify';
import { httpApi } from '../../../adapters/http/api.ts';
import { readDashboard } from '../../../adapters/http/dashboard/dashboard-files.ts';
import { isLoopback } from '../../../core/config/loopback.ts';
import { PACKAGE_ROOT } from '../../package-root.ts';
import { VERSION } from '../../version.ts';
import { TOKENS } from '../../container-tokens.ts';
import { allowedOrigins } from '../origins.ts';
import { hubSecrets } from '../hub-secrets.ts';
import { hubUrls } from '../urls.ts';

/** Made by `npm run build`, and in a clone by `npm ci`. */
const DASHBOARD_FOLDER = join(PACKAGE_ROOT, 'dist/dashboard');

export const httpModule = (): ContainerModule =>
  new ContainerModule(({ bind }) => {
    bind(TOKENS.HubSecrets)
      .toResolvedValue(
        ({ dataDir, adminToken }, storage, hub, ids, digest, log) =>
          hubSecrets({ dataDir, adminToken, agents: storage.agents, ids, digest, clock: hub.clock, log }),
        [TOKENS.HubConfig, TOKENS.Storage, TOKENS.Hub, TOKENS.Ids, TOKENS.Digest, TOKENS.Log],
      )
      .inSingletonScope();
    bind(TOKENS.HttpApi)
      .toResolvedValue(
        async (config, hub, storage, transport, ids, digest, log, secrets, metrics, certificate) =>
          httpApi({
            inbox: hub.queue,
            tasks: storage.tasks,
            agents: storage.agents,
            events: storage.events,
            output: storage.output,
            audit: storage.audit,
            outputWriter: hub.output,
            isShared: storage.tasks.capabilities.shared,
            tokenUse: hub.tokenUse,
            ids,
            digest,
            clock: hub.clock,
            stopwatchMs: () => performance.now(),
            log,
            limits: config.limits,
            isAllowedOrigin: allowedOrigins(config.host, config.names),
            pageOrigins: config.origins.map((origin) => new URL(origin).origin),
            trustedProxies: config.trustedProxies,
            adminTokenHash: secrets.adminTokenHash,
            sessionSecret: secrets.sessionSecret,
            dashboard: await readDashboard(DASHBOARD_FOLDER),
            version: VERSION,
            storageName: storage.name,
            transportName: transport.name,
            durable: storage.tasks.capabilities.durable,
            healthy: () => storage.healthy(),
            deadlocks: storage.deadlocks,
            urls: () => hubUrls({ host: config.host, port: hub.port, isTls: config.tls !== null }),
            isLoopbackOnly: isLoopback(config.host) && config.names.length === 0,
            certificate,
            onCommit: (listener) => hub.onCommit(listener),
            quietUntilMs: () => hub.context.quietPeriod.untilMs,
            lastHeardAtMs: (agentId) => hub.sessions.lastHeardAtMs(agentId),
            refusals: () => hub.sessions.refusals(),
            metrics,
            load: () => hub.load(),
            endTokens: (tokens) => hub.sessions.endTokens(tokens),
            onEnrolSecretUsed: () => secrets.renewEnrolment(),
          }),
        [
          TOKENS.HubConfig,
          TOKENS.Hub,
          TOKENS.Storage,
          TOKENS.HubTransport,
          TOKENS.Ids,
          TOKENS.Digest,
          TOKENS.Log,
          TOKENS.HubSecrets,
          TOKENS.HubMetrics,
          TOKENS.Certificate,
        ],
      )
      .inSingletonScope();
  });
