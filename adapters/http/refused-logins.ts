/** Records wrong tokens and secrets in the audit log: several in one entry, so that guessing adds few entries. */
import type { AuditLog } from '../../core/ports/storage.ts';
import type { HubClock } from '../../core/application/hub/upkeep/hub-clock.ts';
import type { Timer } from '../../core/ports/clock.ts';
import type { Log } from '../../core/ports/log.ts';
import { messageOf } from '../../core/errors/agentcom-error.ts';

/** How long refused logins are counted before one entry records them, milliseconds. */
export const REFUSED_LOGINS_MS = 600_000;
/** The maximum number of addresses that an entry names. */
const ADDRESSES_MAX = 5;

export interface RefusedLogins {
  /** A wrong token or secret came from this address. */
  add(address: string): void;
  /** Stops counting. What has not been recorded yet is lost. Idempotent. */
  close(): void;
}

export function refusedLogins({
  audit,
  clock,
  log,
}: {
  readonly audit: AuditLog;
  readonly clock: HubClock;
  readonly log: Log;
}): RefusedLogins {
  let counted = { fromMs: 0, count: 0, addresses: new Set<string>() };
  let timer: Timer | null = null;

  const record = async (): Promise<void> => {
    const { fromMs, count, addresses } = counted;
    timer = null;
    counted = { fromMs: 0, count: 0, addresses: new Set() };
    const [address = null] = addresses;
    try {
      await audit.append([
        {
          atMs: clock.nowMs(),
          actor: { id: null, name: null, role: 'none' },
          address: addresses.size === 1 ? address : null,
          act: 'session.refuse',
          object: null,
          outcome: 'refused',
          details: { count, from: fromMs, addresses: [...addresses].join(' ') },
        },
      ]);
    } catch (thrown) {
      log.warn('refused logins could not be recorded in the audit log', { count, error: messageOf(thrown) });
    }
  };

  return {
    add(address) {
      if (timer === null) {
        counted.fromMs = clock.nowMs();
        timer = clock.after(REFUSED_LOGINS_MS, () => void record());
      }
      counted.count += 1;
      if (counted.addresses.size < ADDRESSES_MAX) counted.addresses.add(address);
    },
    close() {
      timer?.cancel();
      timer = null;
    },
  };
}
