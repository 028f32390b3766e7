/**
 * Serves the dashboard: a page and its script, styles and icon. None of them contains data, so they need no token; the page gets its data
 * from the API, with the session of the signed-in user.
 */
import type { ByteStream, HttpRequest } from '../../../core/ports/http.ts';
import { refusal, type Reply } from '../reply.ts';
import type { DashboardFile, DashboardFiles } from './dashboard-files.ts';

/** Allows only the hub's own files, and nothing inline. No other site may frame the page or be sent anything by it. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');
const HTML = 'text/html; charset=utf-8';
/** A browser revalidates each time, and gets 304 unless the hub was updated. */
const REVALIDATE = 'no-cache';

const NOT_BUILT = `<!doctype html><html lang="en"><meta charset="utf-8"><title>AgentCom</title>
<h1>The dashboard is not built</h1>
<p>The hub is running, but the files of its dashboard are missing. In the folder of AgentCom, run <code>npm run build</code>, then restart the hub.</p>
</html>
`;

/** The reply to a request for the dashboard, or for `/`; null if the request is for something else. */
export type DashboardPages = (request: HttpRequest) => Reply | null;

/** `files` is null if they were not built. */
export function dashboardPages(files: DashboardFiles | null): DashboardPages {
  return (request) => {
    const { path } = request;
    if (path !== '/' && path !== '/dashboard' && !path.startsWith('/dashboard/')) return null;
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return refusal('method_not_allowed', 'Allowed: GET.', { headers: { allow: 'GET' } });
    }
    if (path === '/') return root(request);
    const name = path.slice('/dashboard/'.length) || 'index.html';
    if (files === null) return name === 'index.html' ? notBuilt() : refusal('unknown_route', 'The dashboard is not built: npm run build.');
    const file = files.get(name);
    return file === undefined ? refusal('unknown_route', 'The dashboard has no such file.') : fileReply(request, file);
  };
}

/** Redirects a browser to the dashboard; tells a program where the API is. */
function root(request: HttpRequest): Reply {
  if ((request.header('accept') ?? '').includes('text/html')) return { status: 303, body: '', headers: { location: '/dashboard' } };
  const links = { api: '/api', schemas: '/api/schemas', health: '/health', dashboard: '/dashboard' };
  return { status: 200, body: JSON.stringify({ name: 'agentcom', ...links }) };
}

const notBuilt = (): Reply => ({ status: 503, body: NOT_BUILT, headers: { 'content-type': HTML, 'content-security-policy': PAGE_POLICY } });

function fileReply(request: HttpRequest, file: DashboardFile): Reply {
  const { encoding, bytes } = chosen(file, request.header('accept-encoding') ?? '');
  const etag = `"${file.etag}${encoding === null ? '' : `-${encoding}`}"`;
  const headers = {
    'content-type': file.contentType,
    'cache-control': REVALIDATE,
    etag,
    vary: 'accept-encoding',
    ...(encoding === null ? {} : { 'content-encoding': encoding }),
    ...(file.contentType === HTML ? { 'content-security-policy': PAGE_POLICY } : {}),
  };
  const known = (request.header('if-none-match') ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return known.includes(etag) ? { status: 304, body: '', headers } : { status: 200, body: inOneChunk(bytes), headers };
}

function chosen(
  { plain, brotli, gzip }: DashboardFile,
  accepted: string,
): { readonly encoding: string | null; readonly bytes: Uint8Array } {
  const accepts = (coding: string): boolean =>
    accepted.split(',').some((part) => {
      const [name = '', quality = ''] = part
        .trim()
        .toLowerCase()
        .split(/\s*;\s*/);
      return name === coding && !/^q=0(\.0*)?$/.test(quality);
    });
  if (brotli !== undefined && accepts('br')) return { encoding: 'br', bytes: brotli };
  if (gzip !== undefined && accepts('gzip')) return { encoding: 'gzip', bytes: gzip };
  return { encoding: null, bytes: plain };
}

function inOneChunk(bytes: Uint8Array): ByteStream {
  let left: Uint8Array | null = bytes;
  return {
    next() {
      const chunk = left;
      left = null;
      return Promise.resolve(chunk);
    },
    cancel() {
      left = null;
    },
  };
}
