/** Follows a task to its end and prints its events. */
import type { Context } from './cli-context.ts';
import { EXIT_INTERRUPTED, EXIT_OF_TASK } from './exit-codes.ts';
import { printEvent, printEventTitles } from './output/event-line.ts';
import type { Output } from './output/output.ts';
import { resultText, taskOutcome, truncationNote } from './output/task-outcome.ts';
import { whyNotes } from './why-notes.ts';
import type { EndedTask, HubClient } from '../client/index.ts';

/**
 * Prints the task's events since its submit, and why it waits. Returns after the task has ended, with the exit code set by its outcome, or
 * earlier if the user interrupts; the task then continues. Survives dropped connections.
 */
export async function followTask(context: Context, hub: HubClient, taskId: string): Promise<void> {
  const { output, environment } = context;
  const watching = hub.tasks.watch(taskId, { signal: environment.interrupt(), onReconnect: reconnectNotes(output) });
  const why = whyNotes(output, hub, taskId);
  printEventTitles(output, false);
  try {
    for (;;) {
      const step = await watching.next();
      if (step.done !== true) {
        const { event, data } = step.value;
        output.data({ event: data });
        printEvent(output, event, data, { withTask: false });
        why.noted(event);
        continue;
      }
      why.stop();
      if (step.value !== null) return printOutcome(context, step.value);
      output.note(`Interrupted; the task continues. To follow it: agentcom watch ${taskId}`);
      return context.exitWith(EXIT_INTERRUPTED);
    }
  } finally {
    why.stop();
  }
}

/** Notes a lost connection, once per reason. */
export function reconnectNotes(output: Output): (reason: string) => void {
  let noted = '';
  return (reason) => {
    if (reason !== noted) output.note(`connection lost, retrying: ${reason}`);
    noted = reason;
  };
}

function printOutcome({ output, exitWith }: Context, task: EndedTask): void {
  const { status } = task;
  output.data({ task });
  output.line(taskOutcome(task), status === 'completed' ? 'green' : status === 'cancelled' ? 'yellow' : 'red');
  if (status === 'completed') {
    output.block(resultText(task.result));
    const note = truncationNote(task.result);
    if (note !== null) output.note(note);
  }
  exitWith(EXIT_OF_TASK[status]);
}
