import type { Round } from './round.ts';

export interface Target {
  readonly round: Round | null;
}
