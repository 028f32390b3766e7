/** How this program recognizes its hub over TLS: by fingerprints, or by certificates from CAs. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import * as tls from 'node:tls';
import { rootCertificates } from 'node:tls';
import type { HubTrust } from '../../adapters/kit/trusted-hub.ts';
import type { ResolvedHubConfig, ResolvedSidecarConfig } from '../../core/config/config.ts';
import { isLoopback } from '../../core/config/loopback.ts';
import { AgentcomError, fileReasonOf } from '../../core/errors/agentcom-error.ts';
import { FINGERPRINT_WANTED, readFingerprints, type JoinCode } from '../../core/config/fingerprint.ts';
import { readSecretFile } from '../data-dir.ts';
import { keyInFile } from './certificate-files.ts';

type Variables = Readonly<Record<string, string | undefined>>;

/** The fingerprints in AGENTCOM_HUB_FINGERPRINT; null if it is not set. Throws `AC_ENV_INVALID`. */
export function fingerprintsInEnvironment(env: Variables): readonly string[] | null {
  const text = env['AGENTCOM_HUB_FINGERPRINT'] ?? '';
  if (text.trim() === '') return null;
  const fingerprints = readFingerprints(text);
  if (fingerprints !== null) return fingerprints;
  throw new AgentcomError(
    'AC_ENV_INVALID',
    `AGENTCOM_HUB_FINGERPRINT: expected ${FINGERPRINT_WANTED}, or several with commas between them, found ${JSON.stringify(text)}.`,
  );
}

/** Where a sidecar that joined with a code keeps the fingerprint of its hub. */
export const fingerprintFile = ({ dataDir }: Pick<ResolvedSidecarConfig, 'dataDir'>): string => join(dataDir, 'hub-fingerprint');

/** The hub in the config of a sidecar. */
export type OwnHub = Pick<ResolvedHubConfig, 'dataDir' | 'tls'>;

export interface TrustPlace {
  /** The code that it enrolls with; null if it does not enroll with one. */
  readonly code?: JoinCode | null;
  /** The hub in the same config, whose certificate is on this machine. */
  readonly hub: OwnHub | null;
}

/**
 * How a sidecar recognizes its hub: by fingerprints from the config, the environment, the code that it enrolls with, or the file that has kept
 * that of an earlier code. Without any, a hub of the same config, on loopback, is recognized by its own certificate, and any other by
 * CAs. Throws `AC_ENV_INVALID`, `AC_DATA_DIR` or `AC_TLS`.
 */
export async function sidecarTrust(config: ResolvedSidecarConfig, env: Variables, { code = null, hub }: TrustPlace): Promise<HubTrust> {
  const { fingerprints } = config.tls;
  const given = fingerprints.length > 0 ? fingerprints : fingerprintsInEnvironment(env);
  if (given !== null) return { fingerprints: given };
  if (code !== null && code.fingerprint !== null) return { fingerprints: [code.fingerprint] };
  const file = fingerprintFile(config);
  const text = await readSecretFile(file);
  if (text === null) {
    const isOwn = config.hubs.every((url) => isLoopback(new URL(url).hostname));
    return isOwn && hub !== null && hub.tls !== null ? keyInFile(hub.tls.certFile) : hubTrust(config.tls);
  }
  const kept = readFingerprints(text);
  if (kept !== null) return { fingerprints: kept };
  throw new AgentcomError('AC_DATA_DIR', `Expected ${FINGERPRINT_WANTED} in ${file}, found something else.`, {
    hint: 'Correct it, or remove it and join again.',
  });
}

/** Reads the file of further CA certificates, if there is one. Throws `AC_TLS`. */
export async function hubTrust({ fingerprints, caFile }: ResolvedSidecarConfig['tls']): Promise<HubTrust> {
  return caFile === null || fingerprints.length > 0 ? { fingerprints } : { ca: await caCertificatesWith(caFile) };
}

const HANDSHAKE_MS = 10_000;

/**
 * Whether a CA vouches for the server at this `https:` address, by default one of those that come with Node, which excludes
 * NODE_EXTRA_CA_CERTS. False if there is no answer: the next request says why.
 */
export async function isVouchedFor(url: URL, ca: readonly string[] = rootCertificates): Promise<boolean> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const servername = isIP(host) === 0 ? host : '';
  const socket = tls.connect({ host, port: Number(url.port || 443), servername, ca: [...ca], minVersion: 'TLSv1.2' });
  const [shaken] = await Promise.allSettled([once(socket, 'secureConnect', { signal: AbortSignal.timeout(HANDSHAKE_MS) })]);
  socket.destroy();
  return shaken.status === 'fulfilled';
}

/** The certificates in this file, in addition to those that Node trusts by itself. Throws `AC_TLS`. */
async function caCertificatesWith(caFile: string): Promise<readonly string[]> {
  const own = await readPem(caFile);
  const extraFile = process.env['NODE_EXTRA_CA_CERTS'] ?? '';
  // Available since Node 22.15; includes NODE_EXTRA_CA_CERTS and what --use-system-ca adds.
  const { getCACertificates } = tls as { readonly getCACertificates?: (type: 'default') => readonly string[] };
  if (getCACertificates !== undefined) return [...getCACertificates('default'), own];
  return [...rootCertificates, ...(extraFile === '' ? [] : [await readPem(extraFile)]), own];
}

async function readPem(file: string): Promise<string> {
  try {
    const text = await readFile(file, 'utf8');
    tls.createSecureContext({ ca: text });
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  } catch (cause) {
    throw new AgentcomError('AC_TLS', `Cannot read CA certificates from ${file}: ${fileReasonOf(cause)}.`, { cause });
  }
  throw new AgentcomError('AC_TLS', `Expected CA certificates in PEM in ${file}, found none.`);
}
