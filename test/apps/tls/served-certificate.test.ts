/** The certificate of a running hub, in files that are replaced while it runs. */
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { checkPair, readPair } from '../../../apps/tls/certificate-files.ts';
import { REREAD_MS, servedCertificate } from '../../../apps/tls/served-certificate.ts';
import type { CertificatePair } from '../../../core/ports/hub-transport.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { tlsPair } from '../../rig/tls-pair.ts';

const DAY_MS = 86_400_000;

/** Files that are replaced together, by a swapped link, as certbot and Kubernetes do. */
async function files(t: Test) {
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-served-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  let written = 0;
  const put = async ({ cert, key }: CertificatePair): Promise<void> => {
    written += 1;
    const folder = join(dir, `${written}`);
    await mkdir(folder);
    await writeFile(join(folder, 'cert.pem'), cert);
    await writeFile(join(folder, 'key.pem'), key);
    await symlink(folder, join(dir, 'next'));
    await rename(join(dir, 'next'), join(dir, 'live'));
  };
  const tls = { certFile: join(dir, 'live', 'cert.pem'), keyFile: join(dir, 'live', 'key.pem'), minVersion: 'TLSv1.2' } as const;
  return { put, tls };
}

/** Of a CA, for `hub.example` and 192.0.2.1. */
async function caPair(t: Test): Promise<CertificatePair> {
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-ca-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30'];
  const make = (name: string, ...more: readonly string[]) =>
    execFileSync('openssl', ['req', '-x509', ...key, '-keyout', `${name}.key`, '-out', `${name}.pem`, '-subj', `/CN=${name}`, ...more], {
      cwd: dir,
      stdio: 'ignore',
    });
  make('ca');
  make('hub', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-addext', 'subjectAltName=DNS:hub.example,IP:192.0.2.1');
  return { cert: await readFile(join(dir, 'hub.pem'), 'utf8'), key: await readFile(join(dir, 'hub.key'), 'utf8') };
}

async function serving(t: Test, first: CertificatePair, names: readonly string[] = []) {
  const clock = virtualClock({ wallMs: Date.now() });
  const log = memoryLog();
  const { put, tls } = await files(t);
  await put(first);
  const served = await servedCertificate({ tls, names, clock, log });
  t.teardown(() => served.stop());
  served.start();
  const renewed: CertificatePair[] = [];
  served.onRenewed((pair) => renewed.push(pair) > 0);
  /** Waits until the files were read again, and the next read is scheduled. */
  const reread = async (): Promise<void> => {
    clock.advance(REREAD_MS);
    while (clock.pending === 0) await new Promise(setImmediate);
  };
  return { clock, log, put, tls, served, renewed, reread };
}

t.test('unusable certificate files raise AC_TLS, with the problem and the file', async (t) => {
  const { put, tls } = await files(t);
  const good = tlsPair();
  const read = async () => checkPair(await readPair(tls), tls, Date.now());
  await t.rejects(read(), { code: 'AC_TLS', message: /Cannot read the certificate of the hub: ENOENT.*cert\.pem/ });
  const cases: readonly [string, CertificatePair, RegExp][] = [
    ['no certificate', { ...good, cert: 'nothing' }, /Expected a certificate in PEM in .*cert\.pem/],
    ['no key', { ...good, key: good.cert }, /Expected a private key in PEM, without a passphrase in .*key\.pem/],
    ['of another', { ...good, key: tlsPair().key }, /key\.pem does not belong to the certificate in .*cert\.pem/],
    ['expired', tlsPair({ validForMs: -DAY_MS }), /cert\.pem expired on 20\d\d-.*Renew it/],
  ];
  for (const [what, pair, message] of cases) {
    await put(pair);
    await t.rejects(read(), { code: 'AC_TLS', message }, what);
  }
  await put(good);
  t.match(await read(), { ...good, isSelfSigned: true });
  if (process.getuid?.() === 0) return;
  await chmod(tls.keyFile, 0);
  await t.rejects(read(), { code: 'AC_TLS', message: /Cannot read the private key of the hub: EACCES.*key\.pem/ });
});

t.test('a certificate that clients refuse although it has not expired is logged at the start', async (t) => {
  const early = await serving(t, tlsPair({ nowMs: Date.now() + 61 * DAY_MS }));
  const { cert_file, ...when } = (early.log.lines[0]?.fields ?? {}) as Record<string, string>;
  t.match(early.log.lines, [{ level: 'warn', message: /not valid yet/, fields: { cert_file: early.tls.certFile } }]);
  t.ok(Date.parse(String(when['valid_from'])) > Date.now());
  const pair = await caPair(t);
  const named = await serving(t, pair, ['hub.example', 'other.example', '192.0.2.1', '192.0.2.2']);
  t.match(named.log.lines, [
    { level: 'warn', message: /hub\.listen\.names/, fields: { cert_file: named.tls.certFile, names: ['other.example', '192.0.2.2'] } },
  ]);
  await named.put(tlsPair());
  await named.reread();
  await named.put(pair);
  await named.reread();
  t.match(named.log.lines.at(-1), { level: 'warn', message: /hub\.listen\.names/ }, 'and when it is renewed');
  t.same((await serving(t, tlsPair(), ['other.example'])).log.lines, [], 'clients know a self-signed one by its key');
  t.same((await serving(t, pair, ['hub.example'])).log.lines, []);
});

t.test('a renewed pair is applied once', async (t) => {
  const [first, second] = [tlsPair(), tlsPair()];
  const { served, put, reread, renewed, log, tls } = await serving(t, first);
  await reread();
  t.same(renewed, []);
  await put(second);
  await reread();
  await reread();
  t.match(renewed, [{ cert: second.cert, key: second.key }]);
  t.equal(renewed.length, 1);
  t.equal(served.current().cert, second.cert);
  t.equal(served.joinFingerprint(), second.fingerprint);
  const { fingerprint } = second;
  t.match(log.lines, [{ level: 'warn', message: /certificate with another key/, fields: { cert_file: tls.certFile, fingerprint } }]);
  await served.stop();
});

t.test('a pair the port rejects is offered once, and the logged expiry is that of the served pair', async (t) => {
  const first = tlsPair({ validForMs: 20 * DAY_MS });
  const { served, put, reread, renewed, log, clock } = await serving(t, first);
  served.onRenewed(() => false);
  await put(tlsPair());
  await reread();
  await reread();
  t.equal(renewed.length, 1);
  t.equal(served.current().cert, first.cert);
  t.equal(served.joinFingerprint(), first.fingerprint);
  t.same(log.lines, []);
  clock.advance(10 * DAY_MS);
  while (clock.pending === 0) await new Promise(setImmediate);
  t.match(log.lines, [{ level: 'warn', message: /expires soon/ }]);
});

t.test('a broken pair changes nothing, and is logged once with its files if it stays broken', async (t) => {
  const first = tlsPair();
  const { served, put, reread, renewed, log, tls } = await serving(t, first);
  const second = tlsPair();
  await put({ cert: second.cert, key: first.key });
  await reread();
  t.same(log.lines, [], 'the key may still be coming');
  await reread();
  await reread();
  t.match(log.lines, [
    { level: 'warn', fields: { cert_file: tls.certFile, key_file: tls.keyFile, message: /does not belong to the certificate/ } },
  ]);
  t.equal(log.lines.length, 1);
  t.equal(served.current().cert, first.cert);
  t.same(renewed, []);
  await rm(tls.certFile);
  await reread();
  await reread();
  t.match(log.lines[1], { level: 'warn', fields: { message: /Cannot read the certificate/ } });
  await put(second);
  await reread();
  t.equal(served.current().cert, second.cert);
});

t.test('expiry is logged daily from 14 days before it on', async (t) => {
  const soon = tlsPair({ validForMs: 14 * DAY_MS + 60_000 });
  const { clock, log, reread, served, put } = await serving(t, soon);
  t.same(log.lines, []);
  clock.advance(60_000 - REREAD_MS);
  while (clock.pending === 0) await new Promise(setImmediate);
  await reread();
  t.match(log.lines, [{ level: 'warn', message: /expires soon/ }]);
  await reread();
  t.equal(log.lines.length, 1, 'not with every reread');
  clock.advance(DAY_MS - REREAD_MS);
  while (clock.pending === 0) await new Promise(setImmediate);
  await reread();
  t.equal(log.lines.length, 2);
  t.ok(Math.abs(served.expiresInMs() - 13 * DAY_MS) < 3 * REREAD_MS);
  clock.advance(14 * DAY_MS);
  while (clock.pending === 0) await new Promise(setImmediate);
  await reread();
  t.match(log.lines.at(-1), { level: 'error', message: /has expired/ });
  t.ok(served.expiresInMs() < 0);
  await put(tlsPair({ nowMs: clock.nowMs() }));
  await reread();
  t.match(log.lines.at(-1), { level: 'warn', message: /certificate with another key/ });
});
