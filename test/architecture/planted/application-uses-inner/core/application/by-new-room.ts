import { target } from '../planted-room/target.ts';

export const reach = target;
