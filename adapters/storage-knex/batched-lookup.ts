/** Many look-ups of one row as one read of many rows: what is asked for while a read runs goes into the next. */

interface Asked<Row> {
  readonly found: (row: Row | undefined) => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Answers a look-up by key that calls `look` for up to `keysMax` keys at a time, one read after the other. A look-up is
 * always in a read that began after it. When a read fails, so does each look-up that is in it.
 */
export function gatheredLooks<Row>(
  keysMax: number,
  look: (keys: readonly string[]) => Promise<ReadonlyMap<string, Row>>,
): (key: string) => Promise<Row | undefined> {
  const waiting = new Map<string, Asked<Row>[]>();
  let isLooking = false;

  const lookOnce = async (): Promise<void> => {
    const taken = [...waiting].slice(0, keysMax);
    for (const [key] of taken) waiting.delete(key);
    try {
      const rows = await look(taken.map(([key]) => key));
      for (const [key, asked] of taken) for (const { found } of asked) found(rows.get(key));
    } catch (thrown) {
      for (const [, asked] of taken) for (const { failed } of asked) failed(thrown);
    }
  };
  const lookAtAll = async (): Promise<void> => {
    isLooking = true;
    // One turn of microtasks: what is asked for together is one read.
    await Promise.resolve();
    while (waiting.size > 0) await lookOnce();
    isLooking = false;
  };

  return (key) =>
    new Promise((found, failed) => {
      const asked = waiting.get(key);
      if (asked === undefined) waiting.set(key, [{ found, failed }]);
      else asked.push({ found, failed });
      if (!isLooking) void lookAtAll();
    });
}
