/** What to log about a frame that matches no schema: its content may be anything, of any length. */
import type { FrameParseResult } from '../../../protocol/frame-parser.ts';

/** Maximum length of a logged message type. */
const TYPE_CHARACTERS_MAX = 64;

export function badFrameOf(parsed: Exclude<FrameParseResult<unknown>, { readonly kind: 'frame' }>): Readonly<Record<string, unknown>> {
  const { kind: reason } = parsed;
  if (reason === 'invalid_json') return { reason };
  const errors = reason === 'validation_failed' ? { errors: parsed.errors } : {};
  return { reason, message_type: parsed.messageType?.slice(0, TYPE_CHARACTERS_MAX) ?? null, ...errors };
}
