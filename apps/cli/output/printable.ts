/** Makes untrusted text safe for a terminal. */

/** C0 and C1 control characters, bidirectional marks and invisible line breaks. */
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\u001b': '\\e' };

/** One line, with control characters escaped as `\n`, `\e`, `\x07` or `\u202e`. */
export const printable = (text: string): string => text.replace(UNPRINTABLE, (character) => NAMED[character] ?? codeOf(character));

/** Like `printable`, but line feeds stay and tabs become two spaces. */
export const printableLines = (text: string): string =>
  text
    .split('\n')
    .map((line) => printable(line.replaceAll('\t', '  ').replace(/\r$/, '')))
    .join('\n');

/** JSON on one line; also escapes control characters that JSON itself leaves as they are. */
export const printableJson = (value: unknown): string =>
  JSON.stringify(value).replace(UNPRINTABLE, (character) => unicodeEscape(character));

/** At most `characters`, with an ellipsis if something was cut. */
export function shortened(text: string, characters: number): string {
  const points = [...text];
  return points.length <= characters ? text : `${points.slice(0, Math.max(0, characters - 1)).join('')}…`;
}

const codeOf = (character: string): string => {
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : unicodeEscape(character);
};
const unicodeEscape = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
