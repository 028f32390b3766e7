/** Makes a report fit a frame. What is left out stays in the assignment's files. */
import { cutEncoded, encodedBytes, utf8Bytes } from '../../domain/encoded-text.ts';
import { JSON_DEPTH_MAX } from '../../protocol/fields.ts';
import { withinDepth } from '../../protocol/frame-reader.ts';
import { OUTPUT_BYTES_MAX } from './bounds.ts';

type Fields = Readonly<Record<string, unknown>>;

export interface FittedResult {
  readonly result: Fields;
  /** Something was cut or left out. */
  readonly isCut: boolean;
}

/** `result` stands one object deep inside its frame. */
const RESULT_DEPTH_MAX = JSON_DEPTH_MAX - 1;
/** Never left out: what the result is, and what tells of the cutting. */
const KEPT_FIELDS = new Set(['status', 'output', 'output_truncated', 'output_bytes', 'output_sha256', 'output_replaced', 'omitted']);
/** Room for the names in `omitted`. */
const OMITTED_BYTES_MAX = 4_096;

/**
 * A result whose JSON has at most `bytesMax` bytes: `output` over its own bound is cut at a character, with its whole
 * size and digest beside it; other fields that are too deep or do not fit, the largest first, are named in `omitted`.
 */
export function fitResult(result: Fields, bytesMax: number, sha256: (text: string) => string): FittedResult {
  const omitted: string[] = [];
  let fields: Fields = withoutFields(result, (name, value) => {
    const isDeep = !withinDepth(value, RESULT_DEPTH_MAX - 1);
    if (isDeep) omitted.push(name);
    return isDeep;
  });
  let isCut = omitted.length > 0;
  if ('output' in fields && encodedBytes(fields['output']) > OUTPUT_BYTES_MAX) {
    fields = cutOutput(fields, OUTPUT_BYTES_MAX, sha256);
    isCut = true;
  }
  if (encodedBytes(fields) > bytesMax - OMITTED_BYTES_MAX) {
    const optional = Object.entries(fields).filter(([name]) => !KEPT_FIELDS.has(name));
    const largestFirst = optional.map(([name, value]) => ({ name, bytes: encodedBytes(value) })).sort((a, b) => b.bytes - a.bytes);
    for (const { name } of largestFirst) {
      if (encodedBytes(fields) <= bytesMax - OMITTED_BYTES_MAX) break;
      fields = withoutFields(fields, (each) => each === name);
      omitted.push(name);
      isCut = true;
    }
  }
  const overBytes = encodedBytes(fields) - (bytesMax - OMITTED_BYTES_MAX);
  if (overBytes > 0 && 'output' in fields) {
    fields = cutOutput(fields, Math.max(2, encodedBytes(fields['output']) - overBytes - OMITTED_BYTES_MAX), sha256);
    isCut = true;
  }
  return { result: omitted.length > 0 ? { ...fields, omitted: namesWithin(omitted, OMITTED_BYTES_MAX) } : fields, isCut };
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

function withoutFields(fields: Fields, isLeftOut: (name: string, value: unknown) => boolean): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name, value]) => !isLeftOut(name, value)));
}

/** As many names as fit; a name that is itself too long is cut. */
function namesWithin(names: readonly string[], bytesMax: number): readonly string[] {
  const within: string[] = [];
  for (const name of names) {
    const next = cutEncoded(name, 256);
    if (encodedBytes([...within, next]) > bytesMax - 64) break;
    within.push(next);
  }
  return within;
}
