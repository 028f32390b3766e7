/** Joins the pieces in which a model's text arrives into whole lines: a secret that is split between two pieces could not be redacted. */

/** Text that is shown now, and text that waits for the rest of its line. */
export interface SplitText {
  /** Whole lines, without the last newline; may be empty. */
  readonly whole: string;
  readonly held: string;
}

/** What may wait. A longer line is cut after its last blank, characters. */
export const HELD_CHARACTERS_MAX = 4_096;

/** Adds a piece to the text that waits. */
export function withPiece(held: string, piece: string): SplitText {
  const text = held + piece;
  const end = text.lastIndexOf('\n');
  const rest = text.slice(end + 1);
  const whole = text.slice(0, Math.max(0, end));
  if (rest.length <= HELD_CHARACTERS_MAX) return { whole, held: rest };
  const cut = /\s\S*$/.exec(rest)?.index ?? rest.length;
  return { whole: `${end === -1 ? '' : `${whole}\n`}${rest.slice(0, cut)}`, held: rest.slice(cut) };
}
