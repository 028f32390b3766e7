/** What a request says, copied before anything is awaited: uWebSockets.js keeps its own only for the call. */
import { SocketAddress } from 'node:net';
import { plainAddress } from '../../core/protocol/client-address.ts';
import type { UwsRequest, UwsResponse } from './uws-package.ts';

export interface Asked {
  readonly method: string;
  /** The path as it was sent. */
  readonly path: string;
  /** With its `?`; empty without one. */
  readonly query: string;
  /** Names in lower case, as often as they were sent. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly remoteAddress: string;
}

export const copyOf = (request: UwsRequest, response: UwsResponse): Asked => {
  const headers: [string, string][] = [];
  request.forEach((name, value) => headers.push([name, value]));
  const query = request.getQuery() as string | undefined;
  return {
    method: request.getCaseSensitiveMethod(),
    path: request.getUrl(),
    query: query === undefined || query === '' ? '' : `?${query}`,
    headers,
    remoteAddress: addressOf(response.getRemoteAddressAsText()),
  };
};

/** The value of a header, those of one that was sent more often joined; undefined without it. */
export const headerOf = ({ headers }: Asked, wanted: string): string | undefined => {
  const values = headers.filter(([name]) => name === wanted).map(([, value]) => value);
  return values.length === 0 ? undefined : values.join(', ');
};

/** All eight groups of an IPv6 address come written out; here and everywhere else it has its short form. */
const addressOf = (text: ArrayBuffer): string => {
  const address = Buffer.from(text).toString('latin1');
  return plainAddress(address.includes(':') ? new SocketAddress({ address, family: 'ipv6' }).address : address);
};
