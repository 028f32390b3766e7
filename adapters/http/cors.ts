/** CORS: pages of the origins that the config names may call the API with a bearer token, never with the cookie of a dashboard session. */
import type { HttpRequest, HttpResponse } from '../../core/ports/http.ts';
import type { Reply } from './reply.ts';

const ALLOWED_METHODS = 'GET, POST, DELETE';
/** Excludes the dashboard's header, which marks requests of the hub's own pages. */
const ALLOWED_HEADERS = 'authorization, content-type, idempotency-key, last-event-id, traceparent, tracestate';
/** How long a browser may cache the answer to a preflight, seconds. */
const PREFLIGHT_KEPT_S = 600;

export interface Cors {
  /** Whether pages of this origin may call the API. */
  allows(origin: string | undefined): boolean;
  /** The answer to a preflight; null if the request is not one, or its origin is not allowed. */
  preflight(request: Pick<HttpRequest, 'method' | 'header'>): Reply | null;
  /** The response, made readable for the requesting page if its origin is allowed. */
  readable(request: Pick<HttpRequest, 'header'>, response: HttpResponse): HttpResponse;
}

/** `origins`: as a browser writes them, in lower case and without the default port. */
export function cors(origins: readonly string[]): Cors {
  const allowed = new Set(origins);
  const allows = (origin: string | undefined): origin is string => origin !== undefined && allowed.has(origin);
  return {
    allows,
    preflight(request) {
      if (request.method !== 'OPTIONS' || request.header('access-control-request-method') === undefined) return null;
      if (!allows(request.header('origin'))) return null;
      const headers = {
        'access-control-allow-methods': ALLOWED_METHODS,
        'access-control-allow-headers': ALLOWED_HEADERS,
        'access-control-max-age': String(PREFLIGHT_KEPT_S),
      };
      return { status: 204, headers, body: null };
    },
    readable(request, response) {
      const origin = request.header('origin');
      if (!allows(origin)) return response;
      const more = {
        'access-control-allow-origin': origin,
        'access-control-expose-headers': 'retry-after',
        'cross-origin-resource-policy': 'cross-origin',
        vary: 'origin',
      };
      return { ...response, headers: { ...response.headers, ...more } };
    },
  };
}
