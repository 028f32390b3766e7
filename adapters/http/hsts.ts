/** Strict-Transport-Security: browsers that have used HTTPS once no longer send this host anything in plain text. */
import { isLoopback } from '../../core/config/loopback.ts';
import type { HttpHandler, HttpRequest } from '../../core/ports/http.ts';

const HEADER = { 'strict-transport-security': 'max-age=31536000' };

/** Adds the header to each response, except for loopback names: there it would affect every other server on the same machine, too. */
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
