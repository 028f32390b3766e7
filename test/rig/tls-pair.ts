/** Certificates for tests, and the certificate of a port that a test renews by hand. */
import { createHash, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { makeSelfSigned } from '../../apps/tls/self-signed.ts';
import type { CertificatePair, PortCertificate } from '../../core/ports/hub-transport.ts';

const DAY_MS = 86_400_000;

export interface TestPair extends CertificatePair {
  readonly fingerprint: string;
}

/** Self-signed, for localhost and 127.0.0.1; valid for 30 days. */
export function tlsPair({ hosts = ['localhost', '127.0.0.1'], validForMs = 30 * DAY_MS, nowMs = Date.now() } = {}): TestPair {
  const pair = makeSelfSigned({ hosts, validFromMs: nowMs - 60 * DAY_MS, validUntilMs: nowMs + validForMs });
  const spki = new X509Certificate(pair.cert).publicKey.export({ type: 'spki', format: 'der' });
  return { ...pair, fingerprint: `sha256/${createHash('sha256').update(spki).digest('base64')}` };
}

export interface TestCertificate extends PortCertificate {
  /** Writes the pair into its files and notifies the port; returns whether the port serves it. */
  renew(pair: CertificatePair): boolean;
  readonly listeners: number;
}

/** In files, which are removed with the test. */
export async function testCertificate(
  t: Test,
  pair: CertificatePair,
  minVersion: PortCertificate['minVersion'] = 'TLSv1.2',
): Promise<TestCertificate> {
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-tls-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const [certFile, keyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  await writeFile(certFile, pair.cert);
  await writeFile(keyFile, pair.key);
  let current = pair;
  const listeners = new Set<(pair: CertificatePair) => boolean>();
  return {
    certFile,
    keyFile,
    minVersion,
    current: () => current,
    onRenewed(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    renew(renewed) {
      current = renewed;
      writeFileSync(certFile, renewed.cert);
      writeFileSync(keyFile, renewed.key);
      return [...listeners].map((listener) => listener(renewed)).every(Boolean);
    },
    get listeners() {
      return listeners.size;
    },
  };
}
