/**
 * Wakes the agent of an OpenClaw gateway through its hook: `openclawHook({ url: 'http://127.0.0.1:18789/hooks/agent',
 * token })`.
 */
import type { WakeRunnerChoice } from '../plugin.ts';
import { webhook } from './index.ts';

/** Options of `openclawHook()`. */
export interface OpenclawHookOptions {
  /** URL of the agent hook. Most gateways listen on their own machine, so private addresses are allowed. */
  readonly url: string;
  /** `hooks.token` of the gateway's config. */
  readonly token: string;
  /** Replaces the prompt; it must tell the agent to report with `agentcom report`. */
  readonly prompt?: string | undefined;
  /** Milliseconds to wait for the gateway's answer. Default 10,000. */
  readonly timeoutMs?: number | undefined;
}

/**
 * The webhook runner, configured for that gateway. The call returns no result: the agent reports with `agentcom
 * report`.
 */
export const openclawHook = ({ url, token, prompt, timeoutMs }: OpenclawHookOptions): WakeRunnerChoice =>
  webhook({
    url,
    headers: { authorization: `Bearer ${token}` },
    body: { message: '${PROMPT}', name: 'AgentCom ${TASK_ID}', deliver: false },
    allowPrivate: true,
    prompt,
    timeoutMs,
  });
