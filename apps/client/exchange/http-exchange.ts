/** HTTP over node:http: the `fetch` of Node 20 takes 0.16 s of CPU time to load, longer than everything else that a short command does. */
import { Agent, request as requestHttp, type IncomingMessage } from 'node:http';
import type { RequestOptions } from 'node:https';
import { urlToHttpOptions } from 'node:url';
import type { HubAddress } from '../../../adapters/kit/hub-connection.ts';
import type { HubTrust } from '../../../adapters/kit/trusted-hub.ts';
import { ANSWER_BYTES_MAX, brokenOff, reasonOf, tooLong, type Exchange, type HttpAnswer, type HttpQuestion } from '../platform.ts';

/** An idle connection is reused within this time, milliseconds; a hub closes one after 10 s or more, and a proxy may after a few. */
const REUSED_WITHIN_MS = 1_000;
const AGENT_OPTIONS = { keepAlive: true, timeout: REUSED_WITHIN_MS } as const;

/** `node:http` leaves a connection without a listener if the answer comes before the whole body is sent: a write that fails then would end the process. */
const ignoreError = (): void => undefined;

/** Every connection of such an agent has a listener for errors of its own. */
function guarded<A extends Agent>(agent: A): A {
  const connect = agent.createConnection;
  agent.createConnection = (options, done) => connect.call(agent, options, done)?.on('error', ignoreError);
  return agent;
}

const httpAgent = guarded(new Agent(AGENT_OPTIONS));
let httpsAgent: Promise<Agent> | undefined;

/** For hubs that are recognized by certificates from the CAs that Node trusts. */
export const exchange: Exchange = (base, question) => exchangeBy(() => (httpsAgent ??= makeHttpsAgent({})), base, question);

/** For hubs that are recognized over HTTPS in the way that `trust` says. */
export function exchangeTrusting(trust: HubTrust): Exchange {
  if ((trust.fingerprints ?? []).length === 0 && trust.ca === undefined) return exchange;
  let agent: Promise<Agent> | undefined;
  return (base, question) => exchangeBy(() => (agent ??= makeHttpsAgent(trust)), base, question);
}

/** Bases as options of node:http, converted once: a client has one base for all of its requests. */
const hosts = new WeakMap<URL, RequestOptions>();

function hostOf(base: URL): RequestOptions {
  const known = hosts.get(base);
  if (known !== undefined) return known;
  const host = urlToHttpOptions(base) as RequestOptions;
  hosts.set(base, host);
  return host;
}

/**
 * A client that sends fewer POST requests within this time, milliseconds, opens no socket: a command does not load what one needs, and a
 * program that submits rarely would find it closed each time. No longer than an idle socket is used again.
 */
const POSTS_BEFORE_SOCKET = 4;
const POSTS_WITHIN_MS = 20_000;

/** As `exchangeTrusting`, for one client: the submits of one that sends them often go over a WebSocket. */
export function exchangeOfClient(trust: HubTrust): Exchange {
  const overHttp = exchangeTrusting(trust);
  let chosen = overHttp;
  let posts = 0;
  let countedFromMs = -Infinity;
  const isOften = (): boolean => posts >= POSTS_BEFORE_SOCKET;
  const count = (): void => {
    const nowMs = performance.now();
    if (nowMs - countedFromMs > POSTS_WITHIN_MS) [posts, countedFromMs] = [0, nowMs];
    posts += 1;
    if (posts === POSTS_BEFORE_SOCKET && chosen === overHttp)
      import('./socket-exchange.ts').then(
        ({ exchangeOverSocket }) => (chosen = exchangeOverSocket(overHttp, trust, isOften)),
        () => undefined,
      );
  };
  return (base, question) => {
    if (question.method === 'POST') count();
    return chosen(base, question);
  };
}

const exchangeBy = async (secureAgent: () => Promise<Agent>, base: URL, question: HttpQuestion): Promise<HttpAnswer> => {
  const { method, path, headers, body, signal } = question;
  const host = hostOf(base);
  const isSecure = host.protocol === 'https:';
  const send: Send = isSecure ? (await import('node:https')).request : requestHttp;
  const agent = isSecure ? await secureAgent() : httpAgent;
  if (signal.aborted) throw signal.reason as Error;
  return new Promise((resolve, reject) => {
    const request = send({
      protocol: host.protocol,
      hostname: host.hostname,
      port: host.port,
      auth: host.auth,
      method,
      path,
      headers,
      agent,
    });
    const abort = (): void => void request.destroy();
    signal.addEventListener('abort', abort);
    let isAnswered = false;
    request.on('response', (response) => {
      isAnswered = true;
      resolve(answerOf(response, question));
    });
    request.on('error', (error) => reject(reasonOf(signal, error)));
    // The last event, whatever happened: with the end of the answer, after an error, and alone after an answer that switches protocols (101).
    request.on('close', () => {
      signal.removeEventListener('abort', abort);
      if (!isAnswered) reject(reasonOf(signal, brokenOff()));
    });
    request.end(body);
  });
};

type Send = (options: RequestOptions) => ReturnType<typeof requestHttp>;

async function makeHttpsAgent({ fingerprints = [], ca }: HubTrust): Promise<Agent> {
  const { Agent: HttpsAgent } = await import('node:https');
  if (fingerprints.length === 0) {
    return guarded(new HttpsAgent({ ...AGENT_OPTIONS, minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca: [...ca] }) }));
  }
  const { connectToKey } = await import('../../../adapters/kit/hub-connection.ts');
  const createConnection = (address: HubAddress, done: Parameters<typeof connectToKey>[2]): void =>
    connectToKey(address, fingerprints, (error, socket) => done(error, socket?.on('error', ignoreError)));
  return Object.assign(new HttpsAgent(AGENT_OPTIONS), { createConnection });
}

function answerOf(response: IncomingMessage, question: HttpQuestion): HttpAnswer {
  const { signal } = question;
  const status = response.statusCode ?? 0;
  // The reader gets the error; between two reads, an unhandled error would end the process.
  response.on('error', () => undefined);
  async function* bytes(): AsyncGenerator<Uint8Array, void> {
    try {
      for await (const chunk of response) yield chunk as Uint8Array;
    } catch (thrown) {
      throw reasonOf(signal, thrown);
    }
  }
  return {
    status,
    statusText: response.statusMessage ?? '',
    header: (name) => {
      const value = response.headers[name];
      return typeof value === 'string' ? value : null;
    },
    bytes,
    // Reads by events, which cost a fraction of an iteration.
    text: () =>
      new Promise((resolve, reject) => {
        const chunks: Uint8Array[] = [];
        let length = 0;
        const fail = (thrown: unknown): void => reject(reasonOf(signal, thrown));
        if (response.destroyed && !response.complete) return fail(response.errored ?? brokenOff());
        response.on('data', (chunk: Uint8Array) => {
          chunks.push(chunk);
          length += chunk.length;
          if (length > ANSWER_BYTES_MAX) response.destroy(tooLong(question, status));
        });
        response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
        // Emitted after an error, and after the end too.
        response.on('close', () => (response.readableEnded ? undefined : fail(response.errored ?? brokenOff())));
        return undefined;
      }),
  };
}
