/**
 * TLS connections to a hub that is recognized by the fingerprint of its public key. The caller gets the socket only after the key was
 * checked, so nothing is sent to another hub.
 */
import { createHash, type X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

/** The connection options that `node:http` and `ws` pass on. */
export interface HubAddress {
  readonly host?: string | null | undefined;
  readonly port?: string | number | null | undefined;
  readonly servername?: string | undefined;
  readonly localAddress?: string | undefined;
}

/** The time limit from the lookup of the name to the checked key. */
const HANDSHAKE_MS = 10_000;

/** SHA-256 of the public key (SubjectPublicKeyInfo), as in `sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=`. */
export const fingerprintOf = ({ publicKey }: Pick<X509Certificate, 'publicKey'>): string =>
  `sha256/${createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64')}`;

/**
 * Connects, and calls `done` once: with the socket if the hub has one of these keys, with `AC_HUB_FINGERPRINT` if it has another. A
 * handshake proves that it has the private key, too. Sessions are not resumed: a resumed one shows no certificate. `keepsAlive`: whether the
 * connection keeps the process alive.
 */
export function connectToKey(
  { host, port, servername, localAddress }: HubAddress,
  fingerprints: readonly string[],
  done: (error: Error | null, socket?: TLSSocket) => void,
  keepsAlive = true,
): void {
  const name = (host ?? 'localhost').replace(/^\[|\]$/g, '');
  const socket = connect({
    host: name,
    port: Number(port ?? 443),
    servername: servername ?? (isIP(name) === 0 ? name : ''),
    ...(localAddress === undefined ? {} : { localAddress }),
    minVersion: 'TLSv1.2',
    // The key is checked below instead.
    rejectUnauthorized: false,
  });
  const late = setTimeout(() => socket.destroy(new Error(`no TLS handshake within ${HANDSHAKE_MS / 1_000} s`)), HANDSHAKE_MS);
  if (!keepsAlive) {
    socket.unref();
    late.unref();
  }
  const fail = (error: Error): void => {
    clearTimeout(late);
    done(error);
  };
  socket.once('error', fail);
  socket.once('secureConnect', () => {
    const refusal = keyRefusal(socket, fingerprints, name);
    if (refusal !== null) return void socket.destroy(refusal);
    clearTimeout(late);
    socket.off('error', fail);
    done(null, socket);
  });
}

function keyRefusal(socket: TLSSocket, fingerprints: readonly string[], host: string): AgentcomError | null {
  const certificate = socket.getPeerX509Certificate();
  const found = certificate === undefined ? 'no certificate' : fingerprintOf(certificate);
  if (fingerprints.includes(found)) return null;
  const wanted = fingerprints.length === 1 ? fingerprints[0] : `one of ${fingerprints.join(', ')}`;
  return new AgentcomError(
    'AC_HUB_FINGERPRINT',
    `Expected the hub at ${host} to have the key ${wanted}, found ${found}. Nothing was sent to it.`,
    {
      hint:
        'If its key was replaced, run "agentcom tls fingerprint" on its machine and set what that prints in sidecar.tls.fingerprints or ' +
        'AGENTCOM_HUB_FINGERPRINT. Otherwise another program answers in its place: do not connect to it.',
      details: { host, wanted: fingerprints, found },
    },
  );
}
