/** Wakes an agent by a POST: `webhook({ url: 'https://agents.example.com/wake', secret: process.env.HOOK_SECRET })`. */
import { once } from 'node:events';
import { lstat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defineWakeRunner, wakeEvents, type DefinedRunner, type RunnerCheck, type RunnerContext } from '../plugin.ts';
import { callWebhook } from './call.ts';
import { webhookOptions, webhookProblems, type WebhookOptions } from './options.ts';

export type { WebhookOptions } from './options.ts';

/**
 * The webhook runner. An answer 2xx means that the agent is woken; from then on it is on its own, and tells by the files of
 * its results folder. A call is repeated with the same `Idempotency-Key`, `TASK:GENERATION`, so that one that got lost on
 * its way back wakes nobody twice.
 */
export const webhook = defineWakeRunner({
  name: 'webhook',
  options: webhookOptions,
  problems: webhookProblems,
  create: (context) => createWebhook(context),
});

/** In the run's folder: the call was answered with 2xx. */
const ANSWERED = 'woken';

function createWebhook({ options, clock }: RunnerContext<WebhookOptions>): DefinedRunner {
  return {
    adoptable: true,
    wake: (request, signal) =>
      wakeEvents(async (emit) => {
        if (signal.aborted) return emit({ type: 'stopped', survivors: [] });
        const failure = await callWebhook(options, { request, nowMs: clock.nowMs(), signal });
        if (signal.aborted && failure !== null) return emit({ type: 'stopped', survivors: [] });
        if (failure !== null) return emit(failure);
        await writeFile(join(request.runDir, ANSWERED), '');
        return emit({ type: 'woken' });
      }),
    attach: (run, signal) =>
      wakeEvents(async (emit, left) => {
        // The same key makes it safe to call again where nobody knows whether the call came through.
        if (!(await exists(join(run.runDir, ANSWERED)))) {
          const message = 'the sidecar ended before the webhook had answered';
          return emit({ type: 'failed', phase: 'spawn', kind: 'no_result', message, retryable: true, beforeWork: true });
        }
        // Nothing here can follow it, and nothing here can end it: its end is not known when somebody wants it to end.
        if (!signal.aborted && !left.aborted) await once(AbortSignal.any([signal, left]), 'abort');
        if (left.aborted) return;
        await emit({ type: 'exited', exitCode: null, signal: null, stderrTail: '' });
      }),
    check: () => checkWebhook(options),
  };
}

/** Looks at the config only: a call would wake somebody. */
function checkWebhook({ url, secret, headers = {} }: WebhookOptions): Promise<readonly RunnerCheck[]> {
  const isKnown = secret !== undefined || Object.keys(headers).length > 0;
  const who = isKnown ? '' : ', which cannot know who calls: neither a secret nor a header is set';
  return Promise.resolve([{ check: 'url', ok: true, message: `${new URL(url).host}${who}` }]);
}

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false, // Whatever the reason, it cannot be said that it was answered; to call again is safe.
  );
