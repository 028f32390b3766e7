/**
 * The certificate that a running hub serves. Its files are read again every few seconds rather than watched: that notices a rename, a
 * swapped symbolic link (certbot, Kubernetes) and a network file system alike, and costs two small reads.
 */
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { ResolvedHubConfig } from '../../core/config/config.ts';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { CertificatePair, PortCertificate } from '../../core/ports/hub-transport.ts';
import type { Log } from '../../core/ports/log.ts';
import { checkPair, readPair, type CheckedPair } from './certificate-files.ts';

/** How long a replaced certificate can go unnoticed. Milliseconds. */
export const REREAD_MS = 10_000;
/** From this long before it expires, the log warns daily. Milliseconds. */
export const EXPIRES_SOON_MS = 14 * 86_400_000;
const DAY_MS = 86_400_000;

export interface ServedCertificate extends PortCertificate {
  /** Milliseconds; negative once it has expired. */
  readonly expiresInMs: () => number;
  /** The fingerprint by which clients must recognize the hub if its certificate is self-signed; null if an authority vouches for it. */
  readonly joinFingerprint: () => string | null;
  /** Follows the files from now on. */
  start(): void;
  /** Idempotent. Resolves when the files are no longer read. */
  stop(): Promise<void>;
}

export interface ServedCertificateDeps {
  readonly tls: NonNullable<ResolvedHubConfig['tls']>;
  /** `hub.listen.names`. */
  readonly names: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
}

/** Reads the files. Throws `AC_TLS` if the hub cannot serve with them. */
export async function servedCertificate({ tls, names, clock, log }: ServedCertificateDeps): Promise<ServedCertificate> {
  const { certFile, keyFile, minVersion } = tls;
  let served: CheckedPair = checkPair(await readPair(tls), tls, clock.nowMs());
  /** The last valid pair in the files: the one that is served, unless the port did not take it. */
  let seen: CertificatePair = served;
  /** Why the last read failed; null if it did not. */
  let failure: string | null = null;
  /** The failure that was logged. */
  let warnedOf: string | null = null;
  let expiryWarnedAtMs: number | null = null;
  let timer: Timer | null = null;
  let reading: Promise<void> = Promise.resolve();
  let isStopped = false;
  const listeners = new Set<(pair: CertificatePair) => boolean>();

  const logExpiry = (): void => {
    const leftMs = served.expiresAtMs - clock.nowMs();
    const isDue = expiryWarnedAtMs === null || clock.monotonicMs() - expiryWarnedAtMs >= DAY_MS;
    if (leftMs > EXPIRES_SOON_MS || !isDue) return;
    expiryWarnedAtMs = clock.monotonicMs();
    const fields = { cert_file: certFile, expires_at: new Date(served.expiresAtMs).toISOString() };
    if (leftMs > 0) log.warn('the certificate of the hub expires soon: renew it', fields);
    else log.error('the certificate of the hub has expired: clients refuse it', fields);
  };

  /** What clients refuse although it has not expired. By name they check only what a CA vouches for. */
  const logUnusable = (): void => {
    const { validFromMs, isFor, isSelfSigned } = served;
    if (validFromMs > clock.nowMs()) {
      const fields = { cert_file: certFile, valid_from: new Date(validFromMs).toISOString() };
      log.warn('the certificate of the hub is not valid yet: until then clients refuse it; check the clock of this machine', fields);
    }
    const missing = isSelfSigned ? [] : names.filter((name) => !isFor(name));
    if (missing.length > 0)
      log.warn('the certificate of the hub is not for these names in hub.listen.names: clients that connect under them refuse it', {
        cert_file: certFile,
        names: missing,
      });
  };

  const serve = (renewed: CheckedPair): void => {
    const { fingerprint, isSelfSigned, expiresAtMs } = renewed;
    const isOtherKey = fingerprint !== served.fingerprint;
    served = renewed;
    expiryWarnedAtMs = null;
    const fields = { cert_file: certFile, expires_at: new Date(expiresAtMs).toISOString() };
    if (isOtherKey && isSelfSigned)
      log.warn('serving a certificate with another key: clients that pin the old fingerprint refuse it', { ...fields, fingerprint });
    else log.info('serving a renewed certificate', isOtherKey ? { ...fields, fingerprint } : fields);
    logUnusable();
  };

  const reread = async (): Promise<void> => {
    const pair = await readPair(tls);
    if (pair.cert !== seen.cert || pair.key !== seen.key) {
      const renewed = checkPair(pair, tls, clock.nowMs());
      seen = renewed;
      if ([...listeners].map((listener) => listener(renewed)).every((isTaken) => isTaken)) serve(renewed);
    }
    failure = null;
    warnedOf = null;
  };

  const failed = (thrown: unknown): void => {
    const message = AgentcomError.is(thrown) ? thrown.found : messageOf(thrown);
    // Between the replacements of the two files, they do not belong together: only a failure that is still there at the next read is logged, once.
    if (message === failure && message !== warnedOf) {
      warnedOf = message;
      log.warn('the new certificate cannot be used; the hub keeps the old one', { cert_file: certFile, key_file: keyFile, message });
    }
    failure = message;
  };

  const schedule = (): void => {
    if (isStopped) return;
    timer = clock.after(REREAD_MS, () => {
      reading = reread().catch(failed).then(logExpiry).then(schedule);
    });
  };

  return {
    certFile,
    keyFile,
    minVersion,
    current: () => served,
    onRenewed(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    expiresInMs: () => served.expiresAtMs - clock.nowMs(),
    joinFingerprint: () => (served.isSelfSigned ? served.fingerprint : null),
    start() {
      logExpiry();
      logUnusable();
      schedule();
    },
    async stop() {
      isStopped = true;
      timer?.cancel();
      await reading;
    },
  };
}
