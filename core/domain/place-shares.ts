/** A bounded number of places. One owner may have half of those that the other owners leave free. */

export interface Places {
  /**
   * Takes a place for `owner` until the returned function, which is idempotent, is called. Refused if all are taken (`full`), or if the
   * owner has its share (`owner_full`), which is `own` places.
   */
  take(owner: string): (() => void) | { readonly refused: 'full' | 'owner_full'; readonly own: number };
}

export function createPlaces(max: number): Places {
  /** Only owners that have places. */
  const held = new Map<string, number>();
  let taken = 0;

  const release = (owner: string): void => {
    const left = (held.get(owner) ?? 1) - 1;
    if (left === 0) held.delete(owner);
    else held.set(owner, left);
    taken -= 1;
  };

  return {
    take(owner) {
      const own = held.get(owner) ?? 0;
      if (taken >= max) return { refused: 'full', own };
      if (own >= Math.ceil((max - (taken - own)) / 2)) return { refused: 'owner_full', own };
      held.set(owner, own + 1);
      taken += 1;
      let isOver = false;
      return () => {
        if (!isOver) release(owner);
        isOver = true;
      };
    },
  };
}
