/** The hub's certificate and private key as they are in their files, checked. */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import { fingerprintOf } from '../../adapters/kit/hub-connection.ts';
import type { HubTrust } from '../../adapters/kit/trusted-hub.ts';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { CertificatePair } from '../../core/ports/hub-transport.ts';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface CheckedPair extends CertificatePair {
  readonly fingerprint: string;
  /** Milliseconds since 1970. */
  readonly validFromMs: number;
  readonly expiresAtMs: number;
  /** Whether it is for this host name or address. */
  readonly isFor: (host: string) => boolean;
  /** Whether no CA issued it, so that clients must know its fingerprint. */
  readonly isSelfSigned: boolean;
}

/** Throws `AC_TLS` if a file cannot be read. */
export async function readPair({ certFile, keyFile }: CertificateFiles): Promise<CertificatePair> {
  return { cert: await readText(certFile, 'certificate'), key: await readText(keyFile, 'private key') };
}

/** Throws `AC_TLS` if one of them is broken, they do not belong together, or the certificate has expired at `nowMs`. */
export function checkPair({ cert, key }: CertificatePair, { certFile, keyFile }: CertificateFiles, nowMs: number): CheckedPair {
  const certificate = parsed(certFile, 'a certificate in PEM', () => new X509Certificate(cert));
  const privateKey = parsed(keyFile, 'a private key in PEM, without a passphrase', (): KeyObject => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new AgentcomError('AC_TLS', `The key in ${keyFile} does not belong to the certificate in ${certFile}.`, {
      hint: 'Set hub.listen.tls.certFile and keyFile to files that belong together. certFile begins with the certificate of the hub itself.',
    });
  }
  const expiresAtMs = Date.parse(certificate.validTo);
  if (expiresAtMs <= nowMs) {
    throw new AgentcomError('AC_TLS', `The certificate in ${certFile} expired on ${new Date(expiresAtMs).toISOString()}.`, {
      hint: 'Renew it.',
    });
  }
  // Finds what OpenSSL refuses, such as a key that is too short.
  parsed(certFile, 'a certificate and key that OpenSSL accepts', () => createSecureContext({ cert, key }));
  const isSelfSigned = certificate.verify(certificate.publicKey);
  const validFromMs = Date.parse(certificate.validFrom);
  const isFor = (host: string): boolean => (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined;
  return { cert, key, validFromMs, expiresAtMs, isFor, fingerprint: fingerprintOf(certificate), isSelfSigned };
}

/** Reads only the certificate, because its key may be readable only by the hub. Throws `AC_TLS`. */
export async function fingerprintIn(certFile: string): Promise<string> {
  const cert = await readText(certFile, 'certificate');
  return fingerprintOf(parsed(certFile, 'a certificate in PEM', () => new X509Certificate(cert)));
}

/** Trusts the key that is in this file at the time of each connection: a renewed certificate may have another. */
export const keyInFile = (certFile: string): HubTrust => ({
  get fingerprints() {
    const cert = readFileSync(certFile, 'utf8');
    return [fingerprintOf(parsed(certFile, 'a certificate in PEM', () => new X509Certificate(cert)))];
  },
});

async function readText(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new AgentcomError('AC_TLS', `Cannot read the ${what} of the hub: ${messageOf(cause)}.`, {
      cause,
      hint: 'Correct hub.listen.tls, or let the user of the hub read the file. To make a self-signed certificate: agentcom tls init HOST.',
    });
  }
}

function parsed<T>(file: string, wanted: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    // OpenSSL's message quotes nothing from the file.
    throw new AgentcomError('AC_TLS', `Expected ${wanted} in ${file}, found something else: ${messageOf(cause)}.`, { cause });
  }
}
