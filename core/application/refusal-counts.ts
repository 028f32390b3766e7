/** How often what was refused, since the hub started: the log says each kind once in a while, the counts say how many. */
export interface RefusalCounts {
  /** Counts one refusal. `reason` is one of a few words of ours, never text of a peer. */
  add(reason: string): void;
  /** Every reason that there was, with how often. */
  all(): Readonly<Record<string, number>>;
}

export function refusalCounts(): RefusalCounts {
  const counts = new Map<string, number>();
  return {
    add: (reason) => void counts.set(reason, (counts.get(reason) ?? 0) + 1),
    all: () => Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}
