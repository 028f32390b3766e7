/** The webhook call: sends it and classifies the response. */
import { createHmac } from 'node:crypto';
import { traceContextOf } from '../../core/domain/task/trace-context.ts';
import {
  agentPrompt,
  causeOfStatus,
  DEFAULT_WOKEN_PROMPT,
  messageOf,
  shorten,
  withHint,
  type Hints,
  type FailureCause,
  type WakeEvent,
  type WakeRequest,
} from '../plugin.ts';
import { PrivateAddressError } from './addresses.ts';
import { post, type Answer } from './post.ts';
import type { WebhookOptions } from './options.ts';

const TIMEOUT_MS = 10_000;
/** The endpoint refuses this task, not the call: others may be accepted. */
const TASK_REJECTED: Readonly<Record<number, FailureCause>> = { 400: 'agent_failed', 413: 'limit', 422: 'agent_failed' };

export interface Call {
  readonly request: WakeRequest;
  readonly nowMs: number;
  readonly signal: AbortSignal;
}

/** Null: the agent is woken, or may be, if the call was stopped before its answer. Otherwise a failure with phase `spawn`. */
export async function callWebhook(options: WebhookOptions, { request, nowMs, signal }: Call): Promise<WakeEvent | null> {
  const body = JSON.stringify(bodyOf(options, request));
  const url = new URL(options.url);
  const { timeoutMs = TIMEOUT_MS, allowPrivate = false } = options;
  try {
    const answer = await post({ url, headers: headersOf(options, { request, body, nowMs }), body, timeoutMs, allowPrivate, signal });
    return answer === null ? null : failureIn(answer, { url, nowMs });
  } catch (error) {
    const isRefused = error instanceof PrivateAddressError;
    const message = `${isRefused ? `The webhook ${url.host} was not called` : `The call of the webhook ${url.host} failed`}: ${messageOf(error)}`;
    const hint = isRefused ? 'If the service is meant to have a private address, set allowPrivate: true.' : undefined;
    return failed(isRefused ? 'config' : 'model_unavailable', { message, hint, retryable: !isRefused });
  }
}

function headersOf(
  { headers = {}, secret }: WebhookOptions,
  { request, body, nowMs }: { readonly request: WakeRequest; readonly body: string; readonly nowMs: number },
): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(nowMs / 1_000));
  return {
    'content-type': 'application/json',
    ...traceContextOf(textIn(request.task, 'traceparent'), textIn(request.task, 'tracestate')),
    ...headers,
    'idempotency-key': `${request.taskId}:${String(request.generation)}`,
    'x-agentcom-timestamp': timestamp,
    ...(secret === undefined
      ? {}
      : { 'x-agentcom-signature': `sha256=${createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}` }),
  };
}

const textIn = (task: WakeRequest['task'], name: string): string | undefined => (typeof task[name] === 'string' ? task[name] : undefined);

function bodyOf({ body, prompt }: WebhookOptions, request: WakeRequest): unknown {
  const { taskId, generation, agentId, runId, task, resultsDir } = request;
  if (body === undefined)
    return { type: 'task', task_id: taskId, generation, agent_id: agentId, run_id: runId, task, results_dir: resultsDir };
  const values: Readonly<Record<string, () => string>> = {
    PROMPT: () => agentPrompt(prompt ?? DEFAULT_WOKEN_PROMPT, { request, isResumed: false }),
    TASK_ID: () => taskId,
    RUN_ID: () => runId,
  };
  return filled(body, (text) => text.replace(/\$\{(PROMPT|TASK_ID|RUN_ID)\}/g, (word, name: string) => values[name]?.() ?? word));
}

function filled(value: unknown, fill: (text: string) => string): unknown {
  if (typeof value === 'string') return fill(value);
  if (Array.isArray(value)) return value.map((item) => filled(item, fill));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, filled(inner, fill)]));
}

function failureIn({ status, retryAfter, text }: Answer, { url, nowMs }: { readonly url: URL; readonly nowMs: number }): WakeEvent | null {
  if (status >= 200 && status < 300) return null;
  const quoted = text.trim() === '' ? '' : `: ${shorten(text.trim())}`;
  const message = `The webhook ${url.host} answered ${String(status)}${quoted}`;
  const cause = causeOfStatus(status);
  if (cause === 'rate_limited' || cause === 'model_unavailable') {
    return failed(cause, { message, retryable: true, retryAfterMs: delayIn(retryAfter, nowMs), details: { status } });
  }
  const isRedirect = status >= 300 && status < 400;
  return failed(cause ?? TASK_REJECTED[status] ?? 'config', {
    message,
    hint: isRedirect ? 'Redirects are not followed: set url to their target.' : undefined,
    retryable: false,
    details: { status },
  });
}

/** `Retry-After`: seconds, or a date. */
function delayIn(retryAfter: string | null, nowMs: number): number | undefined {
  if (retryAfter === null) return undefined;
  const delayMs = /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1_000 : Date.parse(retryAfter) - nowMs;
  return Number.isFinite(delayMs) && delayMs > 0 ? delayMs : undefined;
}

const HINTS: Partial<Hints> = {
  auth: 'Correct the token in headers, or the secret.',
  config: 'Correct url, headers or body.',
  model_unavailable: 'It is retried automatically with backoff; if that does not help, check the service.',
  agent_failed: 'The endpoint refuses this task: change the task, or the option body.',
  limit: 'The endpoint refuses this task: make the task smaller, or change the option body.',
};

function failed(
  kind: FailureCause,
  {
    message,
    hint,
    ...failure
  }: {
    readonly message: string;
    /** How to fix it, if more specific than the kind's hint. */
    readonly hint?: string | undefined;
    readonly retryable: boolean;
    readonly retryAfterMs?: number | undefined;
    readonly details?: Readonly<Record<string, unknown>>;
  },
): WakeEvent {
  const hinted = withHint(message, kind, hint === undefined ? HINTS : { [kind]: hint });
  return {
    type: 'failed',
    phase: 'spawn',
    kind,
    beforeWork: true,
    message: hinted,
    ...failure,
    details: { cause: kind, ...failure.details },
  };
}
