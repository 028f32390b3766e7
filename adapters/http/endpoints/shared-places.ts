/** A bounded number of places for requests that stay open. One token may have half of those that the other tokens leave free. */
import { read, refusal, refused, tooMany, type Read } from '../reply.ts';

export interface SharedPlaces {
  /** Takes a place for this token until the returned function is called. Refuses with 503 if all are taken, with 429 beyond its share. */
  take(tokenId: string): Read<() => void>;
}

/** When a refused token may try again, milliseconds. */
const RETRY_MS = 2_000;

/** `what`: what the places are for, in the plural. */
export function sharedPlaces(max: number, what: string): SharedPlaces {
  const held = new Map<string, number>();
  let taken = 0;

  const release = (tokenId: string): void => {
    const left = (held.get(tokenId) ?? 1) - 1;
    if (left === 0) held.delete(tokenId);
    else held.set(tokenId, left);
    taken -= 1;
  };

  return {
    take(tokenId) {
      if (taken >= max) return refused(refusal('hub_busy', `All ${max} ${what} of the hub are in use.`));
      const own = held.get(tokenId) ?? 0;
      const share = Math.ceil((max - (taken - own)) / 2);
      if (own >= share) {
        return refused(
          tooMany(`This token has ${own} of the ${max} ${what} of the hub: half of those that others leave free. Close some.`, RETRY_MS),
        );
      }
      held.set(tokenId, own + 1);
      taken += 1;
      let isOver = false;
      return read(() => {
        if (!isOver) release(tokenId);
        isOver = true;
      });
    },
  };
}
