/** Follows the runner's event streams to their end and turns events into inputs. */
import { messageOf } from '../../../errors/agentcom-error.ts';
import { assignmentIdOf } from '../../../domain/assignment/slot.ts';
import { RenewedMap } from '../../../domain/renewed-map.ts';
import { checkedStep, type AdoptedRun, type WakeEvent, type WakeRequest, type WakeRunner } from '../../../ports/wake-runner.ts';
import { readWakeEvent, errorText } from '../state/runner-events.ts';
import type { AbortReason } from '../state/effects.ts';
import type { SidecarInput } from '../state/inputs.ts';
import type { SidecarPorts, StopController } from '../state/ports.ts';

export interface Runs {
  wake(request: WakeRequest): void;
  attach(run: AdoptedRun, stop: AbortReason | null): void;
  kill(runId: string, reason: AbortReason): void;
  /** Resolves once the runs that are followed now have ended. */
  over(): Promise<void>;
  /** Stops following; the runs continue. */
  detach(): void;
}

interface Followed {
  readonly runId: string;
  readonly controller: StopController;
  readonly iterator: AsyncIterator<WakeEvent>;
}

/** `take` calls `done` when an event has been processed, which puts backpressure on a chatty run. */
export function followRuns(
  { runner, stopController, log }: Pick<SidecarPorts, 'runner' | 'stopController' | 'log'>,
  take: (input: SidecarInput, done?: () => void) => void,
): Runs {
  /** Not by id: a new id is hashed for each run, but few runs are looked up. */
  const followed = new RenewedMap<object, Followed>();
  /** Called once nothing is followed. */
  let onAllOver: (() => void) | null = null;
  const notifyIfAllOver = (): void => {
    if (followed.isEmpty) onAllOver?.();
  };

  const follow = (run: WakeRequest, begin: (runner: WakeRunner, controller: StopController) => AsyncIterable<WakeEvent>): void => {
    const about = { assignment: assignmentIdOf(run), runId: run.runId };
    const onOver = (error: string | null): void => {
      followed.delete(about);
      if (onAllOver !== null) notifyIfAllOver();
      take({ type: 'wake_stream_ended', ...about, error });
    };
    if (runner === undefined) return onOver('no wake runner is configured');
    const controller = stopController();
    const listen = async (): Promise<void> => {
      const iterator = begin(runner, controller)[Symbol.asyncIterator]();
      followed.set(about, { runId: run.runId, controller, iterator });
      let isBroken = false;
      for (let next = checkedStep(await iterator.next()); next.done !== true; next = checkedStep(await iterator.next())) {
        const parsed = readWakeEvent(next.value);
        // The first has ended the attempt; the others would only fill the log.
        if (parsed.kind === 'invalid' && isBroken) continue;
        isBroken ||= parsed.kind === 'invalid';
        if (parsed.kind === 'event' && parsed.ignored !== undefined)
          log.warn('ignored invalid fields of the failure of a run', { run_id: run.runId, fields: parsed.ignored });
        const input: SidecarInput =
          parsed.kind === 'event'
            ? { type: 'wake_event', assignment: about.assignment, runId: about.runId, event: parsed.event }
            : { ...parsed, type: 'invalid_wake_event', ...about };
        await new Promise<void>((done) => take(input, done));
      }
    };
    listen().then(
      () => onOver(null),
      (thrown: unknown) => {
        // For the author of the runner: all that follows only passes on the message.
        log.debug('what the wake runner threw', { run_id: run.runId, error: thrown });
        onOver(errorText(thrown));
      },
    );
  };

  return {
    wake: (request) => follow(request, (by, controller) => by.wake(request, controller.signal)),
    attach: (run, stop) =>
      follow(run, (by, controller) => {
        if (stop !== null) controller.abort(stop);
        return by.attach(run, controller.signal);
      }),
    kill(runId, reason) {
      for (const each of followed.values()) if (each.runId === runId) each.controller.abort(reason);
    },
    over: () =>
      new Promise((resolve) => {
        onAllOver = resolve;
        notifyIfAllOver();
      }),
    detach() {
      for (const { runId, iterator } of followed.values()) {
        // Written by hand, it may throw or return something that is not a promise.
        (async () => iterator.return?.())().catch((thrown: unknown) =>
          log.warn('a runner did not stop following a run', { run_id: runId, error: messageOf(thrown) }),
        );
      }
      followed.clear();
    },
  };
}
