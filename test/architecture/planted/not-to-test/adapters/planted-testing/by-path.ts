import { target } from '../../test/planted-testing/target.ts';

export const reach = target;
