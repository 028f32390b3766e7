/**
 * HTTP over node:http: the `fetch` of Node 20 takes 0.16 s of the processor to load, longer than everything else that a short command does.
 */
import { Agent, request as requestHttp, type IncomingMessage } from 'node:http';
import type { RequestOptions } from 'node:https';
import type { HubAddress, HubTrust } from '../../adapters/kit/hub-connection.ts';
import { reasonOf, type Exchange, type HttpAnswer, type HttpQuestion } from './platform.ts';

/** A connection is used again within this time, milliseconds; a hub closes an idle one after five seconds. */
const REUSED_WITHIN_MS = 1_000;
const AGENT_OPTIONS = { keepAlive: true, timeout: REUSED_WITHIN_MS } as const;

const httpAgent = new Agent(AGENT_OPTIONS);
let httpsAgent: Promise<Agent> | undefined;

/** To hubs that are recognized by certificates of the authorities that Node trusts. */
export const exchange: Exchange = (address, question) => exchangeBy(() => (httpsAgent ??= makeHttpsAgent({})), address, question);

/** To hubs that are recognized in this way over HTTPS. */
export function exchangeTrusting(trust: HubTrust): Exchange {
  if ((trust.fingerprints ?? []).length === 0 && trust.ca === undefined) return exchange;
  let agent: Promise<Agent> | undefined;
  return (address, question) => exchangeBy(() => (agent ??= makeHttpsAgent(trust)), address, question);
}

const exchangeBy = async (
  secureAgent: () => Promise<Agent>,
  address: URL,
  { method, headers, body, signal }: HttpQuestion,
): Promise<HttpAnswer> => {
  const isSecure = address.protocol === 'https:';
  const send: Send = isSecure ? (await import('node:https')).request : requestHttp;
  const agent = isSecure ? await secureAgent() : httpAgent;
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

async function makeHttpsAgent({ fingerprints = [], ca }: HubTrust): Promise<Agent> {
  const { Agent: HttpsAgent } = await import('node:https');
  if (fingerprints.length === 0) {
    return new HttpsAgent({ ...AGENT_OPTIONS, minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca: [...ca] }) });
  }
  const { connectToKey } = await import('../../adapters/kit/hub-connection.ts');
  const createConnection = (address: HubAddress, done: Parameters<typeof connectToKey>[2]): void =>
    connectToKey(address, fingerprints, done);
  return Object.assign(new HttpsAgent(AGENT_OPTIONS), { createConnection });
}

const brokenOff = (): Error => Object.assign(new Error('the connection was closed before the answer was complete'), { code: 'ECONNRESET' });

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
    // By events, which cost a fraction of an iteration.
    text: () =>
      new Promise((resolve, reject) => {
        const chunks: Uint8Array[] = [];
        const fail = (thrown: unknown): void => reject(reasonOf(signal, thrown));
        if (response.destroyed && !response.complete) return fail(response.errored ?? brokenOff());
        response.on('data', (chunk: Uint8Array) => chunks.push(chunk));
        response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
        response.on('error', fail);
        // After the end, this changes nothing.
        response.on('close', () => fail(brokenOff()));
        return undefined;
      }),
  };
}
