/** The HTTP server of the port: Node's own, with timeouts for slow clients. */
import { createServer, type Server } from 'node:http';
import { httpAnswerer, type AnswererDeps } from '../kit/answer-http.ts';
import { nodeExchange } from './node-exchange.ts';
import type { WsSettings } from './settings.ts';

/** How often Node checks for requests that exceed a timeout, and so by how much they can exceed it. */
const CHECK_MS = 5_000;
/** TCP keep-alive probes start after this idle time. */
const KEEP_ALIVE_PROBE_MS = 30_000;

export interface HttpFrontDeps extends AnswererDeps {
  readonly settings: WsSettings;
  /** TCP connections open at once, including WebSockets; more are dropped. */
  readonly connectionsMax: number;
}

/** The server, not listening yet. */
export const httpFront = ({ settings, connectionsMax, ...deps }: HttpFrontDeps): Server => {
  const answer = httpAnswerer(deps);
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
      const { request, exchange } = nodeExchange(incoming, outgoing, deps.isRefusing);
      answer(request, exchange);
    },
  );
  server.setTimeout(settings.idleMs);
  server.maxConnections = connectionsMax;
  return server;
};
