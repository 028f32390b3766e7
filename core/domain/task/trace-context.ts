/**
 * The trace that a task belongs to, by W3C Trace Context (https://www.w3.org/TR/trace-context/). It is passed on from the submit to the
 * agent; no decision depends on it.
 */

/** As in the headers of these names. Both are absent without a valid `traceparent`. */
export interface TraceContext {
  readonly traceparent?: string;
  readonly tracestate?: string;
}

/** A longer list is dropped; the standard asks for at least 512. */
export const TRACESTATE_CHARACTERS_MAX = 512;
/** A longer header is ignored. */
const HEADER_CHARACTERS_MAX = 4_096;
const TRACESTATE_MEMBERS_MAX = 32;

/** Version, trace ID, parent ID, flags. A later version may have more after these. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const INVALID_VERSION = 'ff';
const ZEROS = /^0+$/;
const SAMPLED = 1;
/** `key=value`, where a key may be `tenant@system`. */
const MEMBER =
  /^([a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** From headers or variables. Invalid values are ignored, as the standard requires: they are never a reason to refuse a task. */
export function traceContextOf(parent: string | undefined, state: string | undefined): TraceContext {
  const traceparent = parent === undefined ? null : validParent(parent);
  if (traceparent === null) return {};
  const tracestate = state === undefined ? null : validState(state);
  return tracestate === null ? { traceparent } : { traceparent, tracestate };
}

/** In the form of version 00, the only one that is known here; null if it is invalid. */
function validParent(header: string): string | null {
  if (header.length > HEADER_CHARACTERS_MAX) return null;
  const [, version = '', traceId = '', parentId = '', flags = '', more] = TRACEPARENT.exec(header) ?? [];
  if (version === '' || version === INVALID_VERSION || ZEROS.test(traceId) || ZEROS.test(parentId)) return null;
  if (version === '00') return more === undefined ? header : null;
  return `00-${traceId}-${parentId}-0${Number.parseInt(flags, 16) & SAMPLED}`;
}

/** Without empty members; null if it is invalid, empty or too long. */
function validState(header: string): string | null {
  if (header.length > HEADER_CHARACTERS_MAX) return null;
  const members = header
    .split(',')
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter((member) => member !== '');
  const keys = new Set(members.map((member) => MEMBER.exec(member)?.[1]));
  if (keys.has(undefined) || keys.size < members.length || members.length > TRACESTATE_MEMBERS_MAX) return null;
  const list = members.join(',');
  return list === '' || list.length > TRACESTATE_CHARACTERS_MAX ? null : list;
}
