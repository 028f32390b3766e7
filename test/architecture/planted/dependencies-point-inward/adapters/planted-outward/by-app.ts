import { Lifecycle } from '../../apps/lifecycle.ts';

export const mine = Lifecycle;
