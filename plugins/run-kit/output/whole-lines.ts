/** Joins the pieces in which a model's text arrives into whole lines: a secret that is split between two pieces could not be redacted. */

/** Text to show now, and text held back until the rest of its line arrives. */
export interface SplitText {
  /** Whole lines, without the last newline; may be empty. */
  readonly whole: string;
  readonly held: string;
}

/** How much text may be held back, characters. A longer line is cut at its last blank. */
export const HELD_CHARACTERS_MAX = 4_096;

/** Adds a piece to the text held back. */
export function withPiece(held: string, piece: string): SplitText {
  const text = held + piece;
  const end = text.lastIndexOf('\n');
  const rest = text.slice(end + 1);
  const whole = text.slice(0, Math.max(0, end));
  if (rest.length <= HELD_CHARACTERS_MAX) return { whole, held: rest };
  const cut = /\s\S*$/.exec(rest)?.index ?? rest.length;
  return { whole: `${end === -1 ? '' : `${whole}\n`}${rest.slice(0, cut)}`, held: rest.slice(cut) };
}
