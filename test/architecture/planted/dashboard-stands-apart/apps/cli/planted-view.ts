import { href } from '../dashboard/hub/routing.ts';

export const home = href([]);
