/** Repeatable randomness: the same numbers for the same seed, on every machine. */

/** Returns the next 32 random bits as a whole number from 0 to 2^32 - 1. */
export type RandomBits = () => number;

/**
 * sfc32 of PractRand (Chris Doty-Humphrey): 128 bits of state, good enough for tests and fast; not for secrets. Its
 * state is filled from the seed's characters by xmur3, and the first 12 numbers are discarded, as its author advises.
 */
export const seededRandom = (seed: string): RandomBits => {
  const fill = xmur3(seed);
  let a = fill();
  let b = fill();
  let c = fill();
  let counter = 1;

  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return sum >>> 0;
  };
  for (let warmUp = 0; warmUp < 12; warmUp += 1) next();
  return next;
};

/** A text hash that yields 32-bit numbers without end, named after its author's page (bryc, "PRNGs"). */
const xmur3 = (text: string): RandomBits => {
  let hash = 1_779_033_703 ^ text.length;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 3_432_918_353);
    hash = (hash << 13) | (hash >>> 19);
  }
  return () => {
    hash = Math.imul(hash ^ (hash >>> 16), 2_246_822_507);
    hash = Math.imul(hash ^ (hash >>> 13), 3_266_489_909);
    hash ^= hash >>> 16;
    return hash >>> 0;
  };
};
