/** Runners whose events are valid but far too large: megabytes of text, tens of thousands of names. */
import type { RunScript, ScriptedEvent, ScriptStep } from '../../product/twins/runner-scripted/scripted-runner.ts';
import type { RunUsage, WakeRequest } from '../../../core/ports/wake-runner.ts';
import type { AgentDeps } from './simulated-agents.ts';
import type { Chance } from '../seeded-chance.ts';

const CHARACTERS = 2_097_152;
const NAMES = 40_000;
/** Each takes six bytes as JSON, or four in UTF-8. */
const GROWS = '\u0001\u{1f600}';

const long = 'w'.repeat(CHARACTERS);
const growing = GROWS.repeat(CHARACTERS / 4);
const wide = (value: unknown): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Array.from({ length: NAMES }, (_, n) => [`name-${n}`, value]));

type Word = { readonly kind: string; readonly event: () => ScriptedEvent };

const USED = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, costUsd: 0 };
const WHILE: readonly Word[] = [
  { kind: 'message', event: () => ({ type: 'progress', percent: 50, message: growing }) },
  { kind: 'output', event: () => ({ type: 'output', stream: 'stderr', text: long }) },
  { kind: 'usage', event: () => ({ type: 'usage', byModel: wide(USED) as NonNullable<RunUsage['byModel']> }) },
];
const FAILED = { type: 'failed', phase: 'agent', retryable: true } as const;
const LAST: readonly Word[] = [
  { kind: 'result', event: () => ({ type: 'completed', output: { text: long } }) },
  { kind: 'wide result', event: () => ({ type: 'completed', output: wide(1) }) },
  { kind: 'error', event: () => ({ ...FAILED, message: growing }) },
  { kind: 'details', event: () => ({ ...FAILED, message: 'it could not', details: { growing, ...wide(long.slice(0, 8)) } }) },
  { kind: 'standard error', event: () => ({ type: 'exited', exitCode: 1, signal: null, stderrTail: growing }) },
];

/** The script of a wake whose runner reports too much; null: another script. */
export function hugeScript(
  request: WakeRequest,
  deps: Pick<AgentDeps, 'rare' | 'spoke'> & { readonly huge: Chance; readonly hugeWords: () => number },
): RunScript | null {
  const { huge } = deps;
  const share = deps.hugeWords();
  if (share === 0 || !huge.is(share)) return null;
  const [first, last] = [huge.pick(WHILE), huge.pick(LAST)];
  for (const { kind } of [first, last]) deps.rare(`agent output too large: ${kind}`);
  const over: ScriptStep = { afterMs: huge.between(0, 3_000), event: { type: 'exited', exitCode: 0, signal: null, stderrTail: '' } };
  return {
    steps: [
      { afterMs: huge.skewed(20, 3_000), event: { type: 'started' } },
      { afterMs: huge.between(0, 3_000), event: first.event() },
      { afterMs: huge.between(0, 3_000), act: () => deps.spoke(request) },
      { afterMs: 0, event: last.event() },
      over,
    ],
    endsWithinMs: huge.between(0, 8_000),
  };
}
