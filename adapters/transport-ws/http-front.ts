/** The HTTP half of the port: Node's server with bounds on slow peers, handing requests to the given handler. */
import { createServer, type Server } from 'node:http';
import { httpAnswerer, type AnswererParts } from '../kit/answer-http.ts';
import { nodeExchange } from './node-exchange.ts';
import type { WsSettings } from './settings.ts';

/** How often Node looks for requests that take too long; they may last that much longer. */
const CHECK_MS = 5_000;
/** TCP asks a silent peer whether it is there after this time. */
const KEEP_ALIVE_PROBE_MS = 30_000;

export interface HttpFrontParts extends AnswererParts {
  readonly settings: WsSettings;
  /** Connections of all kinds at once; more are dropped. */
  readonly connectionsMax: number;
}

/** The server, not listening yet. */
export const httpFront = ({ settings, connectionsMax, ...parts }: HttpFrontParts): Server => {
  const answer = httpAnswerer(parts);
  const server = createServer(
    {
      headersTimeout: settings.headersWithinMs,
      requestTimeout: settings.requestWithinMs,
      connectionsCheckingInterval: Math.min(CHECK_MS, settings.headersWithinMs, settings.requestWithinMs),
      keepAliveTimeout: settings.keepAliveMs,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
    },
    (incoming, outgoing) => {
      const { request, exchange } = nodeExchange(incoming, outgoing, parts.isRefusing);
      answer(request, exchange);
    },
  );
  server.setTimeout(settings.idleMs);
  server.maxConnections = connectionsMax;
  return server;
};
