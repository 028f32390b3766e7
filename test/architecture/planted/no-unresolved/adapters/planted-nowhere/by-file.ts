import { nothing } from './no-such-file.ts';

export const reach = nothing;
