/** Plays pairs of scenario and fault on request: a process of `npm run faults`, until its parent releases it. */
import { once } from 'node:events';
import { nameOf, pairsOf, withPlayer } from './faults-run.ts';

/** The request, by names; the answer is its `Outcome`. */
export interface RequestedPair {
  readonly scenario: string;
  readonly kind: string;
  readonly first: number;
  readonly step: number;
}

await withPlayer(async (play) => {
  process.on('message', ({ scenario, kind, first, step }: RequestedPair) => {
    const pair = pairsOf().find((one) => one.scenario.name === scenario && nameOf(one.kind) === kind);
    if (pair === undefined) throw new Error(`no such scenario: ${scenario}; ${kind}`);
    void play(pair, { first, step }).then((outcome) => process.send?.(outcome));
  });
  await once(process, 'disconnect');
});
