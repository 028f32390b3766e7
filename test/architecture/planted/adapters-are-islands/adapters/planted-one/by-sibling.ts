import type { Target } from '../planted-two/target.ts';

export type Reach = Target;
