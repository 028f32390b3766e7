/** What the doctor examines: the machine, each part of the config, and the connection of the command line. Changes nothing. */
import { readFile } from 'node:fs/promises';
import type { ResolvedConfig } from '../../../core/config/config.ts';
import { examineConnection, type CliConnection } from './examine-connection.ts';
import { examineHub } from './examine-hub.ts';
import { examineSidecar } from './examine-sidecar.ts';
import { finding, type Examined, type ExamineOptions } from './finding.ts';

/** Examines everything in the config, the hub first; never throws for what it finds. */
export async function* examine(
  { config, onFinding, ...given }: ExamineOptions & { readonly config: ResolvedConfig },
  connection: CliConnection,
): AsyncGenerator<Examined> {
  // The hub and the commands read the same secret file: it is reported once.
  const unreadable = new Set<string>();
  const options: ExamineOptions = {
    ...given,
    onFinding(found) {
      if (found.check === 'secret_file') unreadable.add(found.what);
      if (found.check !== 'cli_token' || !unreadable.has(found.what)) onFinding(found);
    },
  };
  await examineMachine(options);
  const hub = config.hub === undefined ? null : await examineHub(config.hub, options);
  if (hub !== null) yield hub;
  const isPortTaken = hub?.isPortTaken === true;
  if (config.sidecar !== undefined) yield await examineSidecar(config.sidecar, config, { ...options, isPortTaken });
  yield* connectionOf(connection, options, hub?.isRunning === true);
}

/** What can be examined without a readable config. */
export async function* examineWithoutConfig(options: Omit<ExamineOptions, 'file'>, connection: CliConnection): AsyncGenerator<Examined> {
  await examineMachine(options);
  yield* connectionOf(connection, options, false);
}

async function* connectionOf(
  connection: CliConnection,
  { onFinding }: Pick<ExamineOptions, 'onFinding'>,
  isHubRunning: boolean,
): AsyncGenerator<Examined> {
  const connected = await examineConnection(connection, { isHubRunning });
  if (connected === null) return;
  for (const found of connected.findings) onFinding(found);
  yield connected.examined;
}

/** A hub has a connection for each agent, and a sidecar has files for each run. */
const OPEN_FILES_MIN = 1_024;

/** The hard limit of open files, to which Node raises the soft one. Linux only. */
async function examineMachine({ onFinding }: Pick<ExamineOptions, 'onFinding'>): Promise<void> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => ''); // Not Linux.
  const hard = /^Max open files +\S+ +(\d+)/m.exec(limits)?.[1];
  if (hard === undefined || Number(hard) >= OPEN_FILES_MIN) return;
  onFinding(finding('open_files', `a program of this user may open ${hard} files, expected at least ${OPEN_FILES_MIN}`));
}
