/** The sidecar of the config: its data directory, its journal, its hubs and its wake runner. */
import { checkJournal } from '../../../core/application/doctor/check-journal.ts';
import { runChecks } from '../../../core/application/sidecar/health/run-checks.ts';
import type { ResolvedConfig, ResolvedSidecarConfig } from '../../../core/config/config.ts';
import { withoutStop } from '../../../core/errors/agentcom-error.ts';
import { silentLog, type Log } from '../../../core/ports/log.ts';
import { inspectJournal } from '../../../adapters/journal-file/inspect-journal.ts';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { examineFolder } from './examine-folder.ts';
import { examineLink } from './examine-link.ts';
import { finding, findingOf, type Examined, type ExamineOptions } from './finding.ts';

/** With less free space, a sidecar cannot recreate its reserve, bytes. */
const FREE_BYTES_MIN = 16_777_216;

export async function examineSidecar(
  sidecar: ResolvedSidecarConfig,
  config: ResolvedConfig,
  { isPortTaken, ...options }: ExamineOptions & { readonly isPortTaken: boolean },
): Promise<Examined> {
  const { agentId, dataDir } = sidecar;
  const { onFinding, file, env } = options;
  const [folder, link] = await Promise.all([
    examineFolder({ dataDir, setting: 'sidecar.dataDir', freeBytesMin: FREE_BYTES_MIN, more: { agentId } }),
    examineLink({ config, sidecar, file, env, isPortTaken }),
  ]);
  const isUsable = folder.state !== 'unusable';
  if (isUsable) await examineJournal(sidecar, options);
  for (const found of folder.findings) onFinding(found);
  for (const found of link.findings) if (isUsable || found.check !== 'secret_file') onFinding(found);
  await examineKeys(sidecar, onFinding);
  await examineRunner(sidecar, config.baseDir, onFinding);
  const seen = [
    ...(isUsable ? ['journal', 'outbox', 'refused reports'] : []),
    ...['folder', 'disk'],
    ...(link.isAnswered ? ['hub', 'token', 'clock'] : []),
    ...(sidecar.accept.signedBy.length === 0 ? [] : ['trusted keys']),
  ];
  const unseen = link.isAnswered ? '' : '; not hub, token and clock, because no hub answered';
  return { what: `sidecar ${agentId}: journal in ${dataDir}`, seen: `${seen.join(', ')} and wake runner${unseen}` };
}

async function examineJournal({ agentId, dataDir }: ResolvedSidecarConfig, { onFinding }: ExamineOptions): Promise<void> {
  try {
    for (const { check, what, taskId } of await checkJournal(agentId, () => inspectJournal(dataDir)))
      // It is already a finding about the folder, which names the mode.
      if (check !== 'open_to_others') onFinding(finding(check, what, { taskId, agentId }));
  } catch (thrown) {
    onFinding(findingOf('cannot_check', thrown, { agentId }));
  }
}

/** A trusted key is reported this long before it expires, milliseconds. */
const KEY_EXPIRES_SOON_MS = 14 * 86_400_000;

/** The keys whose signatures the sidecar trusts. */
async function examineKeys({ agentId, accept }: ResolvedSidecarConfig, onFinding: ExamineOptions['onFinding']): Promise<void> {
  if (accept.signedBy.length === 0) return;
  const { trustedKey } = await import('../../signing/key-files.ts');
  const nowMs = systemClock().nowMs();
  for (const [place, config] of accept.signedBy.entries()) {
    try {
      const { name, notAfterMs } = await trustedKey(config, `sidecar.accept.signedBy[${place}]`);
      if (notAfterMs === null || notAfterMs > nowMs + KEY_EXPIRES_SOON_MS) continue;
      const isOver = notAfterMs <= nowMs;
      const what = `the key "${name}" of sidecar.accept.signedBy ${isOver ? 'expired' : 'expires'} at ${new Date(notAfterMs).toISOString()}`;
      onFinding(finding(isOver ? 'trusted_key' : 'trusted_key_expires', what, { agentId }));
    } catch (thrown) {
      onFinding(findingOf('trusted_key', thrown, { agentId }));
    }
  }
}

/** Runs the runner's own checks, and reports what it warns of; nothing is woken. */
async function examineRunner(
  { agentId, dataDir, wake }: ResolvedSidecarConfig,
  baseDir: string,
  onFinding: ExamineOptions['onFinding'],
): Promise<void> {
  if (wake === undefined) return;
  const log: Log = {
    ...silentLog,
    warn: (message) => onFinding(finding('wake_runner_warning', `runner ${wake.name}: ${withoutStop(message)}`, { agentId })),
    with: () => log,
  };
  try {
    const runner = await wake.create({ agentId, baseDir, dataDir, clock: systemClock(), log });
    const checks = await runChecks(runner, { clock: systemClock(), stopController: () => new AbortController() });
    for (const { ok, check, message, hint } of checks) {
      const more = { agentId, ...(hint === undefined ? {} : { hint }) };
      if (!ok) onFinding(finding('wake_runner', `runner ${wake.name}, ${check}: ${withoutStop(message)}`, more));
    }
  } catch (thrown) {
    onFinding(findingOf('wake_runner', thrown, { agentId }));
  }
}
