/**
 * Fits a report into a frame. Of what the agent wrote only `output` is sent; all other fields of a reported result are
 * ours. What is left out stays in the assignment's files.
 */
import { cutEncoded, encodedBytes, utf8Bytes } from '../../../domain/encoded-text.ts';
import { findExcess, JSON_DEPTH_MAX, JSON_VALUES_MAX } from '../../../protocol/json-bounds.ts';
import { OUTPUT_BYTES_MAX } from '../state/constants.ts';
import { isCount } from '../run/run-usage.ts';

type Fields = Readonly<Record<string, unknown>>;

/** A successful result as sent in a frame. */
export interface ReportedResult {
  readonly status: 'success';
  readonly output?: unknown;
  /** Set when the output was truncated, with its full size and digest. */
  readonly output_truncated?: true;
  readonly output_bytes?: number;
  readonly output_sha256?: string;
  /** Characters that cannot be sent were replaced with U+FFFD. */
  readonly output_replaced?: true;
  /** Names of the agent's other fields. */
  readonly omitted?: readonly string[];
}

/** `output` is nested two objects deep in its frame. */
export const OUTPUT_DEPTH_MAX = JSON_DEPTH_MAX - 2;
/** Maximum number of JSON values in an output; leaves some for the rest of the frame. */
export const OUTPUT_VALUES_MAX = JSON_VALUES_MAX - 5_000;
/** The fields of a result file that are read individually. */
const READ_FIELDS = new Set(['status', 'output', 'tokens_used', 'cost_usd']);
/** Bounds on `omitted`, in bytes of encoded JSON: all names together, and each one. */
const OMITTED_BYTES_MAX = 4_096;
const OMITTED_NAME_BYTES_MAX = 256;
/** Reserved for the truncation fields, in bytes of encoded JSON. */
const CUT_BYTES_MAX = 256;
/** Minimum size of a truncated `text`, in bytes of encoded JSON. */
const TEXT_BYTES_MIN = 1_024;
const SHA256_PATTERN = /^[0-9a-f]{64}$/;

/** Builds the reported result from what the agent wrote or its runner parsed. */
export function reportedResult(result: Fields, isReplaced: boolean): ReportedResult {
  const others = Object.keys(result).filter((name) => !READ_FIELDS.has(name));
  if (others.length === 0 && !isReplaced && 'output' in result) return { status: 'success', output: result['output'] };
  const omitted = namesWithin(others, OMITTED_BYTES_MAX);
  return {
    status: 'success',
    ...('output' in result ? { output: result['output'] } : {}),
    ...(isReplaced ? { output_replaced: true } : {}),
    ...(omitted.length > 0 ? { omitted } : {}),
  };
}

/** The same for a stored report; earlier versions copied every field that the agent wrote. */
export function keptResult(kept: unknown): ReportedResult {
  const result = typeof kept === 'object' && kept !== null ? (kept as Fields) : {};
  const { output_truncated, output_bytes, output_sha256, output_replaced, omitted } = result;
  const names = Array.isArray(omitted) ? omitted.filter((name) => typeof name === 'string') : [];
  return {
    status: 'success',
    ...('output' in result ? { output: result['output'] } : {}),
    ...(output_truncated === true ? { output_truncated } : {}),
    ...(isCount(output_bytes) ? { output_bytes } : {}),
    ...(typeof output_sha256 === 'string' && SHA256_PATTERN.test(output_sha256) ? { output_sha256 } : {}),
    ...(output_replaced === true ? { output_replaced } : {}),
    ...(names.length > 0 ? { omitted: namesWithin(names, OMITTED_BYTES_MAX) } : {}),
  };
}

/**
 * Truncates the output so that the result has at most `bytesMax` bytes of JSON, as far as the output alone can achieve
 * that. Cuts at a character boundary and adds the full size and digest.
 */
export function fitResult(result: ReportedResult, bytesMax: number, sha256: (text: string) => string): ReportedResult {
  if (result.output === undefined) return result;
  const { output, ...around } = result;
  const roomBytes = Math.min(OUTPUT_BYTES_MAX, bytesMax - encodedBytes(around) - CUT_BYTES_MAX);
  // Once stringified, it is a single value.
  if (findExcess(output, OUTPUT_DEPTH_MAX, OUTPUT_VALUES_MAX) !== null) return cutOutput(result, roomBytes, sha256);
  return encodedBytes(output) > roomBytes ? cutOutput(result, roomBytes, sha256) : result;
}

/** Truncates `output` to `bytesMax` bytes of JSON: its `text` if it is an object with one, otherwise its JSON text. */
function cutOutput(result: ReportedResult, bytesMax: number, sha256: (text: string) => string): ReportedResult {
  const { output } = result;
  const text = typeof output === 'string' ? output : JSON.stringify(output);
  const isFirstCut = result.output_truncated !== true;
  return {
    ...result,
    output: withCutText(output, bytesMax) ?? cutEncoded(text, Math.max(2, bytesMax)),
    output_truncated: true,
    ...(isFirstCut ? { output_bytes: utf8Bytes(text), output_sha256: sha256(text) } : {}),
  };
}

/** Null if there is no text, or too little of it would remain beside the other fields. */
function withCutText(output: unknown, bytesMax: number): Fields | null {
  if (typeof output !== 'object' || output === null || Array.isArray(output)) return null;
  const { text } = output as Fields;
  if (typeof text !== 'string' || findExcess(output, OUTPUT_DEPTH_MAX, OUTPUT_VALUES_MAX) !== null) return null;
  const textBytes = bytesMax - encodedBytes({ ...output, text: '' }) + 2;
  return textBytes < TEXT_BYTES_MIN ? null : { ...output, text: cutEncoded(text, textBytes) };
}

/** As many names as fit; a name that is too long is truncated. */
function namesWithin(names: readonly string[], bytesMax: number): string[] {
  const within: string[] = [];
  let bytes = 64; // The field's own name and brackets.
  for (const name of names) {
    const next = cutEncoded(name, OMITTED_NAME_BYTES_MAX);
    bytes += encodedBytes(next) + 1;
    if (bytes > bytesMax) break;
    within.push(next);
  }
  return within;
}
