/** The HTTP half of the port: Node's server with bounds on slow peers, handing web requests to the given handler. */
import { createServer, type Server } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { FAILED, STOPPING, unreadable, type OwnAnswer } from '../kit/own-answers.ts';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { HttpHandler } from '../../core/ports/hub-transport.ts';
import type { Log } from '../../core/ports/log.ts';
import { plainAddress } from '../../core/protocol/client-address.ts';
import type { WsSettings } from './settings.ts';

/** How often Node looks for requests that take too long; they may last that much longer. */
const CHECK_MS = 5_000;
/** TCP asks a silent peer whether it is there after this time. */
const KEEP_ALIVE_PROBE_MS = 30_000;

export interface HttpFrontParts {
  readonly settings: WsSettings;
  /** Connections of all kinds at once; more are dropped. */
  readonly connectionsMax: number;
  readonly http: HttpHandler;
  readonly isRefusing: () => boolean;
  readonly log: Log;
}

/** The server, not listening yet. */
export const httpFront = ({ settings, connectionsMax, http, isRefusing, log }: HttpFrontParts): Server => {
  const answer = async (request: Request, remoteAddress: string): Promise<Response> => {
    if (isRefusing()) return responseOf(STOPPING);
    try {
      return await http(request, { remoteAddress });
    } catch (thrown) {
      log.error('The HTTP handler threw.', { method: request.method, path: new URL(request.url).pathname, error: thrown });
      return responseOf(FAILED);
    }
  };

  // The listener puts light Request and Response classes in the place of Node's: measured 35 µs less of each request.
  const listener = getRequestListener(
    async (request, { incoming, outgoing }) => {
      const response = await answer(request, plainAddress(incoming.socket.remoteAddress ?? ''));
      if (isRefusing() && 'shouldKeepAlive' in outgoing) outgoing.shouldKeepAlive = false;
      return response;
    },
    // Only what cannot be made a web request comes here.
    { errorHandler: (thrown) => responseOf(unreadable(messageOf(thrown))) },
  );

  const server = createServer(
    {
      headersTimeout: settings.headersWithinMs,
      requestTimeout: settings.requestWithinMs,
      connectionsCheckingInterval: Math.min(CHECK_MS, settings.headersWithinMs, settings.requestWithinMs),
      keepAliveTimeout: settings.keepAliveMs,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
    },
    (incoming, outgoing) => void listener(incoming, outgoing),
  );
  server.setTimeout(settings.idleMs);
  server.maxConnections = connectionsMax;
  return server;
};

const responseOf = ({ status, headers, body }: OwnAnswer): Response => new Response(body, { status, headers });
