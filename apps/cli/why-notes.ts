/**
 * Prints why a watched task is not running: at first, and whenever the reason changes. It never polls: it queries the hub
 * after events of the task or of agents that may change the reason, and when the last reason is expected to end.
 */
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import type { HubClient, TaskDetail, WaitingForJson } from '../client/index.ts';
import type { Output } from './output/output.ts';

/** Kinds that the events of the task already show, or that pass at once. */
const NOT_SHOWN: ReadonlySet<string> = new Set(['ready', 'not_accepted', 'not_woken']);
/** Events that begin or change a wait. */
const BEGINS_WAIT: ReadonlySet<string> = new Set([
  'submitted',
  'scheduled',
  'blocked',
  'eligible',
  'failed',
  'rejected',
  'released',
  'reclaimed',
  'lost',
  'retried',
  'parked',
  'unparked',
]);
/** How long after the end of a reason the hub is queried: its sweep runs first. Milliseconds. */
const AFTER_MS = 500;
/** How long events of agents are collected before the hub is queried: hundreds may connect at once. Milliseconds. */
const GAP_MS = 1_000;
/** The longest that a timer is set for. Milliseconds. */
const TIMER_MAX_MS = 86_400_000;

export interface WhyNotes {
  /** An event of the task that may change the reason. */
  noted(event: string): void;
  /** Nothing is printed from now on. */
  stop(): void;
}

export function whyNotes(output: Output, hub: HubClient, taskId: string): WhyNotes {
  let isLoading = false;
  let loadAgain = false;
  let isStopped = false;
  let isWaiting = false;
  let following: Promise<void> | undefined;
  let shown = '';
  let armedForMs = 0;
  let timer: NodeJS.Timeout | undefined;
  let gap: NodeJS.Timeout | undefined;
  const ended = new AbortController();

  const show = (task: TaskDetail): void => {
    const { waiting_for: waiting } = task;
    const reason = waiting === null ? '' : signatureOf(waiting);
    if (waiting !== null && !NOT_SHOWN.has(waiting.kind ?? '') && reason !== shown) {
      output.data({ waiting_for: waiting });
      output.line(`waiting: ${waiting.message}`, 'yellow');
    }
    shown = reason;
    isWaiting = waiting !== null && !NOT_SHOWN.has(waiting.kind ?? '');
    if (isWaiting) following ??= followAgents();
    const untilMs = waiting?.until;
    // Only once for each time, so that differing clocks do not make it poll.
    if (untilMs === undefined || untilMs === armedForMs) return;
    armedForMs = untilMs;
    clearTimeout(timer);
    timer = setTimeout(load, Math.min(Math.max(0, untilMs - Date.now()) + AFTER_MS, TIMER_MAX_MS));
  };
  const load = (): void => {
    loadAgain = isLoading;
    if (isLoading || isStopped) return;
    isLoading = true;
    hub.tasks
      .get(taskId)
      .then(
        (task) => (isStopped ? undefined : show(task)),
        (thrown: unknown) => (isStopped ? undefined : output.note(`cannot read why the task waits: ${messageOf(thrown)}`)),
      )
      .finally(() => {
        isLoading = false;
        if (loadAgain) load();
      });
  };
  const loadAfterGap = (): void => {
    gap ??= setTimeout(() => {
      gap = undefined;
      if (isWaiting) load();
    }, GAP_MS);
  };
  const followAgents = async (): Promise<void> => {
    // Something may have happened before the stream began.
    loadAfterGap();
    try {
      for await (const { event } of hub.events({ about: 'agents', signal: ended.signal })) if (event.startsWith('agent_')) loadAfterGap();
    } catch (thrown) {
      // A submitter may not watch agents: it learns about them with the next event of its task.
      if (!isStopped && !isForbidden(thrown)) output.note(`cannot follow the agents: ${messageOf(thrown)}`);
    }
  };
  return {
    noted(event) {
      if (BEGINS_WAIT.has(event)) load();
    },
    stop() {
      isStopped = true;
      ended.abort();
      clearTimeout(timer);
      clearTimeout(gap);
    },
  };
}

const isForbidden = (thrown: unknown): boolean => AgentcomError.is(thrown, 'AC_API') && thrown.details?.['status'] === 403;

/** Equal as long as the reason is the same, regardless of its durations. */
function signatureOf({ kind, reason, tasks = [], capabilities = [], agents = [] }: WaitingForJson): string {
  return JSON.stringify([kind ?? reason, tasks, capabilities, agents.map((agent) => [agent.agent_id, agent.kind ?? agent.blocker])]);
}
