/** How a `ws` client recognizes a hub at a `wss://` address. */
import type { ClientOptions } from 'ws';
import { connectToKey, type HubAddress } from './hub-connection.ts';
import type { HubTrust } from './trusted-hub.ts';

/** The types of ws know `createConnection` only as a function that returns the socket; node:http also takes one that calls back. */
type CreateConnection = (address: HubAddress, done: Parameters<typeof connectToKey>[2]) => void;

/** `keepsAlive`: whether a connection keeps the process alive before it is open. */
export function tlsOptions({ fingerprints, ca }: HubTrust, keepsAlive = true): ClientOptions {
  if (fingerprints === undefined || fingerprints.length === 0) {
    return { minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca: [...ca] }) };
  }
  const createConnection: CreateConnection = (address, done) => connectToKey(address, fingerprints, done, keepsAlive);
  return { createConnection: createConnection as unknown as NonNullable<ClientOptions['createConnection']> };
}
