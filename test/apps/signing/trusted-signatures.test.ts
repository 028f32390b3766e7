/** Signatures by real keys: which count, and which attacks fail. */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, SignJWT } from 'jose';
import t from 'tap';
import { signTaskWith } from '../../../apps/signing/sign-task.ts';
import { trustedKey } from '../../../apps/signing/key-files.ts';
import { trustedSignatures } from '../../../apps/signing/trusted-signatures.ts';
import type { Ed25519PublicJwk, TrustedKeyConfig } from '../../../core/config/accept.ts';
import { contentText } from '../../../core/protocol/signed/task-claims.ts';
import type { Ed25519PrivateJwk } from '../../../apps/signing/signing-options.ts';

async function keyPair() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { kty, crv, x } = (await exportJWK(publicKey)) as Ed25519PublicJwk;
  const { d } = await exportJWK(privateKey);
  return { privateKey, publicKey, publicJwk: { kty, crv, x }, privateJwk: { kty, crv, x, d } as Ed25519PrivateJwk };
}

const OURS = await keyPair();
const THEIRS = await keyPair();
const { kid: OUR_KID } = await trustedKey({ publicKey: OURS.publicJwk }, 'test');
const TASK = { description: 'count', metadata: { n: 1 }, needed_capabilities: ['code'] };

const trusting = async (over: Partial<TrustedKeyConfig> = {}) => {
  const signatures = trustedSignatures({ signedBy: [{ name: 'ops', publicKey: OURS.publicJwk, ...over }], nonceFile: null });
  await signatures.open();
  return signatures;
};

t.test('a signature of a trusted key is valid, with its claims', async (t) => {
  const signatures = await trusting();
  const sign = await signTaskWith({ key: OURS.privateJwk, audience: ['fleet-a'] });
  const signature = await sign(TASK);
  t.match(await signatures.verify(signature, Date.now()), {
    kind: 'valid',
    signer: 'ops',
    claims: {
      aud: ['fleet-a'],
      needed_capabilities: ['code'],
      content_sha256: createHash('sha256').update(contentText(TASK)).digest('hex'),
    },
  });
  t.not(await sign(TASK), signature, 'each has its own nonce');
});

const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const NOW_S = Math.floor(Date.now() / 1_000);
const CLAIMS = { iat: NOW_S, exp: NOW_S + 60, jti: 'n'.repeat(22), content_sha256: 'ab'.repeat(32) };
const HEADER = { alg: 'EdDSA', typ: 'agentcom-task+jwt', kid: OUR_KID };
/** A JWS with any header, signed with `key`. */
const jws = (header: Record<string, unknown>, claims: Record<string, unknown> = CLAIMS, key = OURS.privateKey) =>
  new SignJWT(claims).setProtectedHeader(header as { alg: string }).sign(key);

t.test('any other signature is invalid, with the reason', async (t) => {
  const signatures = await trusting();
  const good = await jws(HEADER);
  const [head = '', payload = '', mark = ''] = good.split('.');
  t.equal((await signatures.verify(good, Date.now())).kind, 'valid');
  const asSecret = Buffer.from(OURS.publicJwk.x, 'base64url');
  const cases: readonly (readonly [name: string, signature: string, reason: RegExp])[] = [
    ['alg none', `${base64url({ ...HEADER, alg: 'none' })}.${payload}.`, /another algorithm than EdDSA/],
    ['alg none with the signature of another', `${base64url({ ...HEADER, alg: 'none' })}.${payload}.${mark}`, /another algorithm/],
    ['HS256 with the public key as its secret', await jws({ ...HEADER, alg: 'HS256' }, CLAIMS, asSecret as never), /another algorithm/],
    ['another key', await jws({ ...HEADER, kid: 'x' }, CLAIMS, THEIRS.privateKey), /a key that this sidecar does not trust/],
    ['no key id', await jws({ alg: 'EdDSA', typ: HEADER.typ }), /does not trust/],
    ['another key under our name', await jws(HEADER, CLAIMS, THEIRS.privateKey), /does not match its key/],
    [
      'a key of its own in the header',
      await jws({ ...HEADER, jwk: THEIRS.publicJwk }, CLAIMS, THEIRS.privateKey),
      /does not match its key/,
    ],
    ['claims that were changed', `${head}.${base64url({ ...CLAIMS, exp: CLAIMS.exp + 1 })}.${mark}`, /does not match its key/],
    ['another kind of token', await jws({ ...HEADER, typ: 'JWT' }), /cannot be used: unexpected "typ"/],
    ['no kind', await jws({ alg: 'EdDSA', kid: OUR_KID }), /cannot be used/],
    ['expired', await jws(HEADER, { ...CLAIMS, iat: NOW_S - 200, exp: NOW_S - 100 }), /expired at .*; sign and submit it again/],
    ['not yet', await jws(HEADER, { ...CLAIMS, nbf: NOW_S + 3_600 }), /or later \(run_at\)/],
    ['no expiry', await jws(HEADER, { iat: NOW_S, jti: CLAIMS.jti }), /cannot be used: missing required "exp"/],
    [
      'an extension that is critical',
      await jws({ ...HEADER, crit: ['x'], x: 1 }).catch(() => `${base64url({ ...HEADER, crit: ['x'], x: 1 })}.${payload}.${mark}`),
      /cannot be used/,
    ],
    ['no JWS', 'a.b.c', /cannot be read/],
    ['nothing', '', /cannot be read/],
  ];
  for (const [name, signature, reason] of cases) {
    const verified = await signatures.verify(signature, Date.now());
    t.match(verified, { kind: 'invalid', reason }, name);
  }
});

t.test('a key is valid through its last day', async (t) => {
  const signature = await (await signTaskWith({ key: OURS.privateJwk }))(TASK);
  const today = new Date().toISOString().slice(0, 10);
  t.equal((await (await trusting({ notAfter: today })).verify(signature, Date.now())).kind, 'valid');
  t.match(await (await trusting({ notAfter: '2025-12-31' })).verify(signature, Date.now()), {
    kind: 'invalid',
    reason: /has expired \(notAfter\)/,
  });
});

t.test('keys: JWK and PEM, from the config or files; an invalid key is reported with its place', async (t) => {
  const folder = t.testdir();
  const file = async (name: string, content: string): Promise<string> => {
    await writeFile(join(folder, name), content);
    return join(folder, name);
  };
  const publicPem = await file('public.pem', OURS.publicKey.export({ type: 'spki', format: 'pem' }) as string);
  const privatePem = await file('private.pem', OURS.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
  const publicJwk = await file('public.jwk', JSON.stringify(OURS.publicJwk));
  const privateJwk = await file('private.jwk', JSON.stringify(OURS.privateJwk));
  for (const publicKey of [publicPem, publicJwk, OURS.publicJwk]) t.equal((await trustedKey({ publicKey }, 'x')).kid, OUR_KID);
  for (const key of [privatePem, privateJwk, OURS.privateJwk])
    t.equal((await (await trusting()).verify(await (await signTaskWith({ key }))(TASK), Date.now())).kind, 'valid');

  const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 }).publicKey;
  const wrong: readonly (readonly [publicKey: TrustedKeyConfig['publicKey'], reason: RegExp])[] = [
    [privatePem, /found a private one/],
    [privateJwk, /found a private one/],
    [OURS.privateJwk, /found a private one/],
    [await file('rsa.pem', rsa.export({ type: 'spki', format: 'pem' }) as string), /rsa\.pem: /],
    [await file('rsa.jwk', JSON.stringify(await exportJWK(rsa))), /expected an Ed25519 key .* found kty "RSA"/],
    [await file('text.txt', 'hello'), /expected a JWK or a PEM file/],
    [join(folder, 'missing'), /ENOENT/],
  ];
  for (const [publicKey, message] of wrong) {
    const place = 'sidecar.accept.signedBy[0]';
    await t.rejects(trustedKey({ publicKey }, place), {
      code: 'AC_CONFIG_INVALID',
      message: new RegExp(`^sidecar\\.accept\\.signedBy\\[0\\]: .*${message.source}`),
    });
  }
  await t.rejects(signTaskWith({ key: publicJwk }), { code: 'AC_USAGE', message: /found a public one/ });
  await t.rejects(signTaskWith({ key: OURS.publicJwk as never }), { code: 'AC_USAGE', message: /found a public one/ });
  await t.rejects(signTaskWith({ key: OURS.privateJwk, expiresInMs: 32 * 86_400_000 }), { code: 'AC_USAGE' });
  await t.rejects(signTaskWith({ key: OURS.privateJwk, audience: [''] }), { code: 'AC_USAGE' });
});
