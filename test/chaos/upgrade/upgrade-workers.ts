/**
 * Workers of `agentcom/worker` in one process. Its argument is a file with its settings; its first line of standard
 * output reports that all are connected. Each run is a line in the ledger when it begins and one when it ends: `WHAT
 * TASK GENERATION`.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { worker } from '../../../apps/worker/index.ts';

export interface WorkersSetting {
  readonly hub: string;
  readonly agents: readonly { readonly agentId: string; readonly token: string }[];
  readonly slots: number;
  /** How long a run lasts, in milliseconds. */
  readonly workMs: number;
  readonly ledgerFile: string;
}

const { hub, agents, slots, workMs, ledgerFile } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as WorkersSetting;

const workers = agents.map(({ agentId, token }) =>
  worker({
    hub,
    token,
    agentId,
    slots,
    capabilities: ['code'],
    log: {},
    async handle({ task_id: task, generation }, { signal }) {
      appendFileSync(ledgerFile, `began ${task} ${generation}\n`);
      await sleep(workMs);
      appendFileSync(ledgerFile, `${signal.aborted ? 'aborted' : 'ended'} ${task} ${generation}\n`);
      return agentId;
    },
  }),
);
process.once('SIGTERM', () => void Promise.all(workers.map((one) => one.stop())).then(() => process.exit(0)));
await Promise.all(workers.map((one) => one.ready));
process.stdout.write(`${workers.length} workers ready\n`);
