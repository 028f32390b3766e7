/** What the doctor examines: each part of the config, read-only. */
import { checkJournal, JOURNAL_NOTICES } from '../../../core/application/doctor/check-journal.ts';
import { runChecks } from '../../../core/application/sidecar/health/run-checks.ts';
import { checkStore } from '../../../core/application/doctor/check-store.ts';
import type { ResolvedConfig, ResolvedHubConfig, ResolvedSidecarConfig } from '../../../core/config/config.ts';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { StoreInspection } from '../../../core/ports/store-inspection.ts';
import { inspectJournal } from '../../../adapters/journal-file/inspect-journal.ts';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import type { DoctorCheck } from './advice.ts';
import { examineMachine } from './examine-machine.ts';

export interface Finding {
  readonly check: DoctorCheck;
  /** One sentence, without a full stop. */
  readonly what: string;
  readonly taskId: string | null;
  readonly agentId: string | null;
  /** Informative, not damage. */
  readonly isNotice: boolean;
}

/** What was examined: `what` names it, `seen` says how much of it. */
export interface Examined {
  readonly what: string;
  readonly seen: string;
}

export interface ExamineOptions {
  /** Reads every row of the hub's store. */
  readonly fsck: boolean;
  readonly onFinding: (finding: Finding) => void;
  /** Reports progress. */
  readonly onProgress: (seen: string) => void;
}

const NOTICES: readonly DoctorCheck[] = [...JOURNAL_NOTICES, 'not_kept', 'not_looked_at', 'not_durable', 'no_notifications'];

const finding = (check: DoctorCheck, what: string, of: Partial<Pick<Finding, 'taskId' | 'agentId'>> = {}): Finding => ({
  check,
  what,
  taskId: of.taskId ?? null,
  agentId: of.agentId ?? null,
  isNotice: NOTICES.includes(check),
});

/** Examines everything in the config, the hub first; never throws for what it finds. */
export async function* examine(config: ResolvedConfig, options: ExamineOptions): AsyncGenerator<Examined> {
  if (config.hub !== undefined) yield await examineHub(config.hub, options);
  if (config.sidecar !== undefined) yield await examineSidecar(config.sidecar, config, options);
}

async function examineHub(hub: ResolvedHubConfig, { fsck, onFinding, onProgress }: ExamineOptions): Promise<Examined> {
  const { storage, dataDir } = hub;
  const what = storage.capabilities['shared'] === true ? `hub: storage ${storage.name}` : `hub: storage ${storage.name} in ${dataDir}`;
  if (storage.check !== undefined) {
    try {
      for (const found of await storage.check({ clock: systemClock() })) onFinding(finding(found.check, found.what));
    } catch (thrown) {
      onFinding(finding('cannot_look', messageOf(thrown).replace(/\.$/, '')));
      return { what, seen: 'nothing' };
    }
  }
  if (storage.inspect === undefined) {
    if (storage.capabilities['durable'] === true) onFinding(finding('not_looked_at', `the doctor cannot inspect storage ${storage.name}`));
    else onFinding(finding('not_kept', `storage ${storage.name} stores nothing permanently`));
    return { what, seen: storage.check === undefined ? 'nothing' : 'server' };
  }
  let inspection: StoreInspection;
  try {
    inspection = await storage.inspect({ dataDir, clock: systemClock() });
  } catch (thrown) {
    onFinding(finding('cannot_look', messageOf(thrown).replace(/\.$/, '')));
    return { what, seen: 'nothing' };
  }
  try {
    if (!fsck) {
      const schema = await inspection.schema();
      const pages = schema.length > 0 ? null : await inspection.quick();
      for (const { check, ...found } of [...schema, ...(pages ?? [])]) onFinding(finding(check, found.what));
      return { what, seen: `schema${pages === null ? '' : ' and file pages'}; --fsck reads every row` };
    }
    let seen = 'schema';
    const onCounts = (counts: { readonly tasks: number; readonly events: number }): void =>
      onProgress((seen = `${counts.tasks} tasks, ${counts.events} events`));
    for await (const { check, ...found } of checkStore(inspection, Date.now(), onCounts)) onFinding(finding(check, found.what, found));
    return { what, seen };
  } finally {
    await inspection.close();
  }
}

async function examineSidecar(
  sidecar: ResolvedSidecarConfig,
  { baseDir, hub }: ResolvedConfig,
  { onFinding }: ExamineOptions,
): Promise<Examined> {
  const { agentId, dataDir } = sidecar;
  const what = `sidecar ${agentId}: journal in ${dataDir}`;
  try {
    for (const { check, ...found } of await checkJournal(() => inspectJournal(dataDir)))
      onFinding(finding(check, found.what, { ...found, agentId }));
    // The hub in this config may be stopped while the doctor runs.
    for (const { check, what: found } of await examineMachine(sidecar))
      if (check !== 'hub_away' || hub === undefined) onFinding(finding(check, found, { agentId }));
    await checkRunner(sidecar, baseDir, onFinding);
    return { what, seen: 'journal, outbox, refused reports, folder, disk, hub, token, clock and wake runner' };
  } catch (thrown) {
    onFinding(finding('cannot_look', messageOf(thrown).replace(/\.$/, ''), { agentId }));
    return { what, seen: 'in part' };
  }
}

/** Runs the runner's own checks; nothing is woken. */
async function checkRunner(
  { agentId, dataDir, wake }: ResolvedSidecarConfig,
  baseDir: string,
  onFinding: ExamineOptions['onFinding'],
): Promise<void> {
  if (wake === undefined) return;
  const runner = await wake.create({ agentId, baseDir, dataDir, clock: systemClock(), log: silentLog });
  for (const { ok, check, message } of await runChecks(runner, { clock: systemClock(), stopController: () => new AbortController() }))
    if (!ok) onFinding(finding('wake_runner', `runner ${wake.name}, ${check}: ${message.replace(/\.$/, '')}`, { agentId }));
}
