/** Wakes the agent of an OpenClaw gateway by its hook: `openclawHook({ url: 'http://127.0.0.1:18789/hooks/agent', token })`. */
import type { WakeRunnerChoice } from '../plugin.ts';
import { webhook } from './index.ts';

export interface OpenclawHookOptions {
  /** Of the hook for agents. A gateway mostly listens on its own machine, so private addresses are allowed. */
  readonly url: string;
  /** `hooks.token` of its config. */
  readonly token: string;
  /** Replaces the prompt; it must tell the agent to report by `agentcom report`. */
  readonly prompt?: string | undefined;
  /** Milliseconds until the gateway must have answered. Default 10,000. */
  readonly timeoutMs?: number | undefined;
}

/** The webhook runner, with the words of that gateway. It brings no result back: the agent reports by `agentcom report`. */
export const openclawHook = ({ url, token, prompt, timeoutMs }: OpenclawHookOptions): WakeRunnerChoice =>
  webhook({
    url,
    headers: { authorization: `Bearer ${token}` },
    body: { message: '${PROMPT}', name: 'AgentCom ${TASK_ID}', deliver: false },
    allowPrivate: true,
    prompt,
    timeoutMs,
  });
