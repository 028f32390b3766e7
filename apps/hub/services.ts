/** The parts of a running hub in the order in which they start; they stop in reverse. */
import type { Container } from 'inversify';
import { unidentifiedBytesMax } from '../../core/config/limits.ts';
import type { Service } from '../lifecycle.ts';
import { TOKENS } from '../tokens.ts';
import { allowedOrigins } from './origins.ts';

/** Told to every sidecar when the hub stops: come back soon. */
const SERVICE_RESTART = 1012;

export async function hubServices(container: Container): Promise<readonly Service[]> {
  const config = await container.getAsync(TOKENS.HubConfig);
  const storage = await container.getAsync(TOKENS.Storage);
  const wiring = await container.getAsync(TOKENS.HubWiring);
  const queue = await container.getAsync(TOKENS.TaskQueue);
  const tokenUse = await container.getAsync(TOKENS.TokenUse);
  const sessions = await container.getAsync(TOKENS.HubSessions);
  const sweeper = await container.getAsync(TOKENS.Sweeper);
  const lookout = await container.getAsync(TOKENS.Lookout);
  const clock = await container.getAsync(TOKENS.HubClock);
  const secrets = await container.getAsync(TOKENS.HubSecrets);
  const http = await container.getAsync(TOKENS.HttpApi);
  const transport = await container.getAsync(TOKENS.HubTransport);
  const context = await container.getAsync(TOKENS.HubContext);
  const done = (): Promise<void> => Promise.resolve();

  return [
    {
      name: `storage ${storage.name}`,
      start: async () => {
        wiring.storeId = (await storage.open()).storeId;
        const { durable } = storage.tasks.capabilities;
        if (!durable) context.log.warn('this storage keeps nothing: tasks are gone when the hub ends', { storage: storage.name, durable });
      },
      stop: () => storage.close(),
    },
    {
      name: 'queue',
      start: async () => {
        sweeper.start();
        const isShared = storage.tasks.capabilities.shared;
        const askedMonotonicMs = clock.monotonicMs();
        await queue.do({ kind: 'hub_started', isShared });
        if (isShared) lookout.start(askedMonotonicMs);
      },
      stop: async () => {
        sweeper.stop();
        await queue.stop();
        // The other hubs are told of the last commits too.
        lookout.stop();
      },
    },
    {
      name: 'token use',
      start: () => Promise.resolve(tokenUse.start(() => sessions.tokensInUse())),
      stop: () => tokenUse.stop(),
    },
    { name: 'enrolment', start: () => secrets.startEnrolment(), stop: () => secrets.stop() },
    {
      name: `transport ${transport.name}`,
      start: async () => {
        const { host, port, limits } = config;
        const listening = await transport.listen(
          {
            host,
            port,
            frameBytesMax: limits.frameBytes,
            unidentifiedBytesMax: unidentifiedBytesMax(limits),
            socketsMax: limits.sockets,
            socketQueueBytesMax: limits.socketQueueBytes,
            http: http.handle,
            isAllowedOrigin: allowedOrigins(host, config.names),
          },
          sessions,
        );
        wiring.port = listening.port;
        sessions.start();
      },
      stop: async () => {
        sessions.stop();
        await transport.close(SERVICE_RESTART, 'the hub is stopping');
      },
    },
    {
      name: 'gate',
      start: done,
      stop: async () => {
        transport.refuseNew();
        http.close();
        await queue.flush();
      },
    },
  ];
}
