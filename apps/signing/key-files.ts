/** Ed25519 keys of submitters: JWK (RFC 8037) or PEM, from files or from the config. */
import { readFile } from 'node:fs/promises';
import { calculateJwkThumbprint, exportJWK, importJWK, importPKCS8, importSPKI, type CryptoKey, type JWK } from 'jose';
import type { TrustedKeyConfig } from '../../core/config/accept.ts';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import { SIGNATURE_ALGORITHM } from '../../core/protocol/signed/task-claims.ts';

/** A larger file is not a key, bytes. */
const KEY_BYTES_MAX = 65_536;
const PEM_PUBLIC = '-----BEGIN PUBLIC KEY-----';
const PEM_PRIVATE = '-----BEGIN PRIVATE KEY-----';
const EXTRACTABLE = { extractable: true } as const;

/** A key whose signatures a sidecar trusts. */
export interface TrustedKey {
  readonly name: string;
  /** Its thumbprint (RFC 7638, SHA-256), by which signatures refer to it. */
  readonly kid: string;
  readonly key: CryptoKey;
  /** Its signatures count until then; null: forever. */
  readonly notAfterMs: number | null;
}

/** What identifies a public key, and nothing else. */
export interface PublicJwk {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly x: string;
}

/** A key to sign with. */
export interface SigningKey {
  readonly kid: string;
  readonly key: CryptoKey;
  readonly publicJwk: PublicJwk;
}

/** Rejects with `AC_CONFIG_INVALID`. `place`: the option that names it. */
export async function trustedKey({ name, publicKey, notAfter }: TrustedKeyConfig, place: string): Promise<TrustedKey> {
  try {
    const jwk = typeof publicKey === 'string' ? await publicJwkIn(publicKey) : checkedPublic(publicKey as JWK);
    const kid = await calculateJwkThumbprint(jwk);
    const notAfterMs = notAfter === undefined ? null : endOfDay(notAfter);
    return { name: name ?? kid, kid, key: (await importJWK(jwk, SIGNATURE_ALGORITHM)) as CryptoKey, notAfterMs };
  } catch (cause) {
    throw new AgentcomError('AC_CONFIG_INVALID', `${place}: ${messageOf(cause)}`, { cause });
  }
}

/** Reads a private key. Rejects with `AC_USAGE`. */
export async function signingKey(file: string): Promise<SigningKey> {
  try {
    const text = await keyText(file);
    const jwk = text.includes(PEM_PRIVATE) ? await exportJWK(await importPKCS8(text, SIGNATURE_ALGORITHM, EXTRACTABLE)) : jwkIn(text);
    return await signingKeyOf(jwk);
  } catch (cause) {
    throw new AgentcomError(
      'AC_USAGE',
      `Cannot use ${file} as a signing key: ${messageOf(cause)}. Create a key with \`agentcom keys init\`.`,
      {
        cause,
      },
    );
  }
}

/** Throws for a key that is public, or not Ed25519. */
export async function signingKeyOf(jwk: JWK): Promise<SigningKey> {
  const publicJwk = ed25519(jwk);
  if (jwk.d === undefined) throw new Error('expected a private key, found a public one');
  const kid = await calculateJwkThumbprint(publicJwk);
  return { kid, publicJwk, key: (await importJWK({ ...publicJwk, d: jwk.d }, SIGNATURE_ALGORITHM)) as CryptoKey };
}

async function publicJwkIn(file: string): Promise<PublicJwk> {
  try {
    const text = await keyText(file);
    if (text.includes(PEM_PRIVATE)) throw new Error(IS_PRIVATE);
    return text.includes(PEM_PUBLIC)
      ? ed25519(await exportJWK(await importSPKI(text, SIGNATURE_ALGORITHM, EXTRACTABLE)))
      : checkedPublic(jwkIn(text));
  } catch (cause) {
    throw new Error(`${file}: ${messageOf(cause)}`, { cause });
  }
}

const IS_PRIVATE = 'expected a public key, found a private one; a sidecar needs only what `agentcom keys show FILE` prints';

function checkedPublic(jwk: JWK): PublicJwk {
  if (jwk.d !== undefined) throw new Error(IS_PRIVATE);
  return ed25519(jwk);
}

function ed25519({ kty, crv, x }: JWK): PublicJwk {
  if (kty === 'OKP' && crv === 'Ed25519' && typeof x === 'string') return { kty: 'OKP', crv: 'Ed25519', x };
  throw new Error(`expected an Ed25519 key (kty "OKP", crv "Ed25519"), found kty ${JSON.stringify(kty)}, crv ${JSON.stringify(crv)}`);
}

async function keyText(file: string): Promise<string> {
  const text = await readFile(file, 'utf8');
  if (text.length > KEY_BYTES_MAX) throw new Error(`expected a key, found ${text.length} characters`);
  return text;
}

function jwkIn(text: string): JWK {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('expected a JWK or a PEM file with "BEGIN PUBLIC KEY" or "BEGIN PRIVATE KEY"');
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JWK;
  throw new Error('expected a JWK, a JSON object');
}

function endOfDay(day: string): number {
  const ms = Date.parse(`${day}T23:59:59.999Z`);
  if (Number.isNaN(ms)) throw new Error(`notAfter: expected a day such as 2027-12-31, found ${JSON.stringify(day)}`);
  return ms;
}
