import { Lifecycle } from '../lifecycle.ts';

export const mine = Lifecycle;
