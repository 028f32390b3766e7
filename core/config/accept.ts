/** `sidecar.accept`: which tasks a sidecar accepts. */
import type { AcceptPolicy } from '../domain/assignment/accept-policy.ts';

/** All conditions that are given must hold. A task that does not meet them goes to another agent. */
export interface AcceptConfig {
  /** IDs of the tokens that may submit, or `admin`, as the hub says it. */
  readonly submitters?: readonly string[] | undefined;
  /** Repositories; `https://github.com/acme/*` stands for all below it. */
  readonly repos?: readonly string[] | undefined;
  /** The longest run limit that a task may have, milliseconds. */
  readonly maxRuntimeMs?: number | undefined;
}

export interface ResolvedAccept {
  /** Null: no condition but the signature. */
  readonly policy: AcceptPolicy | null;
}

export function resolveAccept(accept: AcceptConfig | undefined): ResolvedAccept {
  const { submitters, repos, maxRuntimeMs } = accept ?? {};
  const hasPolicy = submitters !== undefined || repos !== undefined || maxRuntimeMs !== undefined;
  return Object.freeze({
    policy: hasPolicy ? Object.freeze({ submitters: submitters ?? null, repos: repos ?? null, maxRuntimeMs: maxRuntimeMs ?? null }) : null,
  });
}
