/**
 * Many tasks that take each step together: all are assigned, then all are accepted, then all are completed; each step
 * is timed separately.
 */
import { lightSidecars, type LightSidecarsPlan } from './light-sidecars.ts';
import { gate } from '../../rig/gate.ts';

export interface StepsPlan extends Omit<LightSidecarsPlan, 'atOnce'> {
  /** At least this many tasks wait, and the sidecars have as many slots in total. */
  readonly count: number;
}

/** Each returns how long it took, in seconds. */
export interface Steps {
  accept(): Promise<number>;
  /** The last step. */
  complete(): Promise<number>;
}

/** Connects, and resolves when as many tasks as there are slots were assigned. */
export async function assignAll({ count, ...plan }: StepsPlan): Promise<{ readonly seconds: number; readonly steps: Steps }> {
  let fail: (error: Error) => void = () => undefined;
  const failure = new Promise<never>((_, reject) => (fail = reject));
  void Promise.allSettled([failure]);
  const [assigned, accepted, completed] = [countTo(count), countTo(count), countTo(count)];
  const [accepting, completing] = [gate(), gate()];
  const timed = async (work: () => unknown, done: Promise<void>): Promise<number> => {
    const beganMs = performance.now();
    work();
    await Promise.race([done, failure]);
    return (performance.now() - beganMs) / 1_000;
  };

  const events = {
    onAssigned: assigned.one,
    onAccepted: accepted.one,
    onCompleted: completed.one,
    onFailure: fail,
    beforeAccepting: accepting.opened,
    beforeCompleting: completing.opened,
  };
  const connecting = lightSidecars({ ...plan, atOnce: false }, events);
  const seconds = await timed(() => connecting, assigned.all);
  const sidecars = await connecting;
  return {
    seconds,
    steps: {
      accept: () => timed(accepting.open, accepted.all),
      async complete() {
        sidecars.drain();
        const taken = await timed(completing.open, completed.all);
        await sidecars.close();
        return taken;
      },
    },
  };
}

function countTo(count: number): { readonly one: () => void; readonly all: Promise<void> } {
  const { opened: all, open: onAll } = gate();
  let seen = 0;
  return { all, one: () => void ((seen += 1) === count && onAll()) };
}
