/** Runs a runner's checks. */
import type { Clock } from '../../../ports/clock.ts';
import type { RunnerCheck, WakeRunner } from '../../../ports/wake-runner.ts';
import { readChecks, errorText } from '../state/runner-events.ts';
import type { StopController } from '../state/ports.ts';

/** Timeout for the checks. */
export const CHECK_WITHIN_MS = 5_000;

/**
 * Never rejects: checks that throw or time out become a failed check. On a timeout the signal is aborted so that
 * whatever the checks started ends too. Empty if the runner has no checks.
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
      resolve(failed(`checks timed out after ${CHECK_WITHIN_MS / 1_000} s: the program hangs, or this machine is overloaded`));
      controller.abort({ reason: 'too late' });
    });
    const finish = (checks: readonly RunnerCheck[]): void => {
      tooLate.cancel();
      resolve(checks);
    };
    check(runner, controller).then(finish, (thrown: unknown) => finish(failed(`checks threw: ${errorText(thrown)}`)));
  });
}

/** Async, so that a synchronous throw is caught too. */
const check = async (runner: WakeRunner, { signal }: StopController): Promise<readonly RunnerCheck[]> =>
  readChecks((await runner.check?.(signal)) ?? []);
