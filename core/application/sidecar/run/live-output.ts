/**
 * Sends what a run prints to the hub while it works. Best effort: output that comes too fast, or cannot be sent, is dropped and counted,
 * and nothing waits for it. A report is sent after all output that came before it; what a program prints after its result is sent when it exits.
 */
import type { AssignmentId, Slot } from '../../../domain/assignment/slot.ts';
import { cutEncodedStart, encodedBytes, wellFormed } from '../../../domain/encoded-text.ts';
import type { OutputStream } from '../../../domain/assignment/output-stream.ts';
import { OUTPUT_EVERY_MS, OUTPUT_HELD } from '../state/constants.ts';
import { frameIds, type HeldOutput } from '../state/state.ts';
import type { StepContext } from '../state/step-context.ts';

/** The size of a frame without its text, bytes. */
const FRAME_HEAD_BYTES = 512;

/** Takes a piece of output, and sends it unless some was sent a moment ago. */
export function streamOutput(step: StepContext, slot: Slot, stream: OutputStream, text: unknown, dropped = 0): void {
  if (typeof text !== 'string' || text === '') return;
  const before = step.liveSlot(slot).heldOutput;
  const held = withPiece({ ...before, dropped: before.dropped + dropped }, stream, text);
  step.patchLive(slot, { heldOutput: held });
  if (!held.isThrottled && slot.status !== 'reporting') flushOutput(step, slot);
}

/** Also runs while the hub is not connected: what is held is bounded. */
export function onOutputTimer(step: StepContext, assignment: AssignmentId): void {
  const slot = step.slot(assignment);
  if (slot === undefined) return;
  if (step.liveSlot(slot).heldOutput.pieces.length > 0) flushOutput(step, slot);
  else step.patchLive(slot, { heldOutput: { ...step.liveSlot(slot).heldOutput, isThrottled: false } });
}

/** Sends what is held, if the link is identified. */
export function flushOutput(step: StepContext, slot: Slot): void {
  const held = step.liveSlot(slot).heldOutput;
  if (held.pieces.length === 0) return;
  const isThere = step.state.link.phase === 'identified';
  if (isThere) sendPieces(step, slot, held);
  const next = isThere ? { pieces: [], dropped: 0, seq: held.seq + held.pieces.length } : held;
  step.patchLive(slot, { heldOutput: { ...next, isThrottled: true } });
  if (slot.status !== 'reporting') step.startTimerOf(slot, 'output', OUTPUT_EVERY_MS);
}

function sendPieces(step: StepContext, slot: Slot, { pieces, dropped, seq }: HeldOutput): void {
  const bytesMax = step.state.link.policy.max_frame_bytes - FRAME_HEAD_BYTES;
  for (const [index, { stream, text }] of pieces.entries()) {
    const whole = wellFormed(text);
    const sent = encodedBytes(whole) > bytesMax ? cutEncodedStart(whole, bytesMax) : whole;
    const lost = whole.length - sent.length + (index === 0 ? dropped : 0);
    step.send({ type: 'task_output', ...frameIds(slot), seq: seq + index, stream, text: sent, ...(lost > 0 ? { dropped: lost } : {}) });
  }
}

/** Adds a piece; if it is too much, the oldest text is dropped. */
function withPiece(held: HeldOutput, stream: OutputStream, text: string): HeldOutput {
  const last = held.pieces.at(-1);
  const isSame = last?.stream === stream;
  const pieces = [...(isSame ? held.pieces.slice(0, -1) : held.pieces), { stream, text: isSame ? `${last.text}\n${text}` : text }];
  let over = pieces.reduce((sum, piece) => sum + piece.text.length, 0) - OUTPUT_HELD.charactersMax;
  let { dropped } = held;
  for (let first = pieces[0]; first !== undefined && (over > 0 || pieces.length > OUTPUT_HELD.piecesMax); first = pieces[0]) {
    const cut = pieces.length > OUTPUT_HELD.piecesMax ? first.text.length : Math.min(over, first.text.length);
    if (cut === first.text.length) pieces.shift();
    else pieces[0] = { ...first, text: first.text.slice(cut) };
    over -= cut;
    dropped += cut;
  }
  return { ...held, pieces, dropped };
}
