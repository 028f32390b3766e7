/** The live log: one line per event, with time, agent, task and what happened. */
import { colorOf } from '../cli/output/event-line.ts';
import type { Output } from '../cli/output/output.ts';
import type { StreamEvent } from '../client/index.ts';

export interface LiveEvent {
  readonly agent: string;
  /** The task's name in the scenario. */
  readonly task: string;
  readonly what: string;
  readonly event?: string | undefined;
}

const AGENT_WIDTH = 8;
const TASK_WIDTH = 10;
const MS_A_SECOND = 1_000;

/** Writes lines with the time since `sinceMs`, by the monotonic clock. */
export const liveLog =
  (output: Output, sinceMs: number) =>
  ({ agent, task, what, event }: LiveEvent): void => {
    const seconds = ((performance.now() - sinceMs) / MS_A_SECOND).toFixed(1).padStart(5);
    output.line(
      `${seconds} s  ${agent.padEnd(AGENT_WIDTH)}  ${task.padEnd(TASK_WIDTH)}  ${what}`,
      event === undefined ? undefined : colorOf(event),
    );
  };

/** An event of the stream in a few words; null for events that add nothing. */
export function describeEvent({ event, data }: StreamEvent): string | null {
  const details = (data['details'] ?? {}) as Readonly<Record<string, unknown>>;
  const generation = `generation ${String(data['generation'])}`;
  switch (event) {
    case 'eligible':
      return 'queued';
    case 'assigned':
      return `assigned (${generation})`;
    case 'woken':
      return 'woken: the agent process is running';
    case 'progress':
      return `${String(details['percent'] ?? '?')} %  ${String(details['message'] ?? '')}`;
    case 'failed':
      return `failed: ${String(details['error'])}`;
    case 'dead_lettered':
      return `dead-lettered: ${String(details['reason'])}`;
    case 'blocked':
      return 'blocked: waiting for the tasks it depends on';
    case 'stop_requested':
      return 'stopping the agent';
    case 'stop_confirmed':
      return `stop confirmed: ${String(details['outcome'])}`;
    case 'submitted':
    case 'gap':
      return null;
    default:
      return event;
  }
}
