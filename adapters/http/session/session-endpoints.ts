/** Signing in to the dashboard: a token is exchanged for a session cookie. */
import { bodyReader } from '../../../core/protocol/body-reader.ts';
import { sessionSchema } from '../../../core/protocol/http-bodies.ts';
import type { Authenticator } from '../authenticate.ts';
import type { HttpApiDeps } from '../deps.ts';
import { invalid, ok, refusal, type Reply } from '../reply.ts';
import type { ApiRequest, Handlers } from '../request.ts';
import { SESSION_MS, type SessionCookies } from './session-cookies.ts';

const MS_PER_SECOND = 1_000;

export function sessionHandlers(
  { clock, digest, certificate }: Pick<HttpApiDeps, 'clock' | 'digest' | 'certificate'>,
  auth: Authenticator,
  cookies: SessionCookies,
): Pick<Handlers, 'openSession' | 'endSession'> {
  const readBody = bodyReader(sessionSchema);

  /** `Secure` where the page was loaded over HTTPS: behind a proxy, the hub itself sees only a plain connection. */
  const cookie = (request: ApiRequest, value: string, ageMs: number): string => {
    const isSecure = certificate !== null || request.header('origin')?.toLowerCase().startsWith('https://') === true;
    const secure = isSecure ? '; Secure' : '';
    return `${cookies.name}=${value}; Max-Age=${Math.floor(ageMs / MS_PER_SECOND)}; Path=/; HttpOnly; SameSite=Strict${secure}`;
  };
  const answered = (reply: Reply, setCookie: string): Reply => ({ ...reply, headers: { ...reply.headers, 'set-cookie': setCookie } });

  return {
    async openSession(request) {
      const body = readBody(request.json);
      if (body.kind === 'invalid') return invalid(body.errors);
      const known = await auth.authenticate(`Bearer ${body.value.token}`, request.address);
      if (known.kind === 'refused') return known.reply.refused === 'unauthorized' ? wrongToken : known.reply;
      const { id, role } = known.value;
      if (role === 'agent')
        return refusal('forbidden', 'This is the token of an agent. Sign in with one of a person, such as an operator.');
      const expiresAtMs = clock.nowMs() + SESSION_MS;
      const value = cookies.seal({ tokenHash: digest.sha256(body.value.token), expiresAtMs });
      return answered(ok({ id, role, expires_at: expiresAtMs }), cookie(request, value, SESSION_MS));
    },
    endSession(request) {
      return answered(ok({}), cookie(request, '', 0));
    },
  };
}

const wrongToken = refusal('unauthorized', 'This token is not valid: it is mistyped, revoked or expired.');
