/** Follows a task to its end, telling what happens. */
import { isEndedStatus, type EndedStatus } from './ended.ts';
import type { Context } from './context.ts';
import { EXIT_INTERRUPTED, EXIT_OF_TASK } from './exit-codes.ts';
import { tellEvent } from './output/event-line.ts';
import type { Output } from './output/output.ts';
import { resultText, taskOutcome } from './output/task-outcome.ts';
import type { HubClient, TaskDetail } from '../client/index.ts';

/**
 * Events after which a task may have ended; a gap may hide such a one. An operator's retry takes a dead letter back, so the
 * task itself decides.
 */
const MAY_END: ReadonlySet<string> = new Set(['completed', 'cancelled', 'dead_lettered', 'gap']);

/** Of a failed attempt, on the way; `agentcom show` has more. */
export const STDERR_LINES = 5;
/** How long the hub may be away at the very end of a wait. */
const AWAY_MS = 120_000;

/**
 * Prints the task's events from its submit on and returns after its end, with the exit code set by its outcome. Ends
 * early when the person interrupts; the task then goes on. Resumes over drops of the connection.
 */
export async function followTask(context: Context, hub: HubClient, taskId: string): Promise<void> {
  const { output, surroundings } = context;
  const signal = surroundings.interrupt();
  const events = hub.events({
    taskId,
    lastEventId: '0',
    signal,
    onReconnect: reconnectNotes(output),
  });
  for await (const { event, data } of events) {
    output.data({ event: data });
    tellEvent(output, event, data, { withTask: false, stderrLines: STDERR_LINES });
    if (!MAY_END.has(event)) continue;
    const task = await hub.get(taskId, { retryWithinMs: AWAY_MS });
    if (!isEndedStatus(task.status)) continue;
    tellEnd(context, task, task.status);
    return;
  }
  output.note(`Interrupted; the task goes on. See it with: agentcom watch ${taskId}`);
  context.exitWith(EXIT_INTERRUPTED);
}

/** Tells of a lost connection, not again and again while the reason stays the same. */
export function reconnectNotes(output: Output): (reason: string) => void {
  let told = '';
  return (reason) => {
    if (reason !== told) output.note(`connection lost, trying again: ${reason}`);
    told = reason;
  };
}

function tellEnd({ output, exitWith }: Context, task: TaskDetail, status: EndedStatus): void {
  output.data({ task });
  output.line(taskOutcome(task), status === 'completed' ? 'green' : status === 'cancelled' ? 'yellow' : 'red');
  if (status === 'completed') output.block(resultText(task.result));
  exitWith(EXIT_OF_TASK[status]);
}
