/** Judges what a sidecar does with an accepted value: everything that it sends, stores or waits for is bounded. */
import type { Effect } from '../../../core/application/sidecar/state/effects.ts';
import type { SidecarInput } from '../../../core/application/sidecar/state/inputs.ts';
import { working, type Stage } from '../../core/sidecar/rig/stage.ts';

/** A report with its body, and any other frame, in characters of JSON. */
const REPORT_MAX = 1_048_576;
const FRAME_MAX = 262_144;
/** The fields of a log line, in characters of JSON; also the text of a refusal. */
export const LOGGED_MAX = 65_536;

/** Intervals of what is repeated as the hub's policy wants it, in milliseconds. */
const LEAST_MS = 50;
const FROM_POLICY: readonly string[] = ['ping', 'pong', 'lease'];

/** The same busy sidecar, again and again: its state is never changed in place. */
export function atWork(): (event: (stage: Stage) => SidecarInput) => readonly string[] {
  const stage = working();
  const before = stage.state;
  return (event) => {
    stage.state = before;
    stage.all.length = 0;
    return stage.take(event(stage)).flatMap(wrongIn);
  };
}

/** The violations of an effect. */
export function wrongIn(effect: Effect): readonly string[] {
  switch (effect.type) {
    case 'send': {
      const most = effect.frame.type === 'task_complete' || effect.frame.type === 'task_failed' ? REPORT_MAX : FRAME_MAX;
      return lengthOver(`a frame ${effect.frame.type}`, effect.frame, most);
    }
    case 'writeReport':
      return lengthOver('a report', effect.text, REPORT_MAX);
    case 'log':
      return lengthOver(`the log of "${effect.message}"`, effect.fields, LOGGED_MAX);
    case 'startTimer': {
      const { delayMs, timer } = effect;
      // A policy of zeros is no reason to repeat the same without a pause.
      const leastMs = FROM_POLICY.includes(timer.purpose) ? LEAST_MS : 0;
      return Number.isFinite(delayMs) && delayMs >= leastMs ? [] : [`a timer ${timer.purpose} of ${delayMs} ms`];
    }
    default:
      return [];
  }
}

function lengthOver(what: string, value: unknown, most: number): readonly string[] {
  const { length } = JSON.stringify(value) ?? '';
  return length <= most ? [] : [`${what} has ${length} characters, over ${most}`];
}
