/** Enrolls an agent. The hub first proves that it knows the secret; no other hub gets the secret, and no other hub's token is trusted. */
import type { HubTrust } from '../adapters/kit/trusted-hub.ts';
import { systemDigest } from '../adapters/ids-system/system-digest.ts';
import { AgentcomError } from '../core/errors/agentcom-error.ts';
import { enrolHubProof, sealedSecret, unsealedEnrolToken } from '../core/protocol/enrol-proof.ts';
import { HUB_PROOF_PATTERN, isSameProof, NONCE_PATTERN, SEALED_TOKEN_PATTERN } from '../core/protocol/proof.ts';
import { hubClient, type HubClient } from './client/index.ts';
import { newHandshake } from './handshake.ts';

const isNonce = matcher(NONCE_PATTERN);
const isProof = matcher(HUB_PROOF_PATTERN);
const isSealed = matcher(SEALED_TOKEN_PATTERN);

export interface Enrolling {
  readonly agentId: string;
  readonly secret: string;
  /** Whether an older hub that cannot prove itself may get the secret without TLS. */
  readonly isTrusted: boolean;
  /** How the hub is recognized over HTTPS. */
  readonly tls?: HubTrust | undefined;
}

/** `not_proved`, `older`: the secret was not sent. */
export type Enrolled =
  { readonly kind: 'enrolled'; readonly token: string; readonly isProved: boolean } | { readonly kind: 'not_proved' | 'older' };

/** Whether the hub knows this enrollment secret, without using it up. Fails like `enrolAt`. */
export async function hubKnowsSecret(
  url: string,
  { tls, ...of }: Pick<Enrolling, 'agentId' | 'secret' | 'tls'>,
): Promise<'proved' | 'not_proved' | 'older'> {
  const { challenge, isProved } = await challengedHub(hubClient({ url, tls, retryWithinMs: 0 }), of);
  return challenge === null ? 'older' : isProved ? 'proved' : 'not_proved';
}

/** Fails with `AC_API` if the hub refuses, with `AC_API_UNREACHABLE` if none answers. `url`: `http://…` or `https://…` */
export async function enrolAt(url: string, { agentId, secret, isTrusted, tls }: Enrolling): Promise<Enrolled> {
  const { hmac } = systemDigest();
  const client = hubClient({ url, tls });
  const { enrolment } = client;
  const { key, handshake, request, challenge, isProved } = await challengedHub(client, { agentId, secret });
  if (challenge === null) {
    // With TLS the certificate identifies the hub. Without it, even on loopback, a program that took the port could pose as an older hub.
    if (new URL(url).protocol !== 'https:' && !isTrusted) return { kind: 'older' };
    return { kind: 'enrolled', token: (await enrolment.register({ agent_id: agentId, secret })).token, isProved: false };
  }
  if (!isProved) return { kind: 'not_proved' };
  const given = await enrolment.registerProved({
    ...request,
    hub_nonce: challenge.hub_nonce,
    sealed_secret: sealedSecret(secret, key, handshake, hmac),
  });
  const token = isSealed(given.sealed_token) && isProof(given.proof) ? unsealedEnrolToken(given, key, handshake, hmac) : null;
  if (token !== null) return { kind: 'enrolled', token, isProved: true };
  throw new AgentcomError(
    'AC_ENROL',
    `Expected the token of agent "${agentId}" from the hub that proved itself, but the answer was modified between this machine ` +
      `and ${url}. The secret may be used up. On the hub's machine run "agentcom tokens revoke ${agentId}" and "agentcom invite"`,
  );
}

/** Has the hub prove that it knows the secret. `challenge` null: the hub is older and cannot. */
async function challengedHub({ enrolment }: HubClient, { agentId, secret }: Pick<Enrolling, 'agentId' | 'secret'>) {
  const { key, hello } = newHandshake(agentId, secret);
  const request = { agent_id: agentId, secret_hint: hello.tokenHint, nonce: hello.nonce };
  const challenge = await challengeTo(enrolment, request);
  const handshake = { ...hello, hubNonce: challenge?.hub_nonce ?? '' };
  const isAnswer = challenge !== null && isNonce(challenge.hub_nonce) && isProof(challenge.proof);
  const isProved = isAnswer && isSameProof(challenge.proof, enrolHubProof(key, handshake, systemDigest().hmac));
  return { key, handshake, request, challenge, isProved };
}

/** Null from an older hub, which does not know these fields. */
async function challengeTo(enrolment: HubClient['enrolment'], hello: Parameters<HubClient['enrolment']['hello']>[0]) {
  try {
    return await enrolment.hello(hello);
  } catch (error) {
    if (AgentcomError.is(error, 'AC_API') && error.details?.['error'] === 'validation_failed') return null;
    throw error;
  }
}

/** Another program may answer anything. */
function matcher(pattern: string): (found: unknown) => boolean {
  const wanted = new RegExp(pattern);
  return (found) => typeof found === 'string' && wanted.test(found);
}
