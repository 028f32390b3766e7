/**
 * The audit log: who did what to the hub, in a chain. Each entry contains the hash of the previous one, so that none can be changed, removed
 * or inserted without recomputing all later ones.
 */

/** What is recorded. Submits and the reports of agents are not: they are in the history of their task. */
export const AUDIT_ACTS = [
  'hub.start',
  'session.open',
  'session.end',
  'session.refuse',
  'token.create',
  'token.rotate',
  'token.revoke',
  'enrol_secret.create',
  'enrol_secret.use',
  'agent.drain',
  'agent.resume',
  'agent.takeover',
  'agent.remove',
  'task.cancel',
  'task.retry',
  'task.adopt',
] as const;
/** An act that is recorded. */
export type AuditAct = (typeof AUDIT_ACTS)[number];

/** Who did it. */
export interface AuditActor {
  /** The token's ID, `admin` for the admin token of the config, the hub's own ID, or null for an unknown actor. */
  readonly id: string | null;
  readonly name: string | null;
  /** The role of the token; `hub`: the hub itself; `none`: no token was needed, or it was wrong. */
  readonly role: string;
}

/** Further information: at most `AUDIT_DETAILS_MAX` values, no secrets. */
export type AuditDetails = Readonly<Record<string, string | number | boolean | null>>;

/** An entry before it has its place in the chain. */
export interface AuditDraft {
  /** Store time. */
  readonly atMs: number;
  readonly actor: AuditActor;
  /** The address it came from, as reported by trusted proxies; null: from the hub itself. */
  readonly address: string | null;
  readonly act: AuditAct;
  /** The ID of the token, agent or task that it was done to. */
  readonly object: string | null;
  readonly outcome: 'done' | 'refused';
  /** MUST NOT contain secrets. */
  readonly details: AuditDetails;
}

/** A place in the chain: an entry's number and hash. */
export interface AuditPlace {
  readonly seq: number;
  readonly hash: string;
}

/** An entry with its place in the chain. Stores accept any text as act and outcome, so that entries of a newer hub can be verified. */
export interface AuditEntry extends Omit<AuditDraft, 'act' | 'outcome'>, AuditPlace {
  readonly act: string;
  readonly outcome: string;
  /** The hash of the previous entry. */
  readonly previous: string;
}

/** The place that the first entry of a store follows. */
export const AUDIT_START: AuditPlace = { seq: 0, hash: '0'.repeat(64) };

/** The maximum length of a text in an entry, characters. Longer ones are cut. */
export const AUDIT_TEXT_MAX = 256;
/** The maximum number of details in an entry. Further ones are left out. */
export const AUDIT_DETAILS_MAX = 16;

/** The draft within its bounds and in a form that every store keeps unchanged: a text that a store had to change would break the chain. */
export function boundedDraft(draft: AuditDraft): AuditDraft {
  const { actor, address, object, details } = draft;
  const entries = Object.entries(details).slice(0, AUDIT_DETAILS_MAX);
  return {
    ...draft,
    actor: { id: boundedText(actor.id), name: boundedText(actor.name), role: actor.role },
    address: boundedText(address),
    object: boundedText(object),
    details: Object.fromEntries(entries.map(([name, value]) => [name, typeof value === 'string' ? boundedText(value) : value])),
  };
}

const boundedText = <T extends string | null>(text: T): T | string =>
  text === null ? text : [...text.replace(/[\u0000\u0001]|\p{Surrogate}/gu, '\ufffd')].slice(0, AUDIT_TEXT_MAX).join('');

/** What the hash of an entry covers: all of it as JSON, with the fields in a fixed order. */
export function canonicalEntry(entry: Omit<AuditEntry, 'hash'>): string {
  const { seq, atMs, actor, address, act, object, outcome, details, previous } = entry;
  const sorted = Object.entries(details).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(['agentcom audit 1', seq, atMs, actor.id, actor.name, actor.role, address, act, object, outcome, sorted, previous]);
}

/** The drafts as entries that follow `place`, in the order given. `sha256`: lowercase hexadecimal. */
export function entriesAfter(place: AuditPlace, drafts: readonly AuditDraft[], sha256: (text: string) => string): readonly AuditEntry[] {
  let last = place;
  return drafts.map((draft) => {
    const entry = { ...boundedDraft(draft), seq: last.seq + 1, previous: last.hash };
    const made: AuditEntry = { ...entry, hash: sha256(canonicalEntry(entry)) };
    last = made;
    return made;
  });
}
