/** How a `ws` client connects to a hub: whom it trusts, and how it frames. */
import type { ClientOptions } from 'ws';
import { isLoopback } from '../../core/config/loopback.ts';
import { connectToKey, type HubAddress } from './hub-connection.ts';
import type { HubTrust } from './trusted-hub.ts';

/** The types of ws know `createConnection` only as a function that returns the socket; node:http also takes one that calls back. */
type CreateConnection = (address: HubAddress, done: Parameters<typeof connectToKey>[2]) => void;

/**
 * Compression is not offered. Masks protect proxies that mistake frames for HTTP: where none can read them, over TLS and on loopback, the
 * mask is zero, which spares both sides a pass over each frame. `keepsAlive`: whether a connection keeps the process alive before it is open.
 */
export function wsClientOptions({ protocol, hostname }: URL, trust: HubTrust, keepsAlive = true): ClientOptions {
  const isTls = protocol === 'wss:';
  return {
    perMessageDeflate: false,
    ...(isTls || isLoopback(hostname) ? { generateMask: (mask) => void mask.fill(0) } : {}),
    ...(isTls ? tlsOptions(trust, keepsAlive) : {}),
  };
}

function tlsOptions({ fingerprints, ca }: HubTrust, keepsAlive: boolean): ClientOptions {
  if (fingerprints === undefined || fingerprints.length === 0) {
    return { minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca: [...ca] }) };
  }
  const createConnection: CreateConnection = (address, done) => connectToKey(address, fingerprints, done, keepsAlive);
  return { createConnection: createConnection as unknown as NonNullable<ClientOptions['createConnection']> };
}
