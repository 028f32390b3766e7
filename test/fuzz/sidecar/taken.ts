/** What a sidecar does with a value that a door let in, judged: nothing that it says, keeps or waits for is without bounds. */
import type { Effect } from '../../../core/application/sidecar/state/effects.ts';
import type { SidecarInput } from '../../../core/application/sidecar/state/inputs.ts';
import { working, type Stage } from '../../core/sidecar/rig/stage.ts';

/** A report with its body, and any other frame, characters of JSON. */
const REPORT_MAX = 1_048_576;
const FRAME_MAX = 262_144;
/** The fields of a line of the log, characters of JSON. */
export const TOLD_MAX = 65_536;

/** Of what is said again and again as the hub's policy wants it, milliseconds. */
const LEAST_MS = 50;
const FROM_POLICY: readonly string[] = ['ping', 'pong', 'lease'];

/** The same sidecar at work, again and again: its state is never changed in place. */
export function atWork(): (event: (stage: Stage) => SidecarInput) => readonly string[] {
  const stage = working();
  const before = stage.state;
  return (event) => {
    stage.state = before;
    stage.all.length = 0;
    return stage.take(event(stage)).flatMap(wrongIn);
  };
}

/** What of an effect must not be. */
export function wrongIn(effect: Effect): readonly string[] {
  switch (effect.type) {
    case 'send': {
      const most = effect.frame.type === 'task_complete' || effect.frame.type === 'task_failed' ? REPORT_MAX : FRAME_MAX;
      return lengthOver(`a frame ${effect.frame.type}`, effect.frame, most);
    }
    case 'writeReport':
      return lengthOver('a report', effect.text, REPORT_MAX);
    case 'log':
      return lengthOver(`the log of "${effect.message}"`, effect.fields, TOLD_MAX);
    case 'startTimer': {
      const { delayMs, timer } = effect;
      // A policy of zeros is no reason to say the same without a rest.
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
