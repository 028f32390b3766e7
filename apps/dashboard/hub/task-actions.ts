/** What an operator does to tasks and agents. */
import type { SubmittedTask, TaskDetail } from '../../client/types.ts';
import { ask, get } from './hub-requests.ts';

const taskPath = (id: string, more = ''): string => `/api/tasks/${encodeURIComponent(id)}${more}`;
const agentPath = (id: string, more = ''): string => `/api/agents/${encodeURIComponent(id)}${more}`;

export const readTask = (id: string, stop?: AbortSignal): Promise<TaskDetail> => get(taskPath(id), stop);
export const retryTask = (id: string, stop?: AbortSignal): Promise<unknown> => ask('POST', taskPath(id, '/retry'), { signal: stop });
export const cancelTask = (id: string, stop?: AbortSignal): Promise<unknown> => ask('POST', taskPath(id, '/cancel'), { signal: stop });
export const adoptResult = (id: string, generation: number): Promise<unknown> =>
  ask('POST', taskPath(id, '/adopt'), { body: { generation } });

export const drainAgent = (id: string, deadlineMs?: number): Promise<unknown> =>
  ask('POST', agentPath(id, '/drain'), { body: deadlineMs === undefined ? {} : { deadline_ms: deadlineMs } });
export const resumeAgent = (id: string): Promise<unknown> => ask('POST', agentPath(id, '/resume'));
export const checkAgent = (id: string): Promise<unknown> => ask('POST', agentPath(id, '/check'));

/** A repeat with the same key does not create a second task. */
export const submitTask = (body: Readonly<Record<string, unknown>>, key: string): Promise<SubmittedTask> =>
  ask('POST', '/api/tasks', { body, headers: { 'idempotency-key': key } });

const KEY_BYTES = 16;
const HEX = 16;

export const newKey = (): string =>
  `dashboard-${[...crypto.getRandomValues(new Uint8Array(KEY_BYTES))].map((byte) => byte.toString(HEX).padStart(2, '0')).join('')}`;

const ENDED = ['completed', 'cancelled', 'dead_letter'];
export const hasEnded = (status: string): boolean => ENDED.includes(status);
