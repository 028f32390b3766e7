/** `sidecar.accept`: which tasks a sidecar accepts. */
import type { AcceptPolicy } from '../domain/assignment/accept-policy.ts';

/** All conditions that are given must hold. A task that does not meet them goes to another agent. */
export interface AcceptConfig {
  /** IDs of the tokens that may submit, or `admin`, as reported by the hub. */
  readonly submitters?: readonly string[] | undefined;
  /** Repositories; `https://github.com/acme/*` matches all below it. */
  readonly repos?: readonly string[] | undefined;
  /** The longest run limit that a task may have, milliseconds. */
  readonly maxRuntimeMs?: number | undefined;
  /** Only tasks that one of these submitters has signed. */
  readonly signedBy?: readonly TrustedKeyConfig[] | undefined;
  /** Names of the audiences that this sidecar belongs to, in addition to its agent ID. */
  readonly audiences?: readonly string[] | undefined;
}

/** A submitter whose signed tasks a sidecar accepts. */
export interface TrustedKeyConfig {
  /** For people, in logs and reasons. Default: the key's thumbprint. */
  readonly name?: string | undefined;
  /** An Ed25519 public key: a JWK, or a file with one or with PEM, relative to the config file. */
  readonly publicKey: string | Ed25519PublicJwk;
  /** The last day (UTC) on which its signatures are accepted, such as `2027-12-31`. Default: forever. */
  readonly notAfter?: string | undefined;
}

/** RFC 8037. */
export interface Ed25519PublicJwk {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  /** 32 bytes, base64url. */
  readonly x: string;
  readonly kid?: string | undefined;
  readonly use?: string | undefined;
  readonly alg?: string | undefined;
}

export interface ResolvedAccept {
  /** Null: no conditions other than the signature. */
  readonly policy: AcceptPolicy | null;
  /** With absolute file paths. Empty: no signature is required. */
  readonly signedBy: readonly TrustedKeyConfig[];
  readonly audiences: readonly string[];
}

/** `absolute`: makes a path from the config absolute. */
export function resolveAccept(accept: AcceptConfig | undefined, absolute: (path: string) => string): ResolvedAccept {
  const { submitters, repos, maxRuntimeMs, signedBy = [], audiences = [] } = accept ?? {};
  const hasPolicy = submitters !== undefined || repos !== undefined || maxRuntimeMs !== undefined;
  return Object.freeze({
    policy: hasPolicy ? Object.freeze({ submitters: submitters ?? null, repos: repos ?? null, maxRuntimeMs: maxRuntimeMs ?? null }) : null,
    signedBy: Object.freeze(
      signedBy.map((key) => ({ ...key, publicKey: typeof key.publicKey === 'string' ? absolute(key.publicKey) : key.publicKey })),
    ),
    audiences: Object.freeze([...audiences]),
  });
}
