/** States as colored words. The word says it all; the color only helps to find it. */
import type { JSX } from 'preact';
import type { AgentJson, TaskJson } from '../../client/types.ts';

const STATUS_WORDS: Readonly<Record<TaskJson['status'], string>> = {
  scheduled: 'scheduled',
  blocked: 'blocked',
  queued: 'queued',
  assigned: 'assigned',
  completed: 'completed',
  cancelled: 'cancelled',
  dead_letter: 'dead letter',
};

/** `running`: its agent has accepted it. */
export function StatusBadge({ status, running = false }: { readonly status: TaskJson['status']; readonly running?: boolean }): JSX.Element {
  const word = status === 'assigned' && running ? 'running' : STATUS_WORDS[status];
  return <span class={`badge is-${status}`}>{word}</span>;
}

export const AgentBadge = ({ status }: { readonly status: AgentJson['status'] }): JSX.Element => (
  <span class={`badge is-${status}`}>{status}</span>
);

export const PriorityText = ({ priority }: { readonly priority: TaskJson['priority'] }): JSX.Element => (
  <span class={`priority is-${priority}`}>{priority}</span>
);
