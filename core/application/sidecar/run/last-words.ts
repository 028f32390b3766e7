/** What a run said last, kept for the case that it fails: its reason often stands there alone. */
import { cutEncodedStart, encodedBytes, wellFormed } from '../../../domain/encoded-text.ts';
import type { Slot } from '../../../domain/assignment/slot.ts';
import { DETAILS_BYTES_MAX, LAST_OUTPUT_BYTES_MAX, LOGGED_STDERR_BYTES_MAX, STDERR_TAIL_BYTES_MAX } from '../state/bounds.ts';
import type { Failure } from '../state/failure.ts';
import type { LastWords, LiveSlot } from '../state/state.ts';
import type { Turn } from '../state/step-context.ts';

/** Less of it is of no use: bytes of encoded JSON. */
const WORDS_BYTES_MIN = 64;

/** A text that its runner heard. */
export function hear(turn: Turn, slot: Slot, stream: keyof LastWords, text: unknown): void {
  if (typeof text !== 'string' || text === '') return;
  const { heard } = turn.live(slot);
  const charactersMax = stream === 'stderr' ? STDERR_TAIL_BYTES_MAX : LAST_OUTPUT_BYTES_MAX;
  const end = heard[stream] === '' ? text : `${heard[stream]}\n${text}`;
  turn.patchLive(slot, { heard: { ...heard, [stream]: end.slice(-charactersMax) } });
}

/** The failure with what the run said last in its details, as far as there is room beside what its runner says there. */
export function withLastWords(failure: Failure, { end, heard }: LiveSlot): Failure {
  const told = failure.details ?? {};
  let room = DETAILS_BYTES_MAX - encodedBytes(told);
  const words: Record<string, string> = {};
  const add = (name: string, text: string, bytesMax: number): void => {
    const bytes = Math.min(bytesMax, room - name.length - 8);
    if (name in told || text.trim() === '' || bytes < WORDS_BYTES_MIN) return;
    words[name] = cutEncodedStart(wellFormed(text), bytes);
    room -= encodedBytes({ [name]: words[name] });
  };
  add('last_output', heard.output, LAST_OUTPUT_BYTES_MAX);
  add('stderr_tail', end === null || end.stderrTail === '' ? heard.stderr : end.stderrTail, STDERR_TAIL_BYTES_MAX);
  return Object.keys(words).length === 0 ? failure : { ...failure, details: { ...told, ...words } };
}

/** Of the details of a failure what a line of the log has. */
export function loggedWords(details: unknown): Readonly<Record<string, string>> {
  const tail = typeof details === 'object' && details !== null && 'stderr_tail' in details ? details.stderr_tail : undefined;
  return typeof tail === 'string' ? { stderr_tail: cutEncodedStart(tail, LOGGED_STDERR_BYTES_MAX) } : {};
}
