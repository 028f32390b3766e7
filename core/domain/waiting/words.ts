/** Lists and durations in the sentences for operators. */

/** Agents, tasks and capabilities that an explanation lists; it counts the rest. */
export const NAMED_MAX = 10;

/** How many characters of an external text, such as an error, an explanation quotes. */
const QUOTED_CHARACTERS_MAX = 200;

/** `a`, `a and b`, `a, b and c`, with a count of the items beyond the bound. */
export function listText(items: readonly string[]): string {
  const shown = items.slice(0, NAMED_MAX);
  const rest = items.length - shown.length;
  const all = rest === 0 ? shown : [...shown, `${rest} more`];
  return all.length < 2 ? (all[0] ?? '') : `${all.slice(0, -1).join(', ')} and ${all.at(-1)}`;
}

/** The first line of a text, shortened. */
export function quoted(text: string): string {
  const [line = ''] = text.trim().split('\n', 1);
  const characters = [...line.slice(0, 2 * QUOTED_CHARACTERS_MAX)];
  return characters.length <= QUOTED_CHARACTERS_MAX ? line : `${characters.slice(0, QUOTED_CHARACTERS_MAX).join('')}…`;
}

const UNITS = [
  { word: 'd', ms: 86_400_000 },
  { word: 'h', ms: 3_600_000 },
  { word: 'min', ms: 60_000 },
  { word: 's', ms: 1_000 },
] as const;

/** A duration in the largest unit of which it has two or more, rounded; below two seconds in milliseconds. */
export function durationText(ms: number): string {
  const unit = UNITS.find((candidate) => ms >= 2 * candidate.ms);
  return unit === undefined ? `${Math.round(ms)} ms` : `${Math.round(ms / unit.ms)} ${unit.word}`;
}
