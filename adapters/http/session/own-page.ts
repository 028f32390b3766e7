/**
 * Whether a request with a session cookie was made by the dashboard. A browser adds the cookie by itself, even to a request that another
 * page makes, and cookies and `SameSite` ignore ports; so the cookie alone does not prove which page made the request.
 */
import type { HttpRequest } from '../../../core/ports/http.ts';
import { refusal, type Reply } from '../reply.ts';

/** A page of another origin cannot set it without a preflight, and no answer to a preflight allows it (cors.ts). */
const DASHBOARD_HEADER = 'x-agentcom-dashboard';

/** 403 if it may come from another page; null if it comes from the hub's own. */
export function refuseForeignPage(request: Pick<HttpRequest, 'method' | 'header'>): Reply | null {
  const { method } = request;
  const changes = method !== 'GET' && method !== 'HEAD';
  // Set by the browser, never by a page, and takes ports into account. Only sent over HTTPS and on loopback.
  const site = request.header('sec-fetch-site');
  if (site !== undefined && site !== 'same-origin' && (changes || site !== 'none')) return foreign(`Sec-Fetch-Site is ${printable(site)}`);
  if (!changes) return null;
  if (request.header(DASHBOARD_HEADER) === undefined) return foreign(`the header ${DASHBOARD_HEADER} is missing`);
  if (method === 'POST' && !/^application\/json\b/i.test(request.header('content-type') ?? '')) {
    return foreign('the Content-Type is not application/json');
  }
  const origin = request.header('origin');
  if (origin === undefined) return foreign('Origin is missing');
  if (site === undefined && hostOf(origin) !== request.header('host')?.toLowerCase())
    return foreign('Origin is not the Host of the request');
  return null;
}

const hostOf = (origin: string): string | null => (URL.canParse(origin) ? new URL(origin).host : null);

const printable = (text: string): string => text.slice(0, 32).replace(/[^\x21-\x7e]/g, '?');

const foreign = (why: string): Reply =>
  refusal('forbidden_origin', `A session cookie is accepted from the hub's own dashboard only: ${why}. Programs send a bearer token.`);
