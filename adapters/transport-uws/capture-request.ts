/** Copies a request before anything is awaited: the object of uWebSockets.js is valid only inside its handler. */
import { SocketAddress } from 'node:net';
import { plainAddress } from '../../core/protocol/client-address.ts';
import type { RequestParts } from '../kit/captured-request.ts';
import type { UwsRequest, UwsResponse } from './uws-package.ts';

export const partsOf = (request: UwsRequest, response: UwsResponse): Omit<RequestParts, 'body'> => {
  const headers: string[] = [];
  request.forEach((name, value) => headers.push(name, value));
  return {
    method: request.getCaseSensitiveMethod(),
    path: request.getUrl(),
    // Undefined without a `?`, although its type says string.
    query: (request.getQuery() as string | undefined) ?? '',
    headers,
    remoteAddress: addressOf(response.getRemoteAddressAsText()),
  };
};

/**
 * Why the length of this request's body is ambiguous; null if it is not. Protects against request smuggling: uWebSockets.js uses the
 * first Content-Length, takes an empty one as 0, and treats any Transfer-Encoding as chunked. A proxy in front may decide differently, and
 * forward as a body what is read here as the next request. Node rejects the same requests with 400.
 */
export const ambiguousLength = ({ headers }: Pick<RequestParts, 'headers'>): string | null => {
  let lengths = 0;
  let encodings = 0;
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at];
    if (name === 'content-length') {
      lengths += 1;
      if (!/^\d+$/.test(headers[at + 1] ?? '')) return 'the Content-Length must be a number';
    }
    if (name !== 'transfer-encoding') continue;
    encodings += 1;
    if (headers[at + 1]?.toLowerCase() !== 'chunked') return 'the Transfer-Encoding must be chunked';
  }
  if (lengths > 1) return 'there is more than one Content-Length';
  if (encodings > 1) return 'there is more than one Transfer-Encoding';
  return lengths + encodings > 1 ? 'there are both a Content-Length and a Transfer-Encoding' : null;
};

/** The size of the write buffer of uWebSockets.js. Until it is flushed, no connection is closed. */
const CORK_BYTES = 16_384;

/**
 * Pads the response to an ambiguous request with blanks beyond the write buffer, so that it is written and its connection closed at
 * once. Otherwise uWebSockets.js would handle the rest of the body as the next request.
 */
export const padToFlush = (text: string): string => text.padEnd(text.length + CORK_BYTES);

/** uWebSockets.js gives IPv6 addresses in full; this is the short form, which is used everywhere else. */
const addressOf = (text: ArrayBuffer): string => {
  const address = Buffer.from(text).toString('latin1');
  return plainAddress(address.includes(':') ? new SocketAddress({ address, family: 'ipv6' }).address : address);
};
