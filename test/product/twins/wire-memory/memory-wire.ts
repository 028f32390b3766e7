/**
 * The whole network of a simulated world in memory: any number of hubs and sidecars, connected by addresses.
 * Everything that crosses it depends on the given clock, so time moves it, and a `fate` can delay, drop, duplicate or
 * reorder it.
 */
import type { Clock } from '../../../../core/ports/clock.ts';
import type { HubLink } from '../../../../core/ports/hub-link.ts';
import { unharmed, type Fate } from './crossing.ts';
import { memoryLink } from './memory-link.ts';
import { memoryTransport, type MemoryTransport } from './memory-transport.ts';
import { addressOf, createNetwork, type LinkIdentity } from './memory-network.ts';

export interface MemoryWireOptions {
  readonly clock: Clock;
  /** Called for each message. Default: everything arrives once, in order, in the next turn. */
  readonly fate?: Fate | undefined;
}

export interface MemoryWire {
  /** A hub's end; it can listen on any host name. */
  transport(): MemoryTransport;
  /** A sidecar's end. */
  link(identity?: LinkIdentity): HubLink;
  /** HTTP to the hub that listens on the address; fails like the global `fetch` if there is none. It has no fate. */
  fetch(url: string, init?: RequestInit): Promise<Response>;
  /** Breaks a connection at both ends: each sees 1006 in its own next turn. An unknown number is ignored. */
  cut(connection: number): void;
  /** Connections that some end still considers open, oldest first; numbered as in `Crossing` and `HubConnection`. */
  open(): readonly number[];
}

/** A wire with nothing on it yet. */
export const memoryWire = ({ clock, fate = unharmed }: MemoryWireOptions): MemoryWire => {
  const network = createNetwork(clock, fate);

  const fetchNow = async (request: Request): Promise<Response> => {
    const address = addressOf(new URL(request.url));
    const hub = network.hubs.get(address);
    if (hub === undefined) throw new TypeError(`fetch failed: connect ECONNREFUSED ${address}`);
    return hub.answer(request, '127.0.0.1');
  };

  return {
    transport: () => memoryTransport(network),
    link: (identity = {}) => memoryLink(network, identity),
    fetch: (url, init) => {
      const request = new Request(url, init);
      return new Promise((resolve, reject) => clock.after(0, () => void fetchNow(request).then(resolve, reject)));
    },
    cut: (connection) => network.cut(connection),
    open: () => network.open(),
  };
};
