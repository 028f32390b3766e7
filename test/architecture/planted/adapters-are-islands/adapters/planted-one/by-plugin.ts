import { target } from '../../plugins/planted-for-adapter/target.ts';

export const reach = target;
