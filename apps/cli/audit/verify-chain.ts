/** Reads the audit log of a hub, or an export of it, and verifies its chain. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { ChainReader, type VerifiedChain } from '../../../core/application/doctor/chain-reader.ts';
import { AUDIT_START, type AuditEntry, type AuditPlace } from '../../../core/domain/audit/audit-entry.ts';
import { AgentcomError, fileReasonOf } from '../../../core/errors/agentcom-error.ts';
import type { AuditEntryJson, AuditPageJson, HubClient } from '../../client/index.ts';

/** Entries per page. */
const PAGE = 500;
/** The longest line accepted in an export, characters: longer than any entry. */
const LINE_CHARACTERS_MAX = 65_536;

/** All pages of entries after the number `from`. */
export async function* pagesAfter(client: HubClient, from: number): AsyncGenerator<AuditPageJson> {
  for (let after: number | null = from; after !== null;) {
    const page: AuditPageJson = await client.audit.list({ after, limit: PAGE });
    yield page;
    after = page.next_after;
  }
}

const entryOf = ({ at, ...entry }: AuditEntryJson): AuditEntry => ({ ...entry, atMs: at });

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The head is that of the last page: entries may be appended meanwhile. */
export async function verifyHub(client: HubClient, wanted: AuditPlace | null): Promise<VerifiedChain> {
  let reader: ChainReader | undefined;
  let head: AuditPlace = AUDIT_START;
  for await (const page of pagesAfter(client, 0)) {
    reader ??= new ChainReader(page.anchor, sha256, wanted);
    for (const entry of page.entries) reader.add(entryOf(entry));
    if (reader.isBroken) break;
    head = page.head;
  }
  return (reader ?? new ChainReader(AUDIT_START, sha256, wanted)).end(head);
}

export async function verifyFile(file: string, wanted: AuditPlace | null): Promise<VerifiedChain> {
  const reader = new ChainReader(null, sha256, wanted);
  let number = 0;
  try {
    for await (const line of linesOf(file)) {
      number += 1;
      if (line.trim() !== '') reader.add(entryOf(parseLine(line, file, number)));
    }
  } catch (thrown) {
    if (AgentcomError.is(thrown)) throw thrown;
    throw new AgentcomError('AC_USAGE', `Cannot read ${file}: ${fileReasonOf(thrown)}.`, { cause: thrown });
  }
  return reader.end(null);
}

/** Splits at line feeds only: from Node 24 on, `node:readline` also splits at U+2028, which text in an entry may contain. */
async function* linesOf(file: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of createReadStream(file, 'utf8') as AsyncIterable<string>) {
    const [first = '', ...others] = chunk.split('\n');
    rest += first;
    for (const next of others) {
      yield rest;
      rest = next;
    }
    if (rest.length > LINE_CHARACTERS_MAX)
      throw new AgentcomError(
        'AC_USAGE',
        `${file}: a line has more than ${LINE_CHARACTERS_MAX} characters, which is longer than any audit log entry. Pass a file that agentcom audit --json printed.`,
      );
  }
  if (rest !== '') yield rest;
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
    `${file}, line ${number}: expected an entry of the audit log as JSON, as agentcom audit --json prints it.`,
  );
}
