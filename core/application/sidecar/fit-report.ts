/** Makes a report fit a frame. What is left out stays in the assignment's files. */
import { cutEncoded, encodedBytes, utf8Bytes } from '../../domain/encoded-text.ts';
import { findExcess, JSON_DEPTH_MAX, JSON_VALUES_MAX } from '../../protocol/json-bounds.ts';
import { OUTPUT_BYTES_MAX } from './bounds.ts';

type Fields = Readonly<Record<string, unknown>>;

export interface FittedResult {
  readonly result: Fields;
  /** Something was cut or left out. */
  readonly isCut: boolean;
}

/** `result` stands one object deep inside its frame. */
const RESULT_DEPTH_MAX = JSON_DEPTH_MAX - 1;
/** Values of a result, with room for the other fields of its frame. */
const RESULT_VALUES_MAX = JSON_VALUES_MAX - 1_000;
/** A field with more values than this is left out of a result that holds too many. */
const SMALL_VALUES = 1_000;
/** Never left out: what the result is, and what tells of the cutting. */
const KEPT_FIELDS = new Set(['status', 'output', 'output_truncated', 'output_bytes', 'output_sha256', 'output_replaced', 'omitted']);
/** Room for the names in `omitted`. */
const OMITTED_BYTES_MAX = 4_096;
/** What tells of a cut output. */
const CUT_BYTES_MAX = 256;

/**
 * A result whose JSON has at most `bytesMax` bytes: `output` over its own bound is cut at a character, with its whole
 * size and digest beside it; other fields that are too deep or do not fit, the largest first, are named in `omitted`.
 */
export function fitResult(result: Fields, bytesMax: number, sha256: (text: string) => string): FittedResult {
  const room = bytesMax - OMITTED_BYTES_MAX;
  const omitted = new Set(Object.keys(result).filter((name) => findExcess(result[name], RESULT_DEPTH_MAX - 1, Infinity) !== null));
  let fields = withoutFields(result, omitted);
  if (holdsTooMuch(fields)) {
    // As text it is one value.
    if (typeof fields['output'] === 'object') fields = cutOutput(fields, OUTPUT_BYTES_MAX, sha256);
    for (const name of Object.keys(fields))
      if (!KEPT_FIELDS.has(name) && findExcess(fields[name], Infinity, SMALL_VALUES) !== null) omitted.add(name);
    fields = withoutFields(fields, omitted);
  }
  if (encodedBytes(fields['output']) > OUTPUT_BYTES_MAX) fields = cutOutput(fields, OUTPUT_BYTES_MAX, sha256);
  let overBytes = encodedBytes(fields) - room;
  for (const { name, bytes } of overBytes > 0 ? largestFirst(fields) : []) {
    if (overBytes <= 0) break;
    omitted.add(name);
    overBytes -= bytes;
  }
  fields = withoutFields(fields, omitted);
  if (overBytes > 0 && 'output' in fields) {
    fields = cutOutput(fields, Math.max(2, encodedBytes(fields['output']) - overBytes - CUT_BYTES_MAX), sha256);
  }
  const isCut = fields !== result;
  return { result: omitted.size > 0 ? { ...fields, omitted: namesWithin([...omitted], OMITTED_BYTES_MAX) } : fields, isCut };
}

const holdsTooMuch = (fields: Fields): boolean => findExcess(fields, Infinity, RESULT_VALUES_MAX) !== null;

/** What may be left out, with what each takes in the JSON of the whole. */
function largestFirst(fields: Fields): readonly { readonly name: string; readonly bytes: number }[] {
  const optional = Object.keys(fields).filter((name) => !KEPT_FIELDS.has(name));
  const sized = optional.map((name) => ({ name, bytes: encodedBytes(name) + encodedBytes(fields[name]) + 2 }));
  return sized.sort((a, b) => b.bytes - a.bytes);
}

/** `output` cut to `bytesMax` bytes of JSON. One that is not text is cut as the text of its JSON. */
function cutOutput(fields: Fields, bytesMax: number, sha256: (text: string) => string): Fields {
  const output = fields['output'];
  const text = typeof output === 'string' ? output : JSON.stringify(output);
  const isFirstCut = fields['output_truncated'] !== true;
  return {
    ...fields,
    output: cutEncoded(text, bytesMax),
    output_truncated: true,
    ...(isFirstCut ? { output_bytes: utf8Bytes(text), output_sha256: sha256(text) } : {}),
  };
}

function withoutFields(fields: Fields, names: ReadonlySet<string>): Fields {
  if (names.size === 0) return fields;
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.has(name)));
}

/** As many names as fit; a name that is itself too long is cut. */
function namesWithin(names: readonly string[], bytesMax: number): readonly string[] {
  const within: string[] = [];
  let bytes = 64; // The field's own name and brackets.
  for (const name of names) {
    const next = cutEncoded(name, 256);
    bytes += encodedBytes(next) + 1;
    if (bytes > bytesMax) break;
    within.push(next);
  }
  return within;
}
