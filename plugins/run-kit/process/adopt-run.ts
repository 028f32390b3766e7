/** Goes on with a run that an earlier sidecar began. */
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { AdoptedRun, StopSignal } from '../../../core/ports/wake-runner.ts';
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import { markOf, type ProcessTable } from './process-table.ts';
import { isInGroupOf } from './run-members.ts';
import { wasAsked, wereStreamsOpened } from './run-files.ts';
import type { Emit } from '../events/wake-events.ts';
import { watchRun } from './watch-run.ts';

export interface AdoptRunOptions {
  readonly run: AdoptedRun;
  /** Its runs are started by `launch`: streams that were never opened prove that nothing was. Default false. */
  readonly isLaunched?: boolean | undefined;
  readonly graceMs: number;
  /** As for `watchRun`. */
  readonly detaches?: boolean | undefined;
  readonly signal: StopSignal;
  /** Aborted when the runner has heard enough: the run is ended. */
  readonly enough?: StopSignal | undefined;
  readonly left: StopSignal;
  readonly clock: Clock;
  readonly log: Log;
  readonly table: ProcessTable;
}

/**
 * Follows the run to its end, as `watchRun` does. A run whose process was never journalled is found by its run id and
 * told as `spawned` first; where none is found and nothing can have been started, it is a failed spawn.
 */
export async function adoptRun(options: AdoptRunOptions, emit: Emit): Promise<void> {
  const { run, table } = options;
  // A mark without a start says too little to find the process by it.
  const marked = run.process?.startTime === null ? null : run.process;
  const main = marked ?? (await findMain(table, run.runId));
  if (main === null && run.process === null && options.isLaunched === true && !(await wereStreamsOpened(run.runDir))) {
    return await emit({ type: 'failed', phase: 'spawn', message: 'the sidecar ended before it had started the agent', retryable: true });
  }
  const doubt = table.seesRunIds ? null : await doubtAbout(table, marked);
  // Counted as ended, it could be woken beside itself; so its slot stays taken, and its runner is asked again.
  const mayHaveBegun = async (): Promise<boolean> =>
    (await wereStreamsOpened(run.runDir)) || (options.isLaunched !== true && (await wasAsked(run.runDir)));
  if (doubt !== null && (await mayHaveBegun())) {
    const cure = `End what is left of it, or, where nothing is, remove the folder "${run.runDir}".`;
    throw new Error(`Cannot tell whether a run has ended: this system does not show the environment of processes, and ${doubt}. ${cure}`);
  }
  if (marked === null && main !== null) await emit({ type: 'spawned', process: main });
  await watchRun({ ...options, main, runId: run.runId, runDir: run.runDir }, emit);
}

/** The oldest leader of a group among the processes that carry the run id: a run begins as one. Null when there is none. */
async function findMain(table: ProcessTable, runId: string): Promise<ProcessMark | null> {
  const rows = await table.list();
  const carriers = new Set(await table.carriersOf(runId, rows, null));
  const leaders = rows.filter((row) => carriers.has(row.pid) && row.pid === row.groupId);
  const oldest = leaders.sort((a, b) => Number(a.startTime) - Number(b.startTime) || a.pid - b.pid)[0];
  return oldest === undefined ? null : markOf(table, oldest.pid);
}

/** Why a run may live that is not seen to; null when there is no reason. For systems that hide who carries a run id. */
async function doubtAbout(table: ProcessTable, main: ProcessMark | null): Promise<string | null> {
  if (main === null) return 'its process was not noted when it was started';
  if (table.find(main.pid) !== null) return null; // the run itself, or the end of its group
  const left = (await table.list()).filter((row) => isInGroupOf(main, row));
  return left.length === 0 ? null : `processes ${left.map(({ pid }) => pid).join(', ')} may be what its process ${main.pid} left behind`;
}
