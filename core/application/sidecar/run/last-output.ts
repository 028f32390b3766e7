/** Keeps the last output of a run: when it fails, the reason is often found only there. */
import { cutEncodedStart, encodedBytes, wellFormed } from '../../../domain/encoded-text.ts';
import type { Slot } from '../../../domain/assignment/slot.ts';
import { DETAILS_BYTES_MAX, LAST_OUTPUT_BYTES_MAX, LOGGED_STDERR_BYTES_MAX, STDERR_TAIL_BYTES_MAX } from '../state/constants.ts';
import type { Failure } from '../state/failure.ts';
import type { LastOutput, LiveSlot } from '../state/state.ts';
import type { StepContext } from '../state/step-context.ts';

/** Not worth including below this size, bytes of encoded JSON. */
const OUTPUT_BYTES_MIN = 64;

/** Records output that the runner reported. */
export function recordOutput(step: StepContext, slot: Slot, stream: keyof LastOutput, text: unknown): void {
  if (typeof text !== 'string' || text === '') return;
  const { lastOutput } = step.liveSlot(slot);
  const charactersMax = stream === 'stderr' ? STDERR_TAIL_BYTES_MAX : LAST_OUTPUT_BYTES_MAX;
  const end = lastOutput[stream] === '' ? text : `${lastOutput[stream]}\n${text}`;
  step.patchLive(slot, { lastOutput: { ...lastOutput, [stream]: end.slice(-charactersMax) } });
}

/** Adds the run's last output to the failure's details, as far as there is room in them. */
export function withLastOutput(failure: Failure, { end, lastOutput }: LiveSlot): Failure {
  const details = failure.details ?? {};
  let bytesLeft = DETAILS_BYTES_MAX - encodedBytes(details);
  const output: Record<string, string> = {};
  const add = (name: string, text: string, bytesMax: number): void => {
    const bytes = Math.min(bytesMax, bytesLeft - name.length - 8);
    if (name in details || text.trim() === '' || bytes < OUTPUT_BYTES_MIN) return;
    output[name] = cutEncodedStart(wellFormed(text), bytes);
    bytesLeft -= encodedBytes({ [name]: output[name] });
  };
  add('last_output', lastOutput.output, LAST_OUTPUT_BYTES_MAX);
  add('stderr_tail', end === null || end.stderrTail === '' ? lastOutput.stderr : end.stderrTail, STDERR_TAIL_BYTES_MAX);
  return Object.keys(output).length === 0 ? failure : { ...failure, details: { ...details, ...output } };
}

/** The part of a failure's details that is logged. */
export function loggedStderr(details: unknown): Readonly<Record<string, string>> {
  const tail = typeof details === 'object' && details !== null && 'stderr_tail' in details ? details.stderr_tail : undefined;
  return typeof tail === 'string' ? { stderr_tail: cutEncodedStart(tail, LOGGED_STDERR_BYTES_MAX) } : {};
}
