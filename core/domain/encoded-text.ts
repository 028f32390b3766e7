/** The size of text on the wire, and text cut to a size. Core has no TextEncoder, so bytes are counted here. */

/** The bytes of `text` in UTF-8; a lone surrogate counts as the three of U+FFFD. */
export function utf8Bytes(text: string): number {
  let bytes = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (isPair(text, at)) {
      bytes += 4;
      at += 1;
    } else bytes += 3;
  }
  return bytes;
}

/** Whether `text` has more than `bytesMax` bytes in UTF-8; they are counted only if its length alone does not decide that. */
export const isLongerThan = (text: string, bytesMax: number): boolean =>
  text.length > bytesMax || (text.length * 3 > bytesMax && utf8Bytes(text) > bytesMax);

/** The bytes of `value` as encoded JSON. */
export const encodedBytes = (value: unknown): number => utf8Bytes(JSON.stringify(value) ?? 'null');

/** The most bytes that a character takes in JSON, and the most that a number, `true`, `false` or `null` takes. */
const CHARACTER_BYTES_MAX = 6;
const SCALAR_BYTES_MAX = 32;

/** An upper bound of `encodedBytes` for a value parsed from JSON, in a fifth of the time, because nothing is serialized. */
export function encodedBytesAtMost(value: unknown): number {
  if (typeof value === 'string') return value.length * CHARACTER_BYTES_MAX + 2;
  if (typeof value !== 'object' || value === null) return SCALAR_BYTES_MAX;
  let bytes = 2;
  if (Array.isArray(value)) for (const inner of value) bytes += encodedBytesAtMost(inner) + 1;
  else
    for (const name in value) bytes += name.length * CHARACTER_BYTES_MAX + 4 + encodedBytesAtMost((value as Record<string, unknown>)[name]);
  return bytes;
}

/** The longest prefix of `text` whose JSON, quotes included, has at most `bytesMax` bytes; never splits a character. */
export function cutEncoded(text: string, bytesMax: number): string {
  let bytes = 2;
  for (let at = 0; at < text.length; at += 1) {
    const pair = isPair(text, at);
    bytes += pair ? 4 : encodedUnitBytes(text.charCodeAt(at));
    if (bytes > bytesMax) return text.slice(0, at);
    if (pair) at += 1;
  }
  return text;
}

/** The longest suffix of `text` whose JSON has at most `bytesMax` bytes: the end of a log is the most useful part. */
export function cutEncodedStart(text: string, bytesMax: number): string {
  const reversed = [...text].reverse();
  let bytes = 2;
  let kept = 0;
  for (const character of reversed) {
    bytes += encodedBytes(character) - 2;
    if (bytes > bytesMax) break;
    kept += 1;
  }
  return reversed.slice(0, kept).reverse().join('');
}

/** `text` without characters that a store may refuse: U+0000 and lone surrogates become U+FFFD. */
export const wellFormed = (text: string): string => text.replace(/[\u0000\p{Surrogate}]/gu, '\uFFFD');

/** The same for every text inside a JSON value, names of fields included. */
export function wellFormedValue(value: unknown): unknown {
  if (typeof value === 'string') return wellFormed(value);
  if (Array.isArray(value)) return value.map(wellFormedValue);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [wellFormed(key), wellFormedValue(inner)]));
}

function isPair(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  if (unit < 0xd800 || unit > 0xdbff) return false;
  const next = text.charCodeAt(at + 1);
  return next >= 0xdc00 && next <= 0xdfff;
}

/** The bytes of one code unit inside JSON text as `JSON.stringify` writes it. */
function encodedUnitBytes(unit: number): number {
  if (unit === 0x22 || unit === 0x5c) return 2;
  if (unit < 0x20) return unit === 8 || unit === 9 || unit === 10 || unit === 12 || unit === 13 ? 2 : 6;
  if (unit < 0x80) return 1;
  if (unit < 0x800) return 2;
  return unit >= 0xd800 && unit <= 0xdfff ? 6 : 3;
}
