/** Limits the bytes of request bodies in memory: in total, and for each sender. */
export interface BodyBudgetRules {
  /** In total. */
  readonly bytesMax: number;
  /** For each owner. */
  readonly ownerBytesMax: number;
  /** What each owner may hold even if others have used up the total, so that one sender cannot lock out the others. */
  readonly grantedBytes: number;
}

export interface BodyBudget {
  /** Reserves bytes for `owner`, a token or an address, until they are released. Only `reserved` reserves anything. */
  reserve(owner: string, bytes: number): 'reserved' | 'owner_full' | 'full';
  release(owner: string, bytes: number): void;
}

/** Remembers only owners with reserved bytes. */
export function bodyBudget({ bytesMax, ownerBytesMax, grantedBytes }: BodyBudgetRules): BodyBudget {
  const held = new Map<string, number>();
  let total = 0;
  return {
    reserve(owner, bytes) {
      const own = (held.get(owner) ?? 0) + bytes;
      if (own > ownerBytesMax) return 'owner_full';
      if (total + bytes > bytesMax && own > grantedBytes) return 'full';
      held.set(owner, own);
      total += bytes;
      return 'reserved';
    },
    release(owner, bytes) {
      const left = (held.get(owner) ?? 0) - bytes;
      if (left > 0) held.set(owner, left);
      else held.delete(owner);
      total -= bytes;
    },
  };
}
