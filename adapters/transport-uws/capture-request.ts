/** What a request says, copied before anything is awaited: uWebSockets.js keeps its own only for the call. */
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
    // Undefined without a `?`, which its types leave out.
    query: (request.getQuery() as string | undefined) ?? '',
    headers,
    remoteAddress: addressOf(response.getRemoteAddressAsText()),
  };
};

/**
 * Why the end of this request's body is not certain; null when it is. uWebSockets.js goes by the first Content-Length and
 * takes any Transfer-Encoding for chunked; a proxy in front may go by another, and would then forward as a body what is
 * read here as the next request. Node refuses the same with 400.
 */
export const ambiguousLength = ({ headers }: Pick<RequestParts, 'headers'>): string | null => {
  let lengths = 0;
  let encodings = 0;
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at];
    if (name === 'content-length') lengths += 1;
    if (name !== 'transfer-encoding') continue;
    encodings += 1;
    if (headers[at + 1]?.toLowerCase() !== 'chunked') return 'the Transfer-Encoding must be chunked';
  }
  if (lengths > 1) return 'there is more than one Content-Length';
  if (encodings > 1) return 'there is more than one Transfer-Encoding';
  return lengths + encodings > 1 ? 'there are both a Content-Length and a Transfer-Encoding' : null;
};

/** uWebSockets.js gathers this many bytes of answers before it writes, and until then closes nothing. */
const CORK_BYTES = 16_384;

/**
 * The text of the answer to an ambiguous request, with blanks behind it: an answer that is over what uWebSockets.js gathers
 * is written, and its connection closed, at once. Otherwise it would go on to serve what it takes for the next request.
 */
export const ambiguousText = (text: string): string => text.padEnd(text.length + CORK_BYTES);

/** All eight groups of an IPv6 address come written out; here and everywhere else it has its short form. */
const addressOf = (text: ArrayBuffer): string => {
  const address = Buffer.from(text).toString('latin1');
  return plainAddress(address.includes(':') ? new SocketAddress({ address, family: 'ipv6' }).address : address);
};
