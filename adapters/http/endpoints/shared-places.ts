/** The places for requests that stay open, which tokens share. */
import { createPlaces } from '../../../core/domain/place-shares.ts';
import { read, refusal, refused, tooMany, type Read } from '../reply.ts';

export interface SharedPlaces {
  /** Takes a place for this token until the returned function is called. Refuses with 503 if all are taken, with 429 beyond its share. */
  take(tokenId: string): Read<() => void>;
}

/** When a refused token may try again, milliseconds. */
const RETRY_MS = 2_000;

/** `what`: what the places are for, in the plural. */
export function sharedPlaces(max: number, what: string): SharedPlaces {
  const places = createPlaces(max);
  return {
    take(tokenId) {
      const taken = places.take(tokenId);
      if (typeof taken === 'function') return read(taken);
      if (taken.refused === 'full') return refused(refusal('hub_busy', `All ${max} ${what} of the hub are in use.`));
      return refused(
        tooMany(
          `This token has ${taken.own} of the ${max} ${what} of the hub: half of those that others leave free. Close some.`,
          RETRY_MS,
        ),
      );
    },
  };
}
