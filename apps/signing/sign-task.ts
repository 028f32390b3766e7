/** The signature of a task, made with jose. */
import { createHash, randomBytes } from 'node:crypto';
import { SignJWT } from 'jose';
import { durationText } from '../../core/domain/waiting/words.ts';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import {
  AUDIENCES_MAX,
  claimsFor,
  contentText,
  SIGNATURE_ALGORITHM,
  SIGNATURE_LIFE_MS,
  SIGNATURE_LIFE_MS_MAX,
  SIGNATURE_TYPE,
  withoutNulls,
} from '../../core/protocol/signed/task-claims.ts';
import { signingKey, signingKeyOf, type SigningKey } from './key-files.ts';
import type { Ed25519PrivateJwk, SignedTask, SignTask, TaskSignerOptions } from './signing-options.ts';

const NONCE_BYTES = 16;
const LIFE_MS_MIN = 1_000;
const NAME_CHARACTERS_MAX = 128;

/** Reads the key. Rejects with `AC_USAGE`. */
export async function signTaskWith({ key, expiresInMs = SIGNATURE_LIFE_MS, audience = [] }: TaskSignerOptions): Promise<SignTask> {
  if (!(expiresInMs >= LIFE_MS_MIN && expiresInMs <= SIGNATURE_LIFE_MS_MAX))
    throw wrong(
      `a signature may be valid for ${durationText(LIFE_MS_MIN)} to ${durationText(SIGNATURE_LIFE_MS_MAX)} (expiresInMs: ${LIFE_MS_MIN} to ${SIGNATURE_LIFE_MS_MAX}), found ${String(expiresInMs)} ms`,
    );
  if (audience.length > AUDIENCES_MAX || audience.some((name) => name === '' || name.length > NAME_CHARACTERS_MAX))
    throw wrong(`expected at most ${AUDIENCES_MAX} audiences of 1 to ${NAME_CHARACTERS_MAX} characters`);
  const { key: privateKey, kid } = typeof key === 'string' ? await signingKey(key) : await givenKey(key);
  return async (task) => {
    // The task as it is sent: JSON leaves out fields that are undefined.
    const sent = withoutNulls(JSON.parse(JSON.stringify(task)) as SignedTask);
    const claims = claimsFor(sent, {
      nowMs: Date.now(),
      expiresInMs,
      audience,
      nonce: randomBytes(NONCE_BYTES).toString('base64url'),
      contentSha256: createHash('sha256').update(contentText(sent)).digest('hex'),
    });
    return new SignJWT({ ...claims }).setProtectedHeader({ alg: SIGNATURE_ALGORITHM, typ: SIGNATURE_TYPE, kid }).sign(privateKey);
  };
}

const givenKey = (key: Ed25519PrivateJwk): Promise<SigningKey> =>
  signingKeyOf(key).catch((cause: unknown) => {
    throw wrong(messageOf(cause), cause);
  });

const wrong = (what: string, cause?: unknown): AgentcomError => new AgentcomError('AC_USAGE', `Cannot sign a task: ${what}.`, { cause });
