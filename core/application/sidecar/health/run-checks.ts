/** Asks a runner whether its agent could run now. */
import type { Clock } from '../../../ports/clock.ts';
import type { RunnerCheck, WakeRunner } from '../../../ports/wake-runner.ts';
import { readChecks, thrownText } from '../state/runner-events.ts';
import type { StopController } from '../state/ports.ts';

/** What one look may take, milliseconds. */
export const CHECK_WITHIN_MS = 5_000;

/**
 * Never fails: a look that throws, or is not over in time, is a check that fails. Then its signal is aborted, so that what
 * it started ends too. None when the runner has nothing to look at.
 */
export async function runChecks(
  runner: WakeRunner,
  { clock, stopController }: { readonly clock: Clock; readonly stopController: () => StopController },
): Promise<readonly RunnerCheck[]> {
  if (runner.check === undefined) return [];
  const controller = stopController();
  const failed = (message: string): readonly RunnerCheck[] => [{ check: 'runner', ok: false, message }];
  return new Promise((resolve) => {
    const tooLate = clock.after(CHECK_WITHIN_MS, () => {
      resolve(failed(`its checks were not over after ${CHECK_WITHIN_MS / 1_000} s: its program hangs, or this machine is overloaded`));
      controller.abort({ reason: 'too late' });
    });
    const over = (checks: readonly RunnerCheck[]): void => {
      tooLate.cancel();
      resolve(checks);
    };
    look(runner, controller).then(over, (thrown: unknown) => over(failed(`its checks broke: ${thrownText(thrown)}`)));
  });
}

/** Also what a runner throws before it answers is its failure. */
const look = async (runner: WakeRunner, { signal }: StopController): Promise<readonly RunnerCheck[]> =>
  readChecks((await runner.check?.(signal)) ?? []);
