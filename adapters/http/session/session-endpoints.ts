/** Signing in to the dashboard: a token is exchanged for a session cookie. */
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import { bodyReader } from '../../../core/protocol/body-reader.ts';
import { sessionSchema } from '../../../core/protocol/http-bodies.ts';
import { auditDraft } from '../audit-source.ts';
import { WRONG_TOKEN, type Authenticator } from '../authenticate.ts';
import { buckets } from '../buckets.ts';
import type { HttpApiDeps } from '../deps.ts';
import { invalid, ok, refusal, tooMany, type Reply } from '../reply.ts';
import type { ApiRequest, Handlers } from '../request.ts';
import { SESSION_MS, type SessionCookies } from './session-cookies.ts';

const MS_PER_SECOND = 1_000;
/** How often a token may sign in and out at once, and at what rate afterwards: each time adds an entry to the audit log. */
const SIGN_INS = { burst: 60, perSecond: 1 / 60 };
const TOKENS_MAX = 10_000;

export function sessionHandlers(
  { audit, clock, digest, certificate, log }: Pick<HttpApiDeps, 'audit' | 'clock' | 'digest' | 'certificate' | 'log'>,
  auth: Authenticator,
  cookies: SessionCookies,
): Pick<Handlers, 'openSession' | 'endSession'> {
  const readBody = bodyReader(sessionSchema);
  const signIns = buckets(SIGN_INS, TOKENS_MAX, clock);

  /** `Secure` where the page was loaded over HTTPS: behind a proxy, the hub itself sees only a plain connection. */
  const cookie = (request: ApiRequest, value: string, ageMs: number): string => {
    const isSecure = certificate !== null || request.header('origin')?.toLowerCase().startsWith('https://') === true;
    const secure = isSecure ? '; Secure' : '';
    return `${cookies.name}=${value}; Max-Age=${Math.floor(ageMs / MS_PER_SECOND)}; Path=/; HttpOnly; SameSite=Strict${secure}`;
  };
  const answered = (reply: Reply, setCookie: string): Reply => ({ ...reply, headers: { ...reply.headers, 'set-cookie': setCookie } });

  const recordEnd = async (request: ApiRequest): Promise<void> => {
    const session = cookies.open(request.header('cookie'), clock.nowMs());
    const known = session === null ? null : await auth.resume(session, request.address);
    if (known?.kind !== 'read' || !signIns.take(known.value.id).taken) return;
    await audit.append([auditDraft(request, known.value, clock.nowMs(), { act: 'session.end', object: known.value.id })]);
  };

  return {
    async openSession(request) {
      const body = readBody(request.json);
      if (body.kind === 'invalid') return invalid(body.errors);
      const known = await auth.authenticate(`Bearer ${body.value.token}`, request.address);
      if (known.kind === 'refused') return known.reply.refused === 'unauthorized' ? wrongToken : known.reply;
      const { id, role } = known.value;
      if (role === 'agent') return refusal('forbidden', "This is an agent's token. Sign in with a person's token, such as an operator's.");
      const rate = signIns.take(id);
      if (!rate.taken) return tooMany('This token signs in too often.', rate.waitMs);
      const nowMs = clock.nowMs();
      const expiresAtMs = nowMs + SESSION_MS;
      await audit.append([
        auditDraft(request, known.value, nowMs, { act: 'session.open', object: id, details: { expires_at: expiresAtMs } }),
      ]);
      const value = cookies.seal({ tokenHash: digest.sha256(body.value.token), expiresAtMs });
      return answered(ok({ id, role, expires_at: expiresAtMs }), cookie(request, value, SESSION_MS));
    },
    async endSession(request) {
      // Signing out always works, even if it cannot be recorded.
      try {
        await recordEnd(request);
      } catch (thrown) {
        log.warn('the end of a session could not be recorded in the audit log', { error: messageOf(thrown) });
      }
      return answered(ok({}), cookie(request, '', 0));
    },
  };
}

const wrongToken = refusal('unauthorized', WRONG_TOKEN);
