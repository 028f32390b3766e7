/**
 * Makes a report fit a frame. Of what an agent wrote only its `output` goes on; every other word of a reported result is
 * ours. What is left out stays in the assignment's files.
 */
import { cutEncoded, encodedBytes, utf8Bytes } from '../../../domain/encoded-text.ts';
import { findExcess, JSON_DEPTH_MAX, JSON_VALUES_MAX } from '../../../protocol/json-bounds.ts';
import { OUTPUT_BYTES_MAX } from '../state/bounds.ts';
import { isCount } from '../run/run-usage.ts';

type Fields = Readonly<Record<string, unknown>>;

/** A finished result as a frame has it. */
export interface ReportedResult {
  readonly status: 'success';
  readonly output?: unknown;
  /** What tells of an output that was cut. */
  readonly output_truncated?: true;
  readonly output_bytes?: number;
  readonly output_sha256?: string;
  /** Characters of it that cannot be sent became U+FFFD. */
  readonly output_replaced?: true;
  /** Names of the agent's other fields. */
  readonly omitted?: readonly string[];
}

/** `output` stands two objects deep inside its frame. */
const OUTPUT_DEPTH_MAX = JSON_DEPTH_MAX - 2;
/** Values of an output, with room for the other fields of its frame. */
const OUTPUT_VALUES_MAX = JSON_VALUES_MAX - 5_000;
/** Of the agent's fields those that are read by themselves. */
const READ_FIELDS = new Set(['status', 'output', 'tokens_used', 'cost_usd']);
/** The names in `omitted`, bytes of encoded JSON, together and each. */
const OMITTED_BYTES_MAX = 4_096;
const OMITTED_NAME_BYTES_MAX = 256;
/** What tells of a cut output, bytes of encoded JSON. */
const CUT_BYTES_MAX = 256;
/** What must be left of a cut `text`, bytes of encoded JSON. */
const TEXT_BYTES_MIN = 1_024;
const SHA256_PATTERN = /^[0-9a-f]{64}$/;

/** What is reported of a result that an agent wrote, or its runner heard. */
export function reportedResult(said: Fields, isReplaced: boolean): ReportedResult {
  const omitted = namesWithin(
    Object.keys(said).filter((name) => !READ_FIELDS.has(name)),
    OMITTED_BYTES_MAX,
  );
  return {
    status: 'success',
    ...('output' in said ? { output: said['output'] } : {}),
    ...(isReplaced ? { output_replaced: true } : {}),
    ...(omitted.length > 0 ? { omitted } : {}),
  };
}

/** The same of a report that was kept, perhaps by an earlier version, which took over all that the agent wrote. */
export function keptResult(kept: unknown): ReportedResult {
  const said = typeof kept === 'object' && kept !== null ? (kept as Fields) : {};
  const { output_truncated, output_bytes, output_sha256, output_replaced, omitted } = said;
  const names = Array.isArray(omitted) ? omitted.filter((name) => typeof name === 'string') : [];
  return {
    status: 'success',
    ...('output' in said ? { output: said['output'] } : {}),
    ...(output_truncated === true ? { output_truncated } : {}),
    ...(isCount(output_bytes) ? { output_bytes } : {}),
    ...(typeof output_sha256 === 'string' && SHA256_PATTERN.test(output_sha256) ? { output_sha256 } : {}),
    ...(output_replaced === true ? { output_replaced } : {}),
    ...(names.length > 0 ? { omitted: namesWithin(names, OMITTED_BYTES_MAX) } : {}),
  };
}

/**
 * The result with at most `bytesMax` bytes of JSON, as far as cutting its output can do that: one over its own bound is cut
 * at a character, with its whole size and digest beside it.
 */
export function fitResult(result: ReportedResult, bytesMax: number, sha256: (text: string) => string): ReportedResult {
  if (result.output === undefined) return result;
  const { output, ...around } = result;
  const roomBytes = Math.min(OUTPUT_BYTES_MAX, bytesMax - encodedBytes(around) - CUT_BYTES_MAX);
  // As text it is one value.
  if (findExcess(output, OUTPUT_DEPTH_MAX, OUTPUT_VALUES_MAX) !== null) return cutOutput(result, roomBytes, sha256);
  return encodedBytes(output) > roomBytes ? cutOutput(result, roomBytes, sha256) : result;
}

/** `output` cut to `bytesMax` bytes of JSON: its `text` where it is an object that has one. Anything else that is not text is cut as the text of its JSON. */
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

/** Null: it has no text, or too little of it would be left beside its other fields. */
function withCutText(output: unknown, bytesMax: number): Fields | null {
  if (typeof output !== 'object' || output === null || Array.isArray(output)) return null;
  const { text } = output as Fields;
  if (typeof text !== 'string' || findExcess(output, OUTPUT_DEPTH_MAX, OUTPUT_VALUES_MAX) !== null) return null;
  const textBytes = bytesMax - encodedBytes({ ...output, text: '' }) + 2;
  return textBytes < TEXT_BYTES_MIN ? null : { ...output, text: cutEncoded(text, textBytes) };
}

/** As many names as fit; a name that is itself too long is cut. */
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
