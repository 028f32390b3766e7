/** Lookups of single rows, combined into a few reads of many rows: lookups that arrive while a read runs go into the next one. */

interface PendingLookup<Row> {
  readonly resolve: (row: Row | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Returns a lookup by key that calls `read` with up to `keysMax` keys, one read at a time. The read that serves a lookup always begins
 * after the lookup. If a read fails, so does each lookup in it.
 */
export function batchedLookup<Row>(
  keysMax: number,
  read: (keys: readonly string[]) => Promise<ReadonlyMap<string, Row>>,
): (key: string) => Promise<Row | undefined> {
  const pending = new Map<string, PendingLookup<Row>[]>();
  let isReading = false;

  const readOnce = async (): Promise<void> => {
    const batch = [...pending].slice(0, keysMax);
    for (const [key] of batch) pending.delete(key);
    try {
      const rows = await read(batch.map(([key]) => key));
      for (const [key, lookups] of batch) for (const { resolve } of lookups) resolve(rows.get(key));
    } catch (thrown) {
      for (const [, lookups] of batch) for (const { reject } of lookups) reject(thrown);
    }
  };
  const readAll = async (): Promise<void> => {
    isReading = true;
    // Waits for one microtask, so that lookups made together share a read.
    await Promise.resolve();
    while (pending.size > 0) await readOnce();
    isReading = false;
  };

  return (key) =>
    new Promise((resolve, reject) => {
      const lookups = pending.get(key);
      if (lookups === undefined) pending.set(key, [{ resolve, reject }]);
      else lookups.push({ resolve, reject });
      if (!isReading) void readAll();
    });
}
