import { transform } from 'esbuild';

export const shrink = transform;
