/** `faultsRun`, spread over processes: statements are failed in the driver, so one process plays one scenario at a time. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { nameOf, pairsOf, type FaultsOptions, type Outcome } from './faults-run.ts';
import type { RequestedPair } from './pair-worker.ts';

const WORKER = fileURLToPath(new URL('./pair-worker.ts', import.meta.url));

/** In the order of the pairs, whatever order they end in. Fails if a process ends before it is released. */
export async function faultsInProcesses(processes: number, options: FaultsOptions): Promise<readonly Outcome[]> {
  const { step = 1, first = 1, onProgress = () => undefined, onOutcome = () => undefined } = options;
  const pairs = pairsOf(options.scenarios, options.kinds);
  const outcomes = new Map<number, Outcome>();
  let next = 0;
  const playSome = async (): Promise<void> => {
    const worker = fork(WORKER);
    const exited = once(worker, 'exit');
    const endedEarly = exited.then(([code, signal]) => {
      throw new Error(`a process that plays scenarios ended with ${String(code ?? signal)}`);
    });
    const play = async (): Promise<void> => {
      for (let at = next++; at < pairs.length; at = next++) {
        const { scenario, kind } = pairs[at] as (typeof pairs)[number]; // below the length
        onProgress(outcomes.size, pairs.length, `${scenario.name}; ${nameOf(kind)}`);
        const request: RequestedPair = { scenario: scenario.name, kind: nameOf(kind), first, step };
        const answered = once(worker, 'message');
        worker.send(request);
        const [outcome] = (await answered) as [Outcome];
        outcomes.set(at, outcome);
        onOutcome(outcome);
      }
      worker.disconnect();
    };
    await Promise.race([play(), endedEarly]);
    await exited;
  };
  await Promise.all(Array.from({ length: processes }, playSome));
  return [...outcomes].sort(([a], [b]) => a - b).map(([, outcome]) => outcome);
}
