/** Which tasks a sidecar accepts, by what the hub reports about them. Signatures of submitters are checked separately. */

/** Null: no such condition. All that are given must hold. */
export interface AcceptPolicy {
  /** IDs of the tokens that may submit. */
  readonly submitters: readonly string[] | null;
  /** Repositories; one that ends with `*` matches those that begin with the part before it. */
  readonly repos: readonly string[] | null;
  /** The longest run limit of a task, milliseconds. */
  readonly maxRuntimeMs: number | null;
}

/** Null: the hub does not report it, or the task has none. */
export interface OfferedTask {
  readonly submittedBy: string | null;
  readonly repo: string | null;
  readonly runMaxMs: number | null;
}

/** How many characters of a text from the hub a reason quotes. */
const QUOTED_CHARACTERS_MAX = 256;
const quoted = (text: string): string => JSON.stringify(text.slice(0, QUOTED_CHARACTERS_MAX));

/** Why the policy rejects the task; null: it accepts it. Continues a sentence that begins with the sidecar. */
export function policyRefusal(
  { submitters, repos, maxRuntimeMs }: AcceptPolicy,
  { submittedBy, repo, runMaxMs }: OfferedTask,
): string | null {
  if (submitters !== null) {
    if (submittedBy === null) return 'accepts tasks of certain submitters only, and this hub does not say who submitted it; update the hub';
    if (!submitters.includes(submittedBy)) return `does not accept tasks submitted by ${quoted(submittedBy)} (accept.submitters)`;
  }
  if (repos !== null) {
    if (repo === null) return 'accepts tasks of certain repositories only, and this one names none (accept.repos)';
    if (!repos.some((pattern) => isOfRepo(pattern, repo))) return `does not accept tasks of the repository ${quoted(repo)} (accept.repos)`;
  }
  if (maxRuntimeMs !== null && (runMaxMs === null || runMaxMs > maxRuntimeMs)) {
    const limit = runMaxMs === null ? 'no run limit' : `a run limit of ${runMaxMs} ms`;
    return `accepts tasks with a run limit of at most ${maxRuntimeMs} ms, and this one has ${limit} (accept.maxRuntimeMs)`;
  }
  return null;
}

/** What `*` may match: a path that cannot lead out of where the pattern points, however a program interprets it. */
const REST = /^[A-Za-z0-9_~-][A-Za-z0-9._~-]*(\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*\/?$/;

function isOfRepo(pattern: string, repo: string): boolean {
  if (!pattern.endsWith('*')) return pattern === repo;
  const start = pattern.slice(0, -1);
  return repo.startsWith(start) && REST.test(repo.slice(start.length));
}
