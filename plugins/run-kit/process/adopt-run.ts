/** Adopts a run of an earlier sidecar process. */
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { AdoptedRun, StopSignal } from '../../../core/ports/wake-runner.ts';
import type { ProcessMark } from '../../../core/domain/assignment/slot.ts';
import { markOf, type ProcessTable } from './process-table.ts';
import { isInGroupOf } from './run-members.ts';
import { wasWakeRequested, wereStreamsOpened } from './run-files.ts';
import type { Emit } from '../events/wake-events.ts';
import { watchRun } from './watch-run.ts';

/** A run of an earlier sidecar that this one continues. */
export interface AdoptRunOptions {
  readonly run: AdoptedRun;
  /**
   * The runner starts its runs with `launch`, so streams that were never opened prove that nothing was started. Default false.
   */
  readonly isLaunched?: boolean | undefined;
  readonly graceMs: number;
  /** As for `watchRun`. */
  readonly detaches?: boolean | undefined;
  readonly signal: StopSignal;
  /** Aborted by the runner to end the run. */
  readonly endSignal?: StopSignal | undefined;
  readonly detachSignal: StopSignal;
  readonly clock: Clock;
  readonly log: Log;
  readonly table: ProcessTable;
}

/**
 * Follows the run to its end, as `watchRun` does. A run whose process was never journaled is found by its run id and
 * reported as `spawned` first; if none is found and nothing can have been started, it is a failed spawn.
 */
export async function adoptRun(options: AdoptRunOptions, emit: Emit): Promise<void> {
  const { run, table } = options;
  // A mark without a start time is not enough to identify the process.
  const marked = run.process?.startTime === null ? null : run.process;
  const main = marked ?? (await findMain(table, run.runId));
  if (main === null && run.process === null && options.isLaunched === true && !(await wereStreamsOpened(run.runDir))) {
    return await emit({ type: 'failed', phase: 'spawn', message: 'the sidecar ended before it had started the agent', retryable: true });
  }
  const doubt = table.seesRunIds ? null : await reasonForDoubt(table, marked);
  // If the run counted as ended, its agent could be woken while it still runs. So its slot stays occupied, and the runner is
  // asked again.
  const mayHaveBegun = async (): Promise<boolean> =>
    (await wereStreamsOpened(run.runDir)) || (options.isLaunched !== true && (await wasWakeRequested(run.runDir)));
  if (doubt !== null && (await mayHaveBegun())) {
    const hint = `Kill what is left of the run or, if nothing is left, remove the folder "${run.runDir}".`;
    throw new Error(`Cannot tell whether a run has ended: this system does not show the environment of processes, and ${doubt}. ${hint}`);
  }
  if (marked === null && main !== null) await emit({ type: 'spawned', process: main });
  await watchRun({ ...options, main, runId: run.runId, runDir: run.runDir }, emit);
}

/**
 * The oldest group leader among the processes with this run id, since every run starts as one. Null if there is none.
 */
async function findMain(table: ProcessTable, runId: string): Promise<ProcessMark | null> {
  const rows = await table.list();
  const carriers = new Set(await table.carriersOf(runId, rows, null));
  const leaders = rows.filter((row) => carriers.has(row.pid) && row.pid === row.groupId);
  const oldest = leaders.sort((a, b) => Number(a.startTime) - Number(b.startTime) || a.pid - b.pid)[0];
  return oldest === undefined ? null : markOf(table, oldest.pid);
}

/**
 * Why the run may be alive although it is not found; null if it cannot be. For systems that hide process environments.
 */
async function reasonForDoubt(table: ProcessTable, main: ProcessMark | null): Promise<string | null> {
  if (main === null) return 'its process was not recorded when it was started';
  if (table.find(main.pid) !== null) return null; // The run itself, or the end of its group.
  const remaining = (await table.list()).filter((row) => isInGroupOf(main, row));
  return remaining.length === 0
    ? null
    : `processes ${remaining.map(({ pid }) => pid).join(', ')} may be what its process ${main.pid} left behind`;
}
