/** What to log about a frame that matches no schema; its content may be anything of any length. */
import type { ReadFrame } from '../../../protocol/frame-reader.ts';

/** Maximum length of a logged message type. */
const NAME_CHARACTERS_MAX = 64;

export function badFrameOf(read: Exclude<ReadFrame<unknown>, { readonly kind: 'frame' }>): Readonly<Record<string, unknown>> {
  const { kind: reason } = read;
  if (reason === 'invalid_json') return { reason };
  const errors = reason === 'validation_failed' ? { errors: read.errors } : {};
  return { reason, message_type: read.messageType?.slice(0, NAME_CHARACTERS_MAX) ?? null, ...errors };
}
