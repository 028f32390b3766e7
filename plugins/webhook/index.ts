/** Wakes an agent with a POST: `webhook({ url: 'https://agents.example.com/wake', secret: process.env.HOOK_SECRET })`. */
import { once } from 'node:events';
import { lstat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defineWakeRunner, wakeEvents, type DefinedRunner, type RunnerCheck, type RunnerContext, type WakeEvent } from '../plugin.ts';
import { callWebhook } from './call.ts';
import { webhookOptions, webhookProblems, type WebhookOptions } from './options.ts';

export type { WebhookOptions } from './options.ts';

/**
 * The webhook runner. A 2xx answer means that the agent is woken; from then on it is on its own and reports through
 * files. Retries use the same `Idempotency-Key`, `TASK:GENERATION`, so a call whose answer was lost wakes nobody twice.
 */
export const webhook = defineWakeRunner({
  name: 'webhook',
  options: webhookOptions,
  problems: webhookProblems,
  create: (context) => createWebhook(context),
});

/** File in the run's folder that records that the agent is woken, or may be. */
const WOKEN = 'woken';

function createWebhook({ options, clock }: RunnerContext<WebhookOptions>): DefinedRunner {
  return {
    adoptable: true,
    wake: (request, signal) =>
      wakeEvents(async (emit) => {
        if (signal.aborted) return emit({ type: 'stopped', survivors: [] });
        const failure = await callWebhook(options, { request, nowMs: clock.nowMs(), signal });
        if (signal.aborted && failure !== null) return emit({ type: 'stopped', survivors: [] });
        if (failure !== null) return emit(failure);
        return recordWoken(request.runDir, emit);
      }),
    attach: (run, signal) =>
      wakeEvents(async (emit, detachSignal) => {
        if (!(await exists(join(run.runDir, WOKEN)))) {
          // It is unknown whether the call arrived. Before a stop, the agent must be assumed to work.
          if (signal.aborted) return recordWoken(run.runDir, emit);
          // The idempotency key makes it safe to call again.
          const message = 'the sidecar ended before the webhook had answered';
          return emit({ type: 'failed', phase: 'spawn', kind: 'no_result', message, retryable: true, beforeWork: true });
        }
        // The agent can be neither followed nor stopped from here, so a stop reports an unknown end.
        if (!signal.aborted && !detachSignal.aborted) await once(AbortSignal.any([signal, detachSignal]), 'abort');
        if (detachSignal.aborted) return;
        await emit({ type: 'exited', exitCode: null, signal: null, stderrTail: '' });
      }),
    check: () => checkWebhook(options),
  };
}

/** The sidecar then attaches to the run again: to wait, or to stop it. */
async function recordWoken(runDir: string, emit: (event: WakeEvent) => Promise<void>): Promise<void> {
  await writeFile(join(runDir, WOKEN), '');
  await emit({ type: 'woken' });
}

/** Checks the config only: a call would wake the agent. */
function checkWebhook({ url, secret, headers = {} }: WebhookOptions): Promise<readonly RunnerCheck[]> {
  const isKnown = secret !== undefined || Object.keys(headers).length > 0;
  const who = isKnown ? '' : ', which cannot authenticate the caller: neither a secret nor a header is set';
  return Promise.resolve([{ check: 'url', ok: true, message: `${new URL(url).host}${who}` }]);
}

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false, // Whatever the reason, it is unknown whether the call was answered, and calling again is safe.
  );
