/** What an operator does to tasks and agents. */
import { isTaskId } from '../../../core/domain/ids.ts';
import { meantBy, taskIdBeginning } from '../../../core/domain/task/task-beginning.ts';
import type { AgentJson, Page, SubmittedTask, TaskDetail, TaskJson } from '../../client/types.ts';
import { get, HubError, sendRequest } from './hub-requests.ts';

const taskPath = (id: string, more = ''): string => `/api/tasks/${encodeURIComponent(id)}${more}`;
const agentPath = (id: string, more = ''): string => `/api/agents/${encodeURIComponent(id)}${more}`;

/** Of anything but a task ID, `/api/tasks/` may have another page, such as `stats`. */
export const readTask = (id: string, stop?: AbortSignal): Promise<TaskDetail> =>
  isTaskId(id) ? get(taskPath(id), stop) : Promise.reject(new HubError(404, 'unknown_task', 'This is not the ID of a task.'));

/** The IDs that begin like this, or the one that this is. */
export async function tasksNamed(text: string): Promise<readonly string[]> {
  const beginning = taskIdBeginning(text);
  if (beginning === null) return [text];
  const { tasks }: Page<'tasks', TaskJson> = await get(`/api/tasks?id_prefix=${beginning}`);
  return meantBy(beginning, tasks).map(({ id }) => id);
}

export const retryTask = (id: string, stop?: AbortSignal): Promise<unknown> =>
  sendRequest('POST', taskPath(id, '/retry'), { signal: stop });
export const cancelTask = (id: string, stop?: AbortSignal): Promise<unknown> =>
  sendRequest('POST', taskPath(id, '/cancel'), { signal: stop });
export const adoptResult = (id: string, generation: number): Promise<unknown> =>
  sendRequest('POST', taskPath(id, '/adopt'), { body: { generation } });

export const drainAgent = (id: string, deadlineMs?: number): Promise<unknown> =>
  sendRequest('POST', agentPath(id, '/drain'), { body: deadlineMs === undefined ? {} : { deadline_ms: deadlineMs } });
export const resumeAgent = (id: string): Promise<unknown> => sendRequest('POST', agentPath(id, '/resume'));

const readAgent = (id: string): Promise<AgentJson> => get(agentPath(id));
const CHECKED_WITHIN_MS = 15_000;
const CHECKED_EVERY_MS = 500;

/** Resolves when its sidecar has reported new results. It polls, because there is no event for these. */
export async function checkAgent(id: string): Promise<void> {
  const before = (await readAgent(id)).checks?.reported_at;
  await sendRequest('POST', agentPath(id, '/check'));
  for (const fromMs = performance.now(); performance.now() - fromMs < CHECKED_WITHIN_MS;) {
    await new Promise((resolve) => setTimeout(resolve, CHECKED_EVERY_MS));
    if ((await readAgent(id)).checks?.reported_at !== before) return;
  }
  throw new Error(`Its sidecar has reported no results within ${CHECKED_WITHIN_MS / 1_000} s.`);
}

/** A repeat with the same key does not create a second task. */
export const submitTask = (body: Readonly<Record<string, unknown>>, key: string): Promise<SubmittedTask> =>
  sendRequest('POST', '/api/tasks', { body, headers: { 'idempotency-key': key } });

const KEY_BYTES = 16;
const HEX = 16;

export const newKey = (): string =>
  `dashboard-${[...crypto.getRandomValues(new Uint8Array(KEY_BYTES))].map((byte) => byte.toString(HEX).padStart(2, '0')).join('')}`;

const ENDED = ['completed', 'cancelled', 'dead_letter'];
export const hasEnded = (status: string): boolean => ENDED.includes(status);
