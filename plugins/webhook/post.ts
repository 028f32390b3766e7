/** One POST: no redirects, a bounded answer, a timeout. */
import { request as requestPlain, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestTls } from 'node:https';
import { isIP } from 'node:net';
import { isPrivateAddress, PrivateAddressError, publicLookup } from './addresses.ts';

/** The rest of the answer is not read. */
const ANSWER_BYTES_MAX = 64 * 1024;

export interface Post {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly timeoutMs: number;
  /** Allow addresses of this machine and of networks behind it. */
  readonly allowPrivate: boolean;
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  /** Seconds or a date, as sent; null if absent. */
  readonly retryAfter: string | null;
  /** The beginning of the body. */
  readonly text: string;
}

/** Rejects with `PrivateAddressError`, or with the system's connection error. */
export function post({ url, headers, body, timeoutMs, allowPrivate, signal }: Post): Promise<Answer> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (!allowPrivate && isIP(host) !== 0 && isPrivateAddress(host)) {
    return Promise.reject(new PrivateAddressError(`"${host}" is a private address`));
  }
  const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const options: RequestOptions = {
    method: 'POST',
    headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
    signal: within,
    agent: false,
    ...(allowPrivate ? {} : { lookup: publicLookup }),
  };
  return new Promise((resolve, reject) => {
    const request = url.protocol === 'https:' ? requestTls : requestPlain;
    const fail = (error: Error): void => {
      reject(within.aborted && !signal.aborted ? new Error(`there was no answer within ${String(timeoutMs)} ms`) : error);
    };
    const sent = request(url, options, (answer) => {
      textOf(answer).then((text) => {
        resolve({ status: answer.statusCode ?? 0, retryAfter: answer.headers['retry-after'] ?? null, text });
      }, fail);
    });
    // A switch to another protocol, which nobody asked for. Node reports neither an answer nor an error.
    sent.once('upgrade', ({ statusCode = 101 }, socket) => {
      socket.destroy();
      resolve({ status: statusCode, retryAfter: null, text: '' });
    });
    sent.once('error', fail);
    sent.end(body);
  });
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes >= ANSWER_BYTES_MAX) break; // Also closes the connection.
  }
  return Buffer.concat(chunks).subarray(0, ANSWER_BYTES_MAX).toString('utf8');
}
