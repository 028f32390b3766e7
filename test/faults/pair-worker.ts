/** Plays pairs of story and fault as they are asked for: a process of `npm run faults`, until its parent lets go of it. */
import { once } from 'node:events';
import { nameOf, pairsOf, withPlayer } from './faults-run.ts';

/** What is asked for, by names; the answer is its `Outcome`. */
export interface AskedPair {
  readonly scenario: string;
  readonly kind: string;
  readonly first: number;
  readonly step: number;
}

await withPlayer(async (play) => {
  process.on('message', ({ scenario, kind, first, step }: AskedPair) => {
    const pair = pairsOf().find((one) => one.scenario.name === scenario && nameOf(one.kind) === kind);
    if (pair === undefined) throw new Error(`there is no ${scenario}; ${kind}`);
    void play(pair, { first, step }).then((outcome) => process.send?.(outcome));
  });
  await once(process, 'disconnect');
});
