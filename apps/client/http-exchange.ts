/**
 * One HTTP request and its answer, over node:http: the platform's `fetch` takes 0.16 s of the processor to load (Node 20), longer than
 * everything else that a short command does.
 */
import { Agent, request as requestHttp, type IncomingMessage } from 'node:http';
import type { RequestOptions } from 'node:https';

export interface HttpQuestion {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  /** Ends the request, and the body of its answer. */
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly statusText: string;
  /** Null if the answer does not have it. */
  header(name: string): string | null;
  /** The bytes as they arrive. Rejects with the signal's reason once it is aborted. */
  bytes(): AsyncGenerator<Uint8Array, void>;
  /** The whole body. */
  text(): Promise<string>;
}

/** A connection is used again within this time, milliseconds; a hub closes an idle one after five seconds. */
const REUSED_WITHIN_MS = 1_000;
const AGENT_OPTIONS = { keepAlive: true, timeout: REUSED_WITHIN_MS } as const;

const httpAgent = new Agent(AGENT_OPTIONS);
let httpsAgent: Agent | undefined;

/** Follows no redirect: it would send the token to another address. */
export async function exchange(address: URL, { method, headers, body, signal }: HttpQuestion): Promise<HttpAnswer> {
  const { send, agent } = await protocolOf(address);
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const request = send(address, { method, headers, agent });
    // Without an error of ours: a connection whose answer is complete has nobody left who hears it.
    const abort = (): void => void request.destroy();
    const over = (): void => signal.removeEventListener('abort', abort);
    signal.addEventListener('abort', abort, { once: true });
    request.on('response', (response) => {
      response.once('end', over).once('close', over);
      resolve(answerOf(response, signal));
    });
    request.on('error', (error) => {
      over();
      reject(reasonOf(signal, error));
    });
    request.end(body);
  });
}

type Send = (address: URL, options: RequestOptions) => ReturnType<typeof requestHttp>;

async function protocolOf({ protocol }: URL): Promise<{ readonly send: Send; readonly agent: Agent }> {
  if (protocol !== 'https:') return { send: requestHttp, agent: httpAgent };
  const https = await import('node:https');
  httpsAgent ??= new https.Agent(AGENT_OPTIONS);
  return { send: https.request, agent: httpsAgent };
}

function answerOf(response: IncomingMessage, signal: AbortSignal): HttpAnswer {
  // Whoever reads gets the error; between two reads it would end the process.
  response.on('error', () => undefined);
  async function* bytes(): AsyncGenerator<Uint8Array, void> {
    try {
      for await (const chunk of response) yield chunk as Uint8Array;
    } catch (thrown) {
      throw reasonOf(signal, thrown);
    }
  }
  return {
    status: response.statusCode ?? 0,
    statusText: response.statusMessage ?? '',
    header: (name) => {
      const value = response.headers[name];
      return typeof value === 'string' ? value : null;
    },
    bytes,
    async text() {
      const chunks: Uint8Array[] = [];
      for await (const chunk of bytes()) chunks.push(chunk);
      return Buffer.concat(chunks).toString('utf8');
    },
  };
}

/** An aborted request fails with an error of the socket; what counts is why it was aborted. */
const reasonOf = (signal: AbortSignal, thrown: unknown): Error => (signal.aborted ? signal.reason : thrown) as Error;
