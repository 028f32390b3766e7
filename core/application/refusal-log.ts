/** Logs refusals and repeated failures, throttled so that a flood of them does not flood the log, wherever it comes from. */
import { fullBucket, takeOne, type BucketRule } from '../domain/token-bucket.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log, LogFields } from '../ports/log.ts';

/** At most one line of each kind and address in this time, milliseconds. */
const QUIET_MS = 10_000;
/** Lines of one address, of all kinds together. */
const LINES_OF_ADDRESS: BucketRule = { burst: 50, perSecond: 1 };
/** Lines of all addresses: an attacker may have many. */
const LINES: BucketRule = { burst: 200, perSecond: 10 };
/** How many pairs of kind and address, and how many addresses, are remembered. */
const REMEMBERED_MAX = 1_000;

/**
 * Logs one refusal. `kind` is one of a few fixed texts, never text from a peer; `fields.address`, if there is one, is the peer. The first
 * of a kind and address is logged at once, later ones at most once in 10 s, with how many there were since the previous line
 * (`also_since_last_line`). Beyond a burst of 50 lines and then one a second for each address, or of 200 lines and then ten a second in
 * total, refusals are only counted, and the next line says how many (`not_logged`).
 */
export type NoteRefusal = (kind: string, message: string, fields: LogFields) => void;

export function refusalLog(
  { log, clock }: { readonly log: Log; readonly clock: Pick<Clock, 'monotonicMs'> },
  level: 'warn' | 'error' = 'warn',
): NoteRefusal {
  /** The least recently logged first, like `addresses`. */
  const seen = new Map<string, { readonly quietUntilMs: number; suppressed: number }>();
  const addresses = new Map<string, ReturnType<typeof fullBucket>>();
  let all = fullBucket(LINES, clock.monotonicMs());
  let notLogged = 0;

  /** Whether one more line is allowed, for the address and in total. */
  const takeLine = (address: unknown, nowMs: number): boolean => {
    if (typeof address === 'string') {
      const own = takeOne(addresses.get(address) ?? fullBucket(LINES_OF_ADDRESS, nowMs), LINES_OF_ADDRESS, nowMs);
      putLast(addresses, address, own.bucket);
      if (!own.taken) return false;
    }
    const total = takeOne(all, LINES, nowMs);
    all = total.bucket;
    return total.taken;
  };

  return (kind, message, fields) => {
    const nowMs = clock.monotonicMs();
    const key = typeof fields['address'] === 'string' ? `${kind} ${fields['address']}` : kind;
    const past = seen.get(key);
    if (past !== undefined && nowMs < past.quietUntilMs) {
      past.suppressed += 1;
      return;
    }
    if (!takeLine(fields['address'], nowMs)) {
      notLogged += 1;
      return;
    }
    const forgotten = putLast(seen, key, { quietUntilMs: nowMs + QUIET_MS, suppressed: 0 });
    notLogged += forgotten?.suppressed ?? 0;
    const suppressed = past?.suppressed ?? 0;
    log[level](message, {
      ...fields,
      ...(suppressed === 0 ? {} : { also_since_last_line: suppressed }),
      ...(notLogged === 0 ? {} : { not_logged: notLogged }),
    });
    notLogged = 0;
  };
}

/** Puts the value last, and returns the value evicted for it: the first one, if there are too many. */
function putLast<T>(map: Map<string, T>, key: string, value: T): T | undefined {
  map.delete(key);
  map.set(key, value);
  const [first] = map;
  if (map.size <= REMEMBERED_MAX || first === undefined) return undefined;
  map.delete(first[0]);
  return first[1];
}
