/**
 * HTTP over node:http: the `fetch` of Node 20 takes 0.16 s of the processor to load, longer than everything else that a short command does.
 */
import { Agent, request as requestHttp, type IncomingMessage } from 'node:http';
import type { RequestOptions } from 'node:https';
import { reasonOf, type Exchange, type HttpAnswer } from './platform.ts';

/** A connection is used again within this time, milliseconds; a hub closes an idle one after five seconds. */
const REUSED_WITHIN_MS = 1_000;
const AGENT_OPTIONS = { keepAlive: true, timeout: REUSED_WITHIN_MS } as const;

const httpAgent = new Agent(AGENT_OPTIONS);
let httpsAgent: Agent | undefined;

export const exchange: Exchange = async (address, { method, headers, body, signal }) => {
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
};

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
