/** What an agent reports while the service of its model is down. */
import type { RunScript, ScriptStep } from '../../product/twins/runner-scripted/scripted-runner.ts';
import type { WakeRequest } from '../../../core/ports/wake-runner.ts';
import type { AgentDeps } from './simulated-agents.ts';
import type { Chance } from '../seeded-chance.ts';
import { SERVICE_AWAY } from '../judges/outage-judge.ts';

const CAUSE = { kind: 'model_unavailable', message: SERVICE_AWAY } as const;
/** Of retry delays that the service requests. */
const WAIT_MS = [1_000, 120_000] as const;
const TOKENS = 5;

/** The script of a wake meanwhile: nothing can be called, or the agent ends before its work or in the middle of it. */
export function awayScript(request: WakeRequest, deps: Pick<AgentDeps, 'rare' | 'spoke' | 'used'> & { readonly away: Chance }): RunScript {
  const { away } = deps;
  const when = away.pick(['at its wake', 'before work', 'before work', 'at work'] as const);
  deps.rare(`agent without its service ${when}`);
  if (when === 'at its wake') return { refuses: { ...CAUSE, retryable: true } };
  const isAtWork = when === 'at work';
  const wait = away.is(0.3) ? { retryAfterMs: away.between(...WAIT_MS) } : {};
  const works: readonly ScriptStep[] = [
    { afterMs: away.skewed(20, 3_000), event: { type: 'started', sessionId: `ses-${request.runId}` } },
    { afterMs: away.skewed(100, 20_000), act: () => deps.used(request, TOKENS) },
    { afterMs: 0, event: { type: 'usage', tokensUsed: TOKENS } },
  ];
  return {
    steps: [
      ...(isAtWork ? works : []),
      { afterMs: away.between(0, 3_000), act: () => deps.spoke(request) },
      { afterMs: 0, event: { type: 'failed', phase: 'agent', ...CAUSE, retryable: true, beforeWork: !isAtWork, ...wait } },
      { afterMs: away.between(0, 4_000), event: { type: 'exited', exitCode: 1, signal: null, stderrTail: SERVICE_AWAY } },
    ],
    endsWithinMs: away.between(0, 2_000),
  };
}
