import { target } from '../../adapters/planted-for-core/target.ts';

export const reach = target;
