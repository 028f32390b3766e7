/** What `docs/results/planted.json` says about each planted fault. */
import { createHash } from 'node:crypto';
import type { PlantedFault } from './planted-faults.ts';

export interface PlantedOutcome {
  readonly name: string;
  readonly what: string;
  readonly breaks: readonly string[];
  readonly test: string;
  /** Of the fault as it was planted. */
  readonly digest: string;
  readonly found: boolean;
  readonly why: string;
}

export interface PlantedResult {
  readonly found: number;
  readonly of: number;
  readonly faults: readonly PlantedOutcome[];
}

export const digestOf = ({ file, find, replace, test }: PlantedFault): string =>
  createHash('sha256')
    .update(JSON.stringify([file, find, replace, test]))
    .digest('hex')
    .slice(0, 16);
