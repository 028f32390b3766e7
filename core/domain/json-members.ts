/** How many values JSON text may contain, and a check before it is parsed. */

/** Elements of arrays and members of objects together, in one frame or body: about 10 bytes each in a frame of 1 MiB. */
export const JSON_VALUES_MAX = 100_000;
/** A member of an object counts as this many: its name takes longer to parse than an array element. */
export const VALUES_PER_MEMBER = 5;
/** The most members that a value within the bounds can have. */
const MEMBERS_MAX = JSON_VALUES_MAX / VALUES_PER_MEMBER;
/** Shorter text cannot have more members: each needs a name, a colon, a value and a comma. Characters. */
const MEMBERS_TEXT_MIN = MEMBERS_MAX * 5;

/**
 * Whether JSON text has more members than a value within the bounds can have. Parsing an object with many names takes far longer
 * than counting them. Meaningless for text that is not JSON.
 */
export function hasTooManyMembers(text: string): boolean {
  return text.length >= MEMBERS_TEXT_MIN && hasMoreOf(':', text, MEMBERS_MAX);
}

/** Whether JSON text has more than `most` of this character outside of strings. */
export function hasMoreOf(character: ':' | ',', text: string, most: number): boolean {
  // Few texts contain so many of them, even counting those in strings, and `indexOf` is many times faster than a loop over all characters.
  if (!occursMoreOften(character, text, most)) return false;
  const wanted = character.charCodeAt(0);
  let found = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) at = endOfString(text, at);
    else if (unit === wanted && (found += 1) > most) return true;
  }
  return false;
}

function occursMoreOften(character: string, text: string, most: number): boolean {
  let found = 0;
  for (let at = text.indexOf(character); at !== -1; at = text.indexOf(character, at + 1)) if ((found += 1) > most) return true;
  return false;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Where the string that begins at this quote ends. */
function endOfString(text: string, from: number): number {
  for (let end = text.indexOf('"', from + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}
