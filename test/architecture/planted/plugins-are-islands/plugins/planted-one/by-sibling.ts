import { target } from '../planted-two/target.ts';

export const reach = target;
