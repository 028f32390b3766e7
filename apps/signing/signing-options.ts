/** What a submitter signs, and what it signs with. */
import type { SignedContent, SignedTerms } from '../../core/protocol/signed/task-claims.ts';

/** A private key as a JWK. */
export interface Ed25519PrivateJwk {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly x: string;
  /** 32 bytes, base64url. */
  readonly d: string;
}

/** The key that tasks are signed with, and how long and where the signatures count. */
export interface TaskSignerOptions {
  /** An Ed25519 private key: a JWK, or the path of a file with one or with PEM (PKCS #8), as `agentcom keys init` makes it. */
  readonly key: string | Ed25519PrivateJwk;
  /** How long sidecars accept a signature, from now or from the task's `run_at`, milliseconds. Default a day, at most 31 days. */
  readonly expiresInMs?: number | undefined;
  /** Agent IDs and audiences, one of which has to match the sidecar. Default: any sidecar that trusts the key. */
  readonly audience?: readonly string[] | undefined;
}

/** A submit whose text and terms are signed. */
export type SignedTask = SignedContent & SignedTerms;
/** Signs a submit; resolves to its `signature`. */
export type SignTask = (task: SignedTask) => Promise<string>;
