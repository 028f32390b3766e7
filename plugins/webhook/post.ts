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

/**
 * Null: `signal` was aborted when the whole request had been sent, so it is unknown whether it arrived. Rejects with `PrivateAddressError`, or
 * with the system's connection error.
 */
export function post({ url, headers, body, timeoutMs, allowPrivate, signal }: Post): Promise<Answer | null> {
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
    let isSent = false;
    let isAnswered = false;
    const sent = request(url, options, (answer) => {
      // From here on the status says what the answer means, also if the body never ends or breaks off.
      isAnswered = true;
      void textOf(answer).then((text) => {
        resolve({ status: answer.statusCode ?? 0, retryAfter: answer.headers['retry-after'] ?? null, text });
      });
    });
    // A switch to another protocol, which nobody asked for. Node reports neither an answer nor an error.
    sent.once('upgrade', ({ statusCode = 101 }, socket) => {
      socket.destroy();
      resolve({ status: statusCode, retryAfter: null, text: '' });
    });
    sent.once('finish', () => (isSent = true));
    sent.on('error', (error) => {
      if (isAnswered) return;
      if (isSent && signal.aborted) return resolve(null);
      reject(within.aborted && !signal.aborted ? new Error(`there was no answer within ${String(timeoutMs)} ms`) : error);
    });
    sent.end(body);
  });
}

/** The beginning of the body, as much as arrives. */
function textOf(answer: IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    answer.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= ANSWER_BYTES_MAX) answer.destroy();
    });
    // It breaks off, or takes too long; `close` follows.
    answer.on('error', () => undefined);
    answer.once('close', () => resolve(Buffer.concat(chunks).subarray(0, ANSWER_BYTES_MAX).toString('utf8')));
  });
}
