/** Bytes of request bodies in hand: over all requests, and for each of those who send them. */
export interface BodyBudgetRules {
  /** Over all requests. */
  readonly bytesMax: number;
  /** For one owner. */
  readonly ownerBytesMax: number;
  /** What an owner may hold even when others have taken everything: an honest request is never behind somebody else's. */
  readonly grantedBytes: number;
}

export interface BodyBudget {
  /** Counts bytes of `owner`, a token or an address, to be given back later; anything but `taken` has counted nothing. */
  take(owner: string, bytes: number): 'taken' | 'owner_full' | 'full';
  giveBack(owner: string, bytes: number): void;
}

/** Remembers only owners that hold something now. */
export function bodyBudget({ bytesMax, ownerBytesMax, grantedBytes }: BodyBudgetRules): BodyBudget {
  const held = new Map<string, number>();
  let total = 0;
  return {
    take(owner, bytes) {
      const own = (held.get(owner) ?? 0) + bytes;
      if (own > ownerBytesMax) return 'owner_full';
      if (total + bytes > bytesMax && own > grantedBytes) return 'full';
      held.set(owner, own);
      total += bytes;
      return 'taken';
    },
    giveBack(owner, bytes) {
      const left = (held.get(owner) ?? 0) - bytes;
      if (left > 0) held.set(owner, left);
      else held.delete(owner);
      total -= bytes;
    },
  };
}
