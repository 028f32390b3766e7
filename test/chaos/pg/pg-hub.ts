/** The hub, assembled as usual, on a machine whose clock is off, and with notifications of other hubs that get lost. */
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { TOKENS } from '../../../apps/container-tokens.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { HubNotifier } from '../../../core/ports/hub-notifier.ts';
import { runHubWith } from '../rig/hub-program.ts';

/** How far this hub's clock is off, in milliseconds. */
const offsetMs = Number(process.env['CHAOS_CLOCK_OFFSET_MS'] ?? 0);
/** Which share of the notifications is lost. */
const lostShare = Number(process.env['CHAOS_NOTIFICATIONS_LOST'] ?? 0);
await runHubWith(async (container) => {
  container.rebind(TOKENS.Clock).toConstantValue(clockOff(systemClock(), offsetMs));
  const storage = await container.getAsync(TOKENS.Storage);
  container.rebind(TOKENS.Storage).toConstantValue({ ...storage, notifier: lossy(storage.notifier) });
});

function clockOff(machine: Clock, byMs: number): Clock {
  return {
    nowMs: () => machine.nowMs() + byMs,
    monotonicMs: () => machine.monotonicMs(),
    after: (delayMs, fire) => machine.after(delayMs, fire),
  };
}

function lossy(notifier: HubNotifier): HubNotifier {
  return {
    notify: (hint) => notifier.notify(hint),
    listen: (onHint) => notifier.listen((hint) => (Math.random() < lostShare ? undefined : onHint(hint))),
  };
}
