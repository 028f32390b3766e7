/**
 * Text that others wrote: submitters, agents, models. It is only ever a text node. Characters that cannot be seen, or that change how the
 * text around them is shown, appear as their code; long text is cut, with a way to see all of it.
 */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';

/** Controls, formats (direction overrides, zero width), line separators, private use and blank fillers. Not: tab, line feed. */
const INVISIBLE = /(?![\n\t]|\u200d\p{Extended_Pictographic})[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\u034f\u115f\u1160\u3164\uffa0]/gu;
const CUT_CHARACTERS = 600;
/** Characters of one text that get an element of their own; further ones are shown as their code in brackets. */
export const MARKS_MAX = 200;
const HEX_DIGITS = 4;

const codeOf = (character: string): string => `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(HEX_DIGITS, '0')}`;

/** The same as plain text, for titles and labels. */
export const visibleText = (text: string): string => text.replace(INVISIBLE, (character) => `[${codeOf(character)}]`);

/** The first `max` characters. One that is two units of UTF-16, such as an emoji, is not cut in half: its half would be shown as a code. */
export const startOf = (text: string, max: number): string => text.slice(0, max).replace(/[\ud800-\udbff]$/, '');

/** How many characters of it are shown as their code. */
export const invisibleCount = (text: string): number => text.match(INVISIBLE)?.length ?? 0;

/** The text as nodes: what is invisible in it becomes an element. */
export function marked(text: string): readonly (string | JSX.Element)[] {
  const parts: (string | JSX.Element)[] = [];
  let from = 0;
  let marks = 0;
  for (const match of text.matchAll(INVISIBLE)) {
    if (marks === MARKS_MAX) return [...parts, visibleText(text.slice(from))];
    marks += 1;
    if (match.index > from) parts.push(text.slice(from, match.index));
    const code = codeOf(match[0]);
    parts.push(
      <span class="mark" title={`An invisible character: ${code}`}>
        {code}
      </span>,
    );
    from = match.index + match[0].length;
  }
  if (from < text.length) parts.push(text.slice(from));
  return parts;
}

/** On one line; the rest is cut off by its place. */
export function LineText({ text, max = CUT_CHARACTERS }: { readonly text: string; readonly max?: number }): JSX.Element {
  const line = text.length > max ? `${startOf(text, max)}…` : text;
  return <bdi class="line-text">{marked(line.replace(/\s*\n\s*/g, ' ⏎ '))}</bdi>;
}

/** With its line breaks. */
export function BlockText({ text, max = CUT_CHARACTERS, mono = false, end = false }: BlockTextProps): JSX.Element {
  const [whole, setWhole] = useState(false);
  const isLong = text.length > max;
  const part = end ? lineEnd(text, max) : startOf(text, max);
  return (
    <div class={`block-text${mono ? ' mono' : ''}`}>
      <bdi class={whole ? 'block-text-body whole' : 'block-text-body'} tabIndex={whole ? 0 : undefined}>
        {isLong && !whole && end && '…\n'}
        {marked(isLong && !whole ? part : text)}
        {isLong && !whole && !end && '…'}
      </bdi>
      {isLong && (
        <button type="button" class="link" onClick={() => setWhole(!whole)}>
          {whole ? 'Show less' : `Show all ${text.length.toLocaleString('en')} characters`}
        </button>
      )}
    </div>
  );
}

export interface BlockTextProps {
  readonly text: string;
  /** Characters that are shown at first. */
  readonly max?: number;
  readonly mono?: boolean;
  /** Shows the end of a long text first. */
  readonly end?: boolean;
}

/** The last `max` characters, from the start of a line if one starts there. */
function lineEnd(text: string, max: number): string {
  const end = text.slice(-max).replace(/^[\udc00-\udfff]/, '');
  const from = end.indexOf('\n') + 1;
  return from < end.length ? end.slice(from) : end;
}

/** Any JSON value. */
export function JsonText({ value, max = 4_000 }: { readonly value: unknown; readonly max?: number }): JSX.Element {
  return <BlockText mono max={max} text={JSON.stringify(value, null, 2) ?? 'nothing'} />;
}
