import type { Target } from './target.ts';

export interface Round {
  readonly target: Target | null;
}
