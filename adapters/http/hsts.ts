/** Strict-Transport-Security: browsers that came over HTTPS once never ask this host in plain text again. */
import { isLoopback } from '../../core/config/loopback.ts';
import type { HttpHandler, HttpRequest } from '../../core/ports/http.ts';

const HEADER = { 'strict-transport-security': 'max-age=31536000' };

/** Adds it to each response. Not for loopback names: it would concern every other server on the same machine, too. */
export const withHsts =
  (handle: HttpHandler): HttpHandler =>
  async (request) => {
    const response = await handle(request);
    return isOwnName(request) ? { ...response, headers: { ...response.headers, ...HEADER } } : response;
  };

function isOwnName(request: Pick<HttpRequest, 'header'>): boolean {
  const host = `http://${request.header('host') ?? ''}`;
  return URL.canParse(host) && !isLoopback(new URL(host).hostname);
}
