/** Checks that a sidecar can start from its data directory. */
import { hasBody } from '../../domain/assignment/outbox.ts';
import type { TaskId } from '../../domain/ids.ts';
import { AgentcomError, messageOf } from '../../errors/agentcom-error.ts';
import { assignmentText } from '../../ports/assignment-name.ts';
import type { JournalInspection } from '../../ports/journal.ts';
import { readJournalState, type JournalState } from '../sidecar/state/journal-state.ts';

export const JOURNAL_CHECKS = [
  /** The newest copy of the journal is damaged or missing; the previous one is good. */
  'journal_copy',
  /** The previous copy is damaged. */
  'journal_previous',
  /** No good copy is left. */
  'journal_lost',
  /** Intact, but in a format that this program does not read. */
  'journal_unknown',
  /** A finished report in the journal has no file. */
  'report_lost',
  /** A running assignment has no results folder. */
  'results_lost',
  'instance_id',
  /** The sidecar of another agent uses the folder. */
  'data_dir_held',
  /** Users other than the owner may enter the folder. */
  'open_to_others',
] as const;
export type JournalCheck = (typeof JOURNAL_CHECKS)[number];

/** Not damage, but something that the operator should know. */
export const JOURNAL_NOTICES = ['never_started', 'no_reserve', 'set_aside', 'refused'] as const;
export type JournalNotice = (typeof JOURNAL_NOTICES)[number];

export interface JournalFinding {
  readonly check: JournalCheck | JournalNotice;
  readonly what: string;
  readonly taskId: TaskId | null;
}

/**
 * `agentId`: whose sidecar uses the folder, according to the config. `inspect` is called again before a missing file is reported: a running
 * sidecar first drops a report from the journal and then removes its file, so one inspection may see the journal before and the file after.
 */
export async function checkJournal(agentId: string, inspect: () => Promise<JournalInspection>): Promise<readonly JournalFinding[]> {
  const inspection = await inspect();
  const { found, dataDir } = inspection;
  if (found === null) return [finding('never_started', `there is no ${dataDir}: no sidecar has used it yet`)];
  const { holder } = found;
  // Any other finding would be about the other sidecar.
  if (holder !== null && holder.agentId !== null && holder.agentId !== agentId)
    return [finding('data_dir_held', `${dataDir} is in use by the sidecar of agent ${holder.agentId} (process ${holder.pid})`)];
  if (found.newest.kind === 'missing' && found.previous.kind === 'missing' && found.instanceId === 'missing')
    return [finding('never_started', `there is no journal in ${dataDir}: no sidecar has enrolled with it yet`)];
  const findings: JournalFinding[] = [];
  const note = (check: JournalFinding['check'], what: string): void => void findings.push(finding(check, what));
  if (found.openToOthers) note('open_to_others', `other users may enter ${dataDir}`);
  if (found.instanceId === 'bad') note('instance_id', `${dataDir}/instance-id is not a valid instance ID`);
  if (!found.hasReserve)
    note(
      'no_reserve',
      `${dataDir}/reserve is missing, or has the size that an older version gave it: on a full disk reports would fail too`,
    );
  for (const { name, bytes } of found.setAside)
    note('set_aside', `${dataDir}/${name} (${bytes} bytes) was set aside: it was damaged, or belongs to a damaged copy of the journal`);
  for (const { name, bytes, reason } of found.refused)
    note('refused', `${dataDir}/refused/${name} (${bytes} bytes) was refused by the hub: ${reason ?? 'no reason is stored beside it'}`);
  return [...findings, ...(await ofCopies(inspection, inspect))];
}

const finding = (check: JournalFinding['check'], what: string, taskId: TaskId | null = null): JournalFinding => ({ check, what, taskId });

async function ofCopies(
  { found, dataDir }: JournalInspection,
  inspect: () => Promise<JournalInspection>,
): Promise<readonly JournalFinding[]> {
  if (found === null) return [];
  const { newest, previous } = found;
  for (const copy of [newest, previous])
    if (copy.kind === 'newer') return [finding('journal_unknown', `the journal has version ${copy.version}, written by a newer program`)];
  const path = `${dataDir}/queue.json`;
  if (newest.kind === 'missing' && previous.kind === 'missing') return [];
  const why = newest.kind === 'bad' ? newest.why : newest.kind === 'missing' ? 'is missing' : null;
  if (why !== null && previous.kind !== 'good') return [finding('journal_lost', `${path} ${why}, and ${path}.1 is not a good copy either`)];
  const copies = [
    ...(why === null ? [] : [finding('journal_copy', `${path} ${why}; ${path}.1 is good`)]),
    ...(previous.kind === 'bad' ? [finding('journal_previous', `${path}.1 ${previous.why}`)] : []),
  ];
  const good = newest.kind === 'good' ? newest : previous;
  if (good.kind !== 'good') return copies;
  try {
    return [...copies, ...(await ofState(readJournalState(good.state), inspect))];
  } catch (thrown) {
    if (!AgentcomError.is(thrown)) throw thrown;
    return [...copies, finding('journal_unknown', messageOf(thrown))];
  }
}

/** Files in the journal that are missing in two inspections. */
async function ofState(state: JournalState, inspect: () => Promise<JournalInspection>): Promise<readonly JournalFinding[]> {
  const first = await missingOf(state, await inspect());
  if (first.length === 0) return [];
  const inspection = await inspect();
  const now = inspection.found?.newest.kind === 'good' ? readJournalState(inspection.found.newest.state) : state;
  const second = new Set((await missingOf(now, inspection)).map(({ what }) => what));
  return first.filter(({ what }) => second.has(what));
}

async function missingOf(state: JournalState, inspection: JournalInspection): Promise<readonly JournalFinding[]> {
  const missing: JournalFinding[] = [];
  for (const entry of state.outbox) {
    if (!hasBody(entry) || (await inspection.hasReport(entry))) continue;
    missing.push(finding('report_lost', `the report ${entry.report} of ${assignmentText(entry)} is not in the outbox`, entry.taskId));
  }
  for (const slot of state.slots) {
    if (slot.run === null || slot.stop !== null || (await inspection.hasResults(slot))) continue;
    missing.push(finding('results_lost', `the run of ${assignmentText(slot)} has no results folder`, slot.taskId));
  }
  return missing;
}
