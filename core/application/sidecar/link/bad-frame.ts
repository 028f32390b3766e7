/** What the log says of a frame that no schema takes: a hub that is not understood may say anything, at any length. */
import type { ReadFrame } from '../../../protocol/frame-reader.ts';

/** Of a word of the hub, in the log. */
const WORD_CHARACTERS_MAX = 64;

export function badFrameOf(read: Exclude<ReadFrame<unknown>, { readonly kind: 'frame' }>): Readonly<Record<string, unknown>> {
  const { kind: reason } = read;
  if (reason === 'invalid_json') return { reason };
  const errors = reason === 'validation_failed' ? { errors: read.errors } : {};
  return { reason, message_type: read.messageType?.slice(0, WORD_CHARACTERS_MAX) ?? null, ...errors };
}
