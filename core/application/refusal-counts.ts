/** Refusals by reason since the hub started: the log names each kind only now and then, but the counts are complete. */
export interface RefusalCounts {
  /** Counts one refusal. `reason` is one of a few fixed texts, never text from a peer. */
  add(reason: string): void;
  /** The count of each reason. */
  all(): Readonly<Record<string, number>>;
}

export function refusalCounts(): RefusalCounts {
  const counts = new Map<string, number>();
  return {
    add: (reason) => void counts.set(reason, (counts.get(reason) ?? 0) + 1),
    all: () => Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}
