/** Reads the audit log of a hub, or an export of it, and verifies its chain. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { breakAt, type AuditBreak } from '../../../core/domain/audit/audit-chain.ts';
import { AUDIT_START, type AuditEntry, type AuditPlace } from '../../../core/domain/audit/audit-entry.ts';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import type { AuditEntryJson, AuditPageJson, HubClient } from '../../client/index.ts';

/** Entries of a page. */
const PAGE = 500;

/** All pages after that number. */
export async function* pagesAfter(client: HubClient, from: number): AsyncGenerator<AuditPageJson> {
  for (let after: number | null = from; after !== null;) {
    const page: AuditPageJson = await client.audit.list({ after, limit: PAGE });
    yield page;
    after = page.next_after;
  }
}

const entryOf = ({ at, ...entry }: AuditEntryJson): AuditEntry => ({ ...entry, atMs: at });

/** What a chain of entries turned out to be. */
export interface Verified {
  readonly count: number;
  readonly first: number | null;
  readonly last: AuditPlace | null;
  /** Null: it is whole. */
  readonly fault: string | null;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const FAULTS: Readonly<Record<AuditBreak['fault'], string>> = {
  changed: 'was changed after it was recorded: its hash is not that of its content',
  missing: 'does not follow the entry before it: entries between them were removed',
  unlinked: 'was linked to another entry than the one before it, which was replaced',
};

/** Verifies entries one by one. `wanted`: an entry that must be among them. */
class ChainReader {
  #before: AuditPlace | null;
  #first: number | null = null;
  #count = 0;
  #fault: string | null = null;
  #isFound = false;
  readonly #wanted: AuditPlace | null;

  /** `before` null: what the first one follows is not known. */
  constructor(before: AuditPlace | null, wanted: AuditPlace | null) {
    this.#before = before;
    this.#wanted = wanted;
    this.#isFound = wanted === null || (before?.seq === wanted.seq && before.hash === wanted.hash);
  }

  get isBroken(): boolean {
    return this.#fault !== null;
  }

  add(entry: AuditEntry): void {
    if (this.isBroken) return;
    const found = breakAt(this.#before, entry, sha256);
    if (found !== null) return void (this.#fault = `Entry ${found.seq} ${FAULTS[found.fault]}.`);
    this.#first ??= entry.seq;
    this.#count += 1;
    this.#before = { seq: entry.seq, hash: entry.hash };
    if (entry.seq === this.#wanted?.seq) this.#isFound = entry.hash === this.#wanted.hash;
  }

  /** `head`: the newest entry that the hub knows of; null: unknown. */
  end(head: AuditPlace | null): Verified {
    const last = this.#before;
    let fault = this.#fault;
    if (fault === null && head !== null && (head.seq !== last?.seq || head.hash !== last.hash))
      fault = `The chain ends at entry ${last?.seq ?? 0}, and the hub recorded ${head.seq} entries: the newest ones were removed or replaced.`;
    if (fault === null && !this.#isFound)
      fault = `Entry ${this.#wanted?.seq ?? 0} is not there with the hash that you gave: the chain was rewritten, cut, or is another one.`;
    return { count: this.#count, first: this.#first, last, fault };
  }
}

/** The head is that of the last page: entries may be appended meanwhile. */
export async function verifyHub(client: HubClient, wanted: AuditPlace | null): Promise<Verified> {
  let reader: ChainReader | undefined;
  let head: AuditPlace = AUDIT_START;
  for await (const page of pagesAfter(client, 0)) {
    reader ??= new ChainReader(page.anchor, wanted);
    for (const entry of page.entries) reader.add(entryOf(entry));
    if (reader.isBroken) break;
    head = page.head;
  }
  return (reader ?? new ChainReader(AUDIT_START, wanted)).end(head);
}

export async function verifyFile(file: string, wanted: AuditPlace | null): Promise<Verified> {
  const reader = new ChainReader(null, wanted);
  let number = 0;
  try {
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
      number += 1;
      if (line.trim() !== '') reader.add(entryOf(parseLine(line, file, number)));
    }
  } catch (thrown) {
    if (AgentcomError.is(thrown)) throw thrown;
    throw new AgentcomError('AC_USAGE', `Cannot read ${file}: ${messageOf(thrown)}`, { cause: thrown });
  }
  return reader.end(null);
}

function parseLine(line: string, file: string, number: number): AuditEntryJson {
  try {
    const entry = JSON.parse(line) as Partial<AuditEntryJson> | null;
    if (
      typeof entry?.seq === 'number' &&
      typeof entry.hash === 'string' &&
      typeof entry.actor === 'object' &&
      typeof entry.details === 'object'
    )
      return entry as AuditEntryJson;
  } catch (thrown) {
    if (!(thrown instanceof SyntaxError)) throw thrown;
  }
  throw new AgentcomError(
    'AC_USAGE',
    `${file}, line ${number}: wanted an entry of the audit log as JSON, as agentcom audit --json prints it.`,
  );
}
