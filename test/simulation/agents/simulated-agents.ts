/** What the agents of a simulated world do once they are woken: most do their task, some do everything else. */
import type { RunScript, ScriptStep } from '../../product/twins/runner-scripted/scripted-runner.ts';
import { assignmentText } from '../../../core/ports/assignment-name.ts';
import type { WakeRequest } from '../../../core/ports/wake-runner.ts';
import type { Chance } from '../seeded-chance.ts';

export interface AgentDeps {
  readonly chance: Chance;
  /** A random stream of its own, so that stored worlds do not change. */
  readonly inability: Chance;
  /** The current shares. */
  readonly faults: () => { readonly badAgents: number; readonly spawnFails: number };
  /** Writes a file of the agent, named without its folder. */
  readonly write: (request: WakeRequest, file: string, text: string) => void;
  /** The agent has finished its task: `marker` is in its result. */
  readonly finished: (request: WakeRequest, marker: string) => void;
  /** The agent reported, in whatever way, that it is done, successfully or not. */
  readonly spoke: (request: WakeRequest) => void;
  readonly rare: (name: string) => void;
  /** The run has used this many tokens so far. */
  readonly used: (request: WakeRequest, tokens: number) => void;
}

/** Kinds of agents that do not simply do their task. */
const BAD = [
  'half_written',
  'fails',
  'fails_for_good',
  'dies',
  'dies_early',
  'hangs',
  'never_starts',
  'ignores_stop',
  'survives',
  'lingers',
  'garbage',
  'silent_exit',
] as const;

/** Reads the marker back from a result. */
export const markerOf = (value: unknown): string | null => {
  const output = typeof value === 'object' && value !== null && 'output' in value ? value.output : null;
  const marker = typeof output === 'object' && output !== null && 'marker' in output ? output.marker : null;
  return typeof marker === 'string' ? marker : null;
};

/** The script of one wake. */
export function agentScript(request: WakeRequest, deps: AgentDeps): RunScript {
  const { chance, rare } = deps;
  const faults = deps.faults();
  if (chance.is(faults.spawnFails)) {
    rare('agent cannot be spawned');
    return { refuses: { message: 'no such program', retryable: chance.is(0.8) } };
  }
  if (deps.inability.is(faults.badAgents * UNABLE)) return unable(request, deps);
  if (!chance.is(faults.badAgents)) return { steps: working(request, deps), endsWithinMs: chance.between(0, 2_000) };
  const kind = chance.pick(BAD);
  rare(`agent ${kind}`);
  return badScript(kind, request, deps);
}

const act = (afterMs: number, does: (request: WakeRequest) => void): ScriptStep => ({ afterMs, act: does });
const exited = (afterMs: number, exitCode: number | null, signal: string | null = null): ScriptStep => ({
  afterMs,
  event: { type: 'exited', exitCode, signal, stderrTail: '' },
});

/** The share of bad agents that cannot do anything: because of a login, a setting, a rate limit or a service. */
const UNABLE = 0.15;

function unable(request: WakeRequest, deps: AgentDeps): RunScript {
  const { inability } = deps;
  const kind = inability.pick(['auth', 'config', 'rate_limited', 'model_unavailable'] as const);
  deps.rare(`agent ${kind}`);
  const wait = inability.is(0.5) ? { retryAfterMs: inability.between(1_000, 120_000) } : {};
  const failed = { type: 'failed', kind, message: 'it can do nothing', retryable: false, beforeWork: inability.is(0.8), ...wait } as const;
  const says = act(inability.between(0, 3_000), () => deps.spoke(request));
  return {
    steps: [...using(request, deps, 5), says, { afterMs: 0, event: { ...failed, phase: 'agent' } }, exited(inability.between(0, 4_000), 1)],
  };
}

/** What it has used so far, as a progress report. */
const using = (request: WakeRequest, deps: AgentDeps, tokens: number): readonly ScriptStep[] => [
  act(0, () => deps.used(request, tokens)),
  { afterMs: 0, event: { type: 'usage', tokensUsed: tokens } },
];

/** It starts, reports a little, and finishes. */
function working(request: WakeRequest, deps: AgentDeps): readonly ScriptStep[] {
  const { chance } = deps;
  const tells = Array.from({ length: chance.between(0, 2) }, () =>
    act(chance.between(100, 8_000), () => deps.write(request, 'progress', '{"percent":50}\n')),
  );
  return [
    ...starting(request, deps),
    ...using(request, deps, 10),
    ...tells,
    ...using(request, deps, 25),
    ...finishing(request, deps, chance.skewed(200, 20_000)),
    exited(chance.between(0, 1_000), 0),
  ];
}

function starting(request: WakeRequest, deps: AgentDeps): readonly ScriptStep[] {
  const { chance } = deps;
  const startMs = chance.skewed(20, 5_000);
  if (chance.is(0.5)) return [{ afterMs: startMs, event: { type: 'started', sessionId: `ses-${request.runId}` } }];
  return [{ afterMs: 5, event: { type: 'woken' } }, act(startMs, () => deps.write(request, 'started', ''))];
}

function finishing(request: WakeRequest, deps: AgentDeps, afterMs: number): readonly ScriptStep[] {
  const marker = `${request.runId} of ${assignmentText(request)}`;
  const text = JSON.stringify({ status: 'success', output: { text: 'done', marker } });
  const whole = act(afterMs, () => {
    deps.write(request, 'json', text);
    deps.spoke(request);
    deps.finished(request, marker);
  });
  return [whole];
}

function badScript(kind: (typeof BAD)[number], request: WakeRequest, deps: AgentDeps): RunScript {
  const { chance } = deps;
  const start = starting(request, deps);
  const laterMs = chance.skewed(100, 60_000);
  const failing = (retryable: boolean): ScriptStep =>
    act(laterMs, () => {
      deps.write(request, 'json', JSON.stringify({ status: 'failed', reason: 'could not', retryable }));
      deps.spoke(request);
    });
  switch (kind) {
    case 'half_written': {
      const half = act(laterMs, () => deps.write(request, 'json', '{"status":"success","outp'));
      return { steps: [...start, half, ...finishing(request, deps, chance.between(100, 1_900)), exited(1_000, 0)] };
    }
    case 'fails':
      return { steps: [...start, failing(true), exited(500, 1)] };
    case 'fails_for_good':
      return { steps: [...start, failing(false), exited(500, 1)] };
    case 'dies':
      return { steps: [...start, exited(laterMs, null, 'SIGKILL')] };
    case 'dies_early':
      return { steps: [exited(chance.between(0, 500), 127)] };
    case 'hangs':
      return { steps: start, endsWithinMs: Infinity };
    case 'never_starts':
      return { steps: [{ afterMs: 10, event: { type: 'woken' } }], endsWithinMs: chance.between(0, 8_000) };
    case 'ignores_stop':
      return { steps: [...start, ...finishing(request, deps, chance.skewed(10_000, 200_000))], endsWithinMs: Infinity };
    case 'survives':
      return { steps: [...start, act(laterMs, () => undefined)], endsWithinMs: Infinity, survivors: [4_242] };
    case 'lingers':
      return { steps: [...start, ...finishing(request, deps, laterMs)], endsWithinMs: chance.between(0, 8_000) };
    case 'garbage':
      return {
        steps: [
          ...start,
          act(laterMs, () => {
            deps.write(request, 'json', 'not json');
            deps.spoke(request);
          }),
          exited(10_000, 0),
        ],
      };
    case 'silent_exit':
      return { steps: [...start, exited(laterMs, 0)] };
  }
}
