/** Follows a task to its end, telling what happens. */
import type { Context } from './cli-context.ts';
import { EXIT_INTERRUPTED, EXIT_OF_TASK } from './exit-codes.ts';
import { tellEvent } from './output/event-line.ts';
import type { Output } from './output/output.ts';
import { resultText, taskOutcome } from './output/task-outcome.ts';
import type { EndedTask, HubClient } from '../client/index.ts';

/** Of a failed attempt, on the way; `agentcom show` has more. */
export const STDERR_LINES = 5;
/**
 * Prints the task's events from its submit on and returns after its end, with the exit code set by its outcome. Ends
 * early when the person interrupts; the task then goes on. Resumes over drops of the connection.
 */
export async function followTask(context: Context, hub: HubClient, taskId: string): Promise<void> {
  const { output, surroundings } = context;
  const watching = hub.tasks.watch(taskId, { signal: surroundings.interrupt(), onReconnect: reconnectNotes(output) });
  for (;;) {
    const step = await watching.next();
    if (step.done !== true) {
      const { event, data } = step.value;
      output.data({ event: data });
      tellEvent(output, event, data, { withTask: false, stderrLines: STDERR_LINES });
      continue;
    }
    if (step.value !== null) return tellEnd(context, step.value);
    output.note(`Interrupted; the task goes on. See it with: agentcom watch ${taskId}`);
    return context.exitWith(EXIT_INTERRUPTED);
  }
}

/** Tells of a lost connection, not again and again while the reason stays the same. */
export function reconnectNotes(output: Output): (reason: string) => void {
  let told = '';
  return (reason) => {
    if (reason !== told) output.note(`connection lost, trying again: ${reason}`);
    told = reason;
  };
}

function tellEnd({ output, exitWith }: Context, task: EndedTask): void {
  const { status } = task;
  output.data({ task });
  output.line(taskOutcome(task), status === 'completed' ? 'green' : status === 'cancelled' ? 'yellow' : 'red');
  if (status === 'completed') output.block(resultText(task.result));
  exitWith(EXIT_OF_TASK[status]);
}
