/**
 * Bounds the details of an event. Histories are read in pages and streamed to every subscriber, so an event must not carry a
 * whole result or log.
 */
import type { TaskEvent } from './event.ts';
import { cutEncoded, encodedBytes, utf8Bytes } from '../encoded-text.ts';

/** The details of one event as JSON, bytes of UTF-8. */
export const EVENT_DETAILS_BYTES_MAX = 16_384;

/** A field of at most this many bytes stays whole when details are cut: reasons, kinds, numbers. */
const SMALL_FIELD_BYTES = 1_024;
/** Reserved for the `truncated` field. */
const MARK_BYTES = 2_048;
/** How many cut fields `truncated` names, and with how many characters each. */
const NAMED_MAX = 16;
const NAME_CHARACTERS_MAX = 64;

type Details = Readonly<Record<string, unknown>>;

/**
 * Details that fit are returned unchanged. Larger ones keep their small fields; large texts share the remaining space, each cut
 * at its end, and other large values are left out. `truncated` then describes the original: `{bytes, sha256, fields}`, where
 * `fields` names what was cut or left out.
 */
export function boundedDetails(details: Details | null, sha256: (text: string) => string): Details | null {
  if (details === null || roomAfter(details, EVENT_DETAILS_BYTES_MAX) >= 0) return details;
  const text = JSON.stringify(details);
  const bytes = utf8Bytes(text);
  if (bytes <= EVENT_DETAILS_BYTES_MAX) return details;
  const kept: Record<string, unknown> = {};
  const large: [name: string, value: unknown][] = [];
  let room = EVENT_DETAILS_BYTES_MAX - MARK_BYTES;
  for (const [name, value] of Object.entries(details)) {
    const size = encodedBytes(name) + 2 + encodedBytes(value);
    if (size > SMALL_FIELD_BYTES || size > room) {
      large.push([name, value]);
      continue;
    }
    kept[name] = value;
    room -= size;
  }
  const texts = large.filter(([, value]) => typeof value === 'string');
  for (const [name, value] of texts) {
    const share = Math.floor(room / texts.length) - encodedBytes(name) - 2;
    if (share > SMALL_FIELD_BYTES) kept[name] = cutEncoded(value as string, share);
  }
  const fields = large.slice(0, NAMED_MAX).map(([name]) => [...name].slice(0, NAME_CHARACTERS_MAX).join(''));
  return { ...kept, truncated: { bytes, sha256: sha256(text), fields } };
}

/** The event with bounded details. */
export function withBoundedDetails(event: TaskEvent, sha256: (text: string) => string): TaskEvent {
  const details = boundedDetails(event.details, sha256);
  return details === event.details ? event : { ...event, details };
}

/**
 * What is left of `room` bytes after an upper bound for `value`: a negative result means that it may be too large. Nearly all
 * details are small, and this avoids serializing them. Nesting costs extra, so that the recursion ends long before the stack does.
 */
function roomAfter(value: unknown, room: number): number {
  if (room < 0) return room;
  if (typeof value === 'string') return room - 2 - value.length * 6;
  if (typeof value !== 'object' || value === null) return room - 25;
  let left = room - 16;
  if (Array.isArray(value)) {
    for (const inner of value) if ((left = roomAfter(inner, left - 1)) < 0) return left;
    return left;
  }
  const object = value as Readonly<Record<string, unknown>>;
  for (const name in object) if ((left = roomAfter(object[name], left - 4 - name.length * 6)) < 0) return left;
  return left;
}
