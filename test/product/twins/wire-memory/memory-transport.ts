/** The hub's end of the memory wire. */
import { decideUpgrade } from '../../../../adapters/kit/upgrade.ts';
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import type { HubTransport, ListenOptions, TransportEvents } from '../../../../core/ports/hub-transport.ts';
import { askHandler } from '../../contracts/wire/web-http.ts';
import { memoryConnection, type OpenHubEnd } from './memory-connection.ts';
import { addressOf, type ListeningHub, type Network, type Upgrade } from './memory-network.ts';

/** Where the search for free ports begins. */
const FIRST_FREE_PORT = 40_000;
const LAST_PORT = 65_535;

export interface MemoryTransport extends HubTransport {
  /** Like kill -9 of the hub: it receives nothing more, its links and callers notice, and the port is free at once. */
  crash(): void;
}

/** The state of one `listen`. */
interface Open {
  readonly address: string;
  readonly connections: Map<number, OpenHubEnd>;
  isRefusing: boolean;
  isCrashed: boolean;
  closing: Promise<void> | null;
  whenAllGone: (() => void) | null;
}

export const memoryTransport = (network: Network): MemoryTransport => {
  let current: Open | null = null;

  const closeAll = async (open: Open, code: number, reason: string): Promise<void> => {
    open.isRefusing = true;
    network.hubs.delete(open.address);
    if (open.connections.size > 0) {
      const allGone = new Promise<void>((resolve) => (open.whenAllGone = resolve));
      for (const { connection } of [...open.connections.values()]) connection.close(code, reason);
      await allGone;
    }
    if (current === open) current = null;
  };

  return {
    name: 'memory',
    capabilities: { tooLargeCode: 1009, tcp: false, checksMask: false },

    async listen(options, events) {
      if (current !== null) {
        throw new AgentcomError('AC_INTERNAL', 'The memory transport was told to listen while it listens. Close it first.');
      }
      const port = portFor(network, options);
      current = {
        address: `${options.host}:${port}`,
        connections: new Map(),
        isRefusing: false,
        isCrashed: false,
        closing: null,
        whenAllGone: null,
      };
      network.hubs.set(current.address, listeningHub(network, current, options, events));
      return { port };
    },

    refuseNew() {
      if (current !== null) current.isRefusing = true;
    },

    async close(code, reason) {
      if (current !== null) await (current.closing ??= closeAll(current, code, reason));
    },

    crash() {
      if (current === null) return;
      current.isCrashed = true;
      network.hubs.delete(current.address);
      for (const end of current.connections.values()) end.vanish();
      current.whenAllGone?.();
      current = null;
    },
  };
};

const listeningHub = (network: Network, open: Open, options: ListenOptions, events: TransportEvents): ListeningHub => ({
  upgrade(upgrade) {
    const refusal = refusalOf(open, options, upgrade);
    if (refusal !== null) return refusal;
    const end = memoryConnection({
      network,
      upgrade,
      options,
      events,
      forget: () => {
        open.connections.delete(upgrade.connection);
        if (open.connections.size === 0) open.whenAllGone?.();
      },
    });
    open.connections.set(upgrade.connection, end);
    upgrade.down.cross('accept', '', () => upgrade.link.accepted());
    events.onOpen(end.connection);
    return end;
  },

  async answer(request, remoteAddress) {
    if (open.isRefusing) return Response.json({ error: 'hub_stopping', message: 'The hub is stopping.' }, { status: 503 });
    const response = await askHandler(options.http, request, remoteAddress);
    if (open.isCrashed) throw new TypeError('fetch failed: other side closed');
    return response;
  },
});

/** The HTTP status that refuses an upgrade; null if it may proceed. */
const refusalOf = ({ isRefusing, connections }: Open, options: ListenOptions, { url, identity }: Upgrade): number | null => {
  const requested = { path: url.pathname, host: url.host, origin: identity.origin, isRefusing, socketsOpen: connections.size };
  return decideUpgrade(requested, options)?.status ?? null;
};

const portFor = (network: Network, { host, port }: Pick<ListenOptions, 'host' | 'port'>): number => {
  const isFree = (candidate: number): boolean => !network.hubs.has(addressOf(new URL(`http://${host}:${candidate}`)));
  if (!Number.isInteger(port) || port < 0 || port > LAST_PORT) {
    throw new AgentcomError('AC_LISTEN', `Cannot listen on ${host}:${port}: a port is a whole number from 0 to ${LAST_PORT}.`);
  }
  if (port !== 0) {
    if (isFree(port)) return port;
    throw new AgentcomError('AC_PORT_BUSY', `Cannot listen on ${host}:${port}: another hub of this wire has the port.`);
  }
  for (let candidate = FIRST_FREE_PORT; candidate <= LAST_PORT; candidate += 1) if (isFree(candidate)) return candidate;
  throw new AgentcomError('AC_LISTEN', `Cannot listen on ${host}: no port from ${FIRST_FREE_PORT} to ${LAST_PORT} is free.`);
};
