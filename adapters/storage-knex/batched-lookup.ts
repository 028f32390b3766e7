/** Lookups of one row each, run as few reads of many rows: what is asked for while a read runs goes into the next. */

interface PendingLookup<Row> {
  readonly resolve: (row: Row | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Answers a lookup by key that calls `read` for up to `keysMax` keys at a time, one read after the other. A lookup is
 * always in a read that began after it. When a read fails, so does each lookup that is in it.
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
    // One turn of microtasks: what is asked for together is one read.
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
