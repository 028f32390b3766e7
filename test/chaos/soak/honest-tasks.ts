/** The tasks of honest submitters, next to everything that is done to the hub. */
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { ChaosWorld } from '../rig/chaos-world.ts';
import { readStream, submitter, type Submitter } from '../rig/observed.ts';

const HISTORIES_MAX = 5;
/** A killed hub is back long before this. */
const LOOK_UP_MS = 60_000;

export interface HonestTasks extends Pick<Submitter, 'submit'> {
  /** Submitted, and not completed. */
  waiting(): number;
  /** The history of some of them, as JSON. */
  histories(): Promise<readonly string[]>;
  /** How often events were removed before they were read. */
  gaps(): number;
  completed(): number;
  readonly tookMs: readonly number[];
  stop(): Promise<void>;
}

/** Submits of the honest clients, and how each of them ends. */
export function honestTasks({ api }: ChaosWorld): HonestTasks {
  const submits = submitter(api, new AbortController().signal);
  const beganMs = new Map<string, number>();
  const completedMs = new Map<string, number>();
  const tookMs: number[] = [];
  let open = 0;
  const settle = (taskId: string): void => {
    const [from, to] = [beganMs.get(taskId), completedMs.get(taskId)];
    if (from === undefined || to === undefined) return;
    beganMs.delete(taskId);
    completedMs.delete(taskId);
    open -= 1;
    tookMs.push(to - from);
  };
  const complete = (taskId: string): void => {
    completedMs.set(taskId, performance.now());
    settle(taskId);
  };
  let gaps = 0;
  let lookedUp: Promise<void> | null = null;
  let mustLookAgain = false;
  /** Null: it was removed. */
  const statusOf = async (taskId: string): Promise<string | null> => {
    try {
      return (await api.tasks.get(taskId, { retryWithinMs: LOOK_UP_MS })).status;
    } catch (thrown) {
      if (AgentcomError.is(thrown, 'AC_API') && thrown.details?.['status'] === 404) return null;
      throw thrown;
    }
  };
  // Only ended tasks are removed.
  const lookUp = async (taskId: string): Promise<void> => {
    const status = await statusOf(taskId);
    if (status === null || status === 'completed') complete(taskId);
  };
  const lookUpAll = async (): Promise<void> => {
    while (mustLookAgain) {
      mustLookAgain = false;
      await Promise.all([...beganMs.keys()].map(lookUp));
    }
    lookedUp = null;
  };
  const history = async (taskId: string): Promise<string> => {
    const status = await statusOf(taskId);
    return JSON.stringify([taskId, status, status === null ? [] : (await api.tasks.events(taskId)).events]);
  };
  const stream = readStream(api, ({ event, taskId }) => {
    if (event === 'completed') complete(taskId);
    if (event !== 'gap') return;
    gaps += 1;
    mustLookAgain = true;
    lookedUp ??= lookUpAll();
  });
  return {
    tookMs,
    gaps: () => gaps,
    waiting: () => open,
    histories: () => Promise.all([...beganMs.keys()].slice(0, HISTORIES_MAX).map(history)),
    completed: () => tookMs.length,
    async stop() {
      await stream.stop();
      await lookedUp;
    },
    async submit(key, body) {
      const [fromMs, gapsBefore] = [performance.now(), gaps];
      open += 1;
      const taskId = await submits.submit(key, body);
      beganMs.set(taskId, fromMs);
      settle(taskId);
      if (gaps !== gapsBefore && beganMs.has(taskId)) await lookUp(taskId);
      return taskId;
    },
  };
}
