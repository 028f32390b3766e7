/** What the ends of a memory wire share: which hub listens where, and which connections some end still considers open. */
import type { Clock } from '../../../../core/ports/clock.ts';
import type { Fate, Lane } from './crossing.ts';

/** The identity that a link states to the hub. */
export interface LinkIdentity {
  /** Default `127.0.0.1`. */
  readonly remoteAddress?: string | undefined;
  readonly origin?: string | undefined;
  readonly forwardedFor?: string | undefined;
}

/** What arrives at the sidecar's end. */
export interface LinkEnd {
  accepted(): void;
  frame(text: string): void;
  ping(): void;
  closed(code: number, reason: string): void;
  /** The end of the socket, without a close frame. */
  lost(reason: string): void;
}

/** What arrives at the hub's end. */
export interface HubEnd {
  frame(text: string): void;
  pong(): void;
  closed(code: number): void;
  lost(): void;
}

/** An upgrade as it arrives at a listening hub. */
export interface Upgrade {
  readonly connection: number;
  readonly url: URL;
  readonly identity: LinkIdentity;
  /** The return path, and the peer at its end. */
  readonly down: Lane;
  readonly link: LinkEnd;
}

/** A hub that listens. */
export interface ListeningHub {
  /** The hub's end, or the HTTP status of the refusal. */
  upgrade(upgrade: Upgrade): HubEnd | number;
  answer(request: Request, remoteAddress: string): Promise<Response>;
}

export interface Network {
  readonly clock: Clock;
  readonly fate: Fate;
  /** By host and port. */
  readonly hubs: Map<string, ListeningHub>;
  /** A number for each connection, never reused. */
  nextConnection(): number;
  /** Adds an end that considers the connection open; the returned function removes it. `cut` calls `lost`. */
  join(connection: number, lost: () => void): () => void;
  /** Breaks a connection at both ends, each in its own next turn. */
  cut(connection: number): void;
  /** Connections that some end still considers open, oldest first. */
  open(): readonly number[];
}

export const createNetwork = (clock: Clock, fate: Fate): Network => {
  const ends = new Map<number, Set<() => void>>();
  let lastConnection = 0;

  return {
    clock,
    fate,
    hubs: new Map(),
    nextConnection: () => (lastConnection += 1),
    join(connection, lost) {
      const joined = ends.get(connection) ?? new Set();
      ends.set(connection, joined.add(lost));
      return () => {
        joined.delete(lost);
        if (joined.size === 0) ends.delete(connection);
      };
    },
    cut(connection) {
      for (const lost of ends.get(connection) ?? []) clock.after(0, lost);
    },
    open: () => [...ends.keys()],
  };
};

/** The key of a listening hub: `host:port`. */
export const addressOf = (url: URL): string => `${url.hostname}:${url.port || (url.protocol.endsWith('s:') ? '443' : '80')}`;
