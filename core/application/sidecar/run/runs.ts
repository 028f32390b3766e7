/** The streams of the runner: each is followed to its end, and what it tells becomes inputs. */
import { messageOf } from '../../../errors/agentcom-error.ts';
import { nameOf } from '../../../domain/assignment/slot.ts';
import type { AdoptedRun, WakeEvent, WakeRequest, WakeRunner } from '../../../ports/wake-runner.ts';
import { readWakeEvent, thrownText } from '../state/runner-events.ts';
import type { StopReason } from '../state/effects.ts';
import type { Event } from '../state/inputs.ts';
import type { SidecarPorts, StopController } from '../state/ports.ts';

export interface Runs {
  wake(request: WakeRequest): void;
  attach(run: AdoptedRun, stop: StopReason | null): void;
  kill(runId: string, reason: StopReason): void;
  /** Stops listening; the runs go on. */
  leave(): void;
}

interface Followed {
  readonly controller: StopController;
  readonly iterator: AsyncIterator<WakeEvent>;
}

/** `deliver` answers when an event was taken: a run that tells more than can be taken waits. */
export function followRuns(
  { runner, stopController, log }: Pick<SidecarPorts, 'runner' | 'stopController' | 'log'>,
  deliver: (event: Event) => Promise<void>,
): Runs {
  const followed = new Map<string, Followed>();

  const follow = (run: WakeRequest, begin: (runner: WakeRunner, controller: StopController) => AsyncIterable<WakeEvent>): void => {
    const about = { name: nameOf(run), runId: run.runId };
    const over = (error: string | null): void => {
      followed.delete(run.runId);
      void deliver({ type: 'run_over', ...about, error });
    };
    if (runner === undefined) return over('there is no wake runner in the config');
    const controller = stopController();
    const listen = async (): Promise<void> => {
      const iterator = begin(runner, controller)[Symbol.asyncIterator]();
      followed.set(run.runId, { controller, iterator });
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
        const heard = readWakeEvent(next.value);
        await deliver(
          heard.kind === 'event' ? { type: 'wake', ...about, event: heard.event } : { ...heard, type: 'wake_refused', ...about },
        );
      }
    };
    listen().then(
      () => over(null),
      (thrown: unknown) => over(thrownText(thrown)),
    );
  };

  return {
    wake: (request) => follow(request, (by, controller) => by.wake(request, controller.signal)),
    attach: (run, stop) =>
      follow(run, (by, controller) => {
        if (stop !== null) controller.abort(stop);
        return by.attach(run, controller.signal);
      }),
    kill: (runId, reason) => followed.get(runId)?.controller.abort(reason),
    leave() {
      for (const [runId, { iterator }] of followed) {
        iterator
          .return?.()
          .catch((thrown: unknown) => log.warn('a runner did not let go of a run', { run_id: runId, error: messageOf(thrown) }));
      }
      followed.clear();
    },
  };
}
