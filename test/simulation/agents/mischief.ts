/** Agents and runners that misbehave: poisoned results, invalid events, streams that break. */
import type { RunScript, ScriptStep } from '../../product/twins/runner-scripted/scripted-runner.ts';
import { assignmentText } from '../../../core/ports/assignment-name.ts';
import type { WakeEvent, WakeRequest } from '../../../core/ports/wake-runner.ts';
import type { AgentDeps } from './simulated-agents.ts';
import type { Chance } from '../seeded-chance.ts';

/** The share of bad agents that are mischievous. */
const MISCHIEVOUS = 0.25;
/** Deeper than any stack here goes. */
const DEEP = 20_000;
/** More than a result may hold. */
const NAMES = 25_000;
const LONG_CHARACTERS = 100_000;

const deepText = `${'['.repeat(DEEP)}${']'.repeat(DEEP)}`;
const wide = JSON.stringify(Object.fromEntries(Array.from({ length: NAMES }, (_, n) => [`n${n}`, n])));

/** Results that no real agent writes. `marker`: it counts as a result all the same. */
const POISON: readonly ((marker: string) => { readonly text: string; readonly counts: boolean })[] = [
  () => ({ text: `{"status":"success","output":${deepText}}`, counts: false }),
  () => ({ text: `{"status":"success","output":${wide}}`, counts: false }),
  () => ({ text: `{"status":"success","output":1e999,"__proto__":{"status":"failed"}}\n{}`, counts: false }),
  () => ({ text: '[{"status":"success"}]', counts: false }),
  () => ({ text: '{"status":["success"]}', counts: false }),
  (marker) => ({
    text: JSON.stringify({
      status: 'success',
      output: { text: '\u0000\ud800', marker },
      output_sha256: 'x'.repeat(LONG_CHARACTERS),
      omitted: 'y'.repeat(LONG_CHARACTERS),
      output_bytes: -1,
      generation: 99,
      constructor: { prototype: null },
    }),
    counts: true,
  }),
];

/** A new one each time: a cycle cannot be shared with code that may write into it. */
const ODD: readonly (() => unknown)[] = [
  () => null,
  () => 'exited',
  () => ({ type: 'nonsense' }),
  () => ({ type: 'exited' }),
  () => ({ type: 'failed', phase: 'agent' }),
  () => ({ type: 'spawned', process: { pid: 'x' } }),
  () => ({ type: 'completed', output: 10n }),
  () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    return { type: 'completed', output: cycle };
  },
  () => ({ type: 'completed', output: JSON.parse(`${'['.repeat(40)}${']'.repeat(40)}`) as unknown }),
  () => ({ type: 'usage', tokensUsed: -1, byModel: { m: null } }),
  () => ({ type: 'progress', percent: Number.NaN, message: { toString: null } }),
  () => ({
    type: 'failed',
    phase: 'agent',
    retryable: true,
    get message(): string {
      throw new Error('planned: an event that throws when it is read');
    },
  }),
];

/** By run: after how many events its stream breaks, or what it reports in place of `ODD_WORD`. */
export type Breaking = Map<string, { readonly breaksAfter: number; broke: boolean } | { readonly says: unknown }>;

/** The scripts of runs hold valid events only: the runner of the fleet inserts the odd one. */
const ODD_WORD = 'an invalid event';
export const isOddWord = (event: WakeEvent): boolean => event.type === 'output' && event.text === ODD_WORD;

export interface MischiefDeps extends Omit<AgentDeps, 'inability'> {
  /** A random stream of its own, so that stored worlds do not change. */
  readonly mischief: Chance;
  readonly breaking: Breaking;
}

/** The script of a wake that goes wrong in such a way; null: another script. */
export function mischiefScript(request: WakeRequest, deps: MischiefDeps): RunScript | null {
  const { mischief } = deps;
  if (!mischief.is(deps.faults().badAgents * MISCHIEVOUS)) return null;
  const kind = mischief.pick(['poison', 'odd', 'breaks'] as const);
  deps.rare(`agent misbehaves: ${kind}`);
  const marker = `${request.runId} of ${assignmentText(request)}`;
  const start: ScriptStep = { afterMs: mischief.skewed(20, 3_000), event: { type: 'started' } };
  const laterMs = mischief.skewed(100, 20_000);
  const over: ScriptStep = { afterMs: mischief.between(0, 5_000), event: { type: 'exited', exitCode: 0, signal: null, stderrTail: '' } };
  const write = (afterMs: number, { text, counts }: { readonly text: string; readonly counts: boolean }): ScriptStep => ({
    afterMs,
    act: () => {
      deps.write(request, 'json', text);
      deps.spoke(request);
      // With its runner broken the run has failed, and its agent is about to be stopped: a result that late is not
      // expected.
      const wrong = deps.breaking.get(request.runId);
      const isLate = wrong !== undefined && 'broke' in wrong && wrong.broke;
      if (counts && !isLate) deps.finished(request, marker);
    },
  });
  const whole = { text: JSON.stringify({ status: 'success', output: { marker } }), counts: true };
  const endsWithinMs = mischief.between(0, 8_000);
  switch (kind) {
    case 'poison':
      return { steps: [start, write(laterMs, mischief.pick(POISON)(marker)), over], endsWithinMs };
    case 'odd': {
      const event = mischief.pick(ODD)();
      deps.breaking.set(request.runId, { says: event });
      const odd: ScriptStep = { afterMs: mischief.between(0, 2_000), event: { type: 'output', stream: 'stdout', text: ODD_WORD } };
      if (!isLastWord(event)) return { steps: [start, odd, write(laterMs, whole), over], endsWithinMs };
      const says: ScriptStep = { afterMs: 0, act: () => deps.spoke(request) };
      return { steps: [start, says, { ...odd, afterMs: 0 }, over], endsWithinMs };
    }
    case 'breaks':
      deps.breaking.set(request.runId, { breaksAfter: mischief.between(0, 3), broke: false });
      return { steps: [start, write(laterMs, whole), over], endsWithinMs };
  }
}

/** Whether it reports that the agent is done, however oddly: then nothing more is expected of it. */
function isLastWord(event: unknown): boolean {
  if (typeof event !== 'object' || event === null || !('type' in event)) return false;
  return event.type === 'completed' || event.type === 'failed' || event.type === 'exited';
}
