/** Finds out what answers at the address of a hub: a hub, another program, or nothing. Sends no token. */
import { connect } from 'node:tls';
import type { HubTrust } from '../../../adapters/kit/trusted-hub.ts';
import { exchangeTrusting } from '../../client/exchange/http-exchange.ts';
import { messageOf } from '../../../core/errors/agentcom-error.ts';

export type HubAnswer =
  /**
   * `isDegraded`: it cannot commit. `behindMs`: how far this machine's clock is behind the hub's; null from a hub that does not send its
   * time.
   */
  | { readonly kind: 'hub'; readonly version: string; readonly isDegraded: boolean; readonly behindMs: number | null }
  /** Nothing accepts the connection. */
  | { readonly kind: 'away'; readonly why: string }
  /** The connection is accepted, but no answer arrives in time. */
  | { readonly kind: 'silent'; readonly why: string }
  /** The address has the wrong scheme: this one is right. */
  | { readonly kind: 'scheme'; readonly speaks: 'http' | 'https' }
  | { readonly kind: 'certificate'; readonly why: string }
  /** A hub that does not know the name in the address. */
  | { readonly kind: 'name' }
  /** `what` completes a sentence that starts with "it". */
  | { readonly kind: 'other'; readonly what: string };

/** Timeout of each request, milliseconds. */
const ANSWER_WITHIN_MS = 5_000;
/** More than any hub's answer, bytes. */
const ANSWER_BYTES_MAX = 65_536;
/** Errors of a connection that had been accepted. */
const ACCEPTED = /^(ECONNRESET|EPIPE|EPROTO|HPE_|ERR_SSL_|ERR_TLS_|CERT_|DEPTH_|SELF_SIGNED|UNABLE_|HOSTNAME_|AC_HUB_FINGERPRINT)/;

/** `url`: `http://host:port`, `https://host/prefix`. Never rejects. */
export async function askHub(url: string, tls: HubTrust = {}): Promise<HubAnswer> {
  const answer = await ask(url, tls);
  if (answer.kind !== 'other') return answer;
  const isTls = new URL(url).protocol === 'https:';
  const speaksTls = await handshakes(url);
  if (isTls && speaksTls) return answer.isRefusal ? { kind: 'certificate', why: answer.what } : answer;
  if (!isTls && speaksTls) return { kind: 'scheme', speaks: 'https' };
  if (!isTls) return answer;
  const plain = await ask(url.replace('https:', 'http:'), tls);
  return plain.kind === 'hub' || plain.kind === 'name' ? { kind: 'scheme', speaks: 'http' } : plain.kind === 'other' ? plain : answer;
}

/** `isRefusal`: nothing was answered. */
type Asked = Exclude<HubAnswer, { kind: 'other' }> | { readonly kind: 'other'; readonly what: string; readonly isRefusal: boolean };

async function ask(url: string, tls: HubTrust): Promise<Asked> {
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
  const askedAtMs = Date.now();
  try {
    const base = new URL(url);
    const path = `${base.pathname.replace(/\/$/, '')}/health`;
    const answer = await exchangeTrusting(tls)(base, { method: 'GET', path, headers: {}, body: undefined, signal });
    const text = await textOf(answer.bytes());
    // Assumes that the hub read its clock halfway between request and answer.
    const hereMs = (askedAtMs + Date.now()) / 2;
    const health = hubHealth(text);
    if (health !== null) {
      const { serverTimeMs, ...rest } = health;
      return { kind: 'hub', ...rest, behindMs: serverTimeMs === null ? null : serverTimeMs - hereMs };
    }
    if (isForeignName(answer.status, text)) return { kind: 'name' };
    const type = answer.header('content-type')?.split(';')[0] ?? 'no content type';
    return { kind: 'other', what: `answers GET /health with ${answer.status} and ${type}`, isRefusal: false };
  } catch (thrown) {
    const why = messageOf(thrown);
    if (signal.aborted) return { kind: 'silent', why: `no answer within ${ANSWER_WITHIN_MS / 1_000} s` };
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
    return ACCEPTED.test(code) ? { kind: 'other', what: `does not answer GET /health (${why})`, isRefusal: true } : { kind: 'away', why };
  }
}

async function textOf(bytes: AsyncGenerator<Uint8Array, void>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of bytes) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Null if this is not what a hub answers. */
function hubHealth(text: string): { readonly version: string; readonly isDegraded: boolean; readonly serverTimeMs: number | null } | null {
  try {
    const health = JSON.parse(text) as Readonly<Record<string, unknown>> | null;
    const { status, version, server_time: serverTimeMs } = health ?? {};
    if ((status !== 'ok' && status !== 'degraded') || typeof version !== 'string') return null;
    return { version, isDegraded: status === 'degraded', serverTimeMs: typeof serverTimeMs === 'number' ? serverTimeMs : null };
  } catch {
    return null; // Not JSON: another program.
  }
}

/** What a hub answers whose `hub.listen.names` lack the name. */
function isForeignName(status: number, text: string): boolean {
  if (status !== 403) return false;
  try {
    return (JSON.parse(text) as Readonly<Record<string, unknown>> | null)?.['error'] === 'forbidden_origin';
  } catch {
    return false; // Not JSON: another program.
  }
}

/** Whether the program there speaks TLS, whatever its certificate. */
function handshakes(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port === '' ? 443 : port), rejectUnauthorized: false, timeout: ANSWER_WITHIN_MS });
    const end = (spoken: boolean) => (): void => {
      resolve(spoken);
      socket.destroy();
    };
    socket.once('secureConnect', end(true)).once('error', end(false)).once('timeout', end(false)).once('close', end(false));
  });
}
