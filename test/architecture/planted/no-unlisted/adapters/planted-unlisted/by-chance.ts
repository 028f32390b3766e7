import { Pool } from 'tarn';

export const shrink = Pool;
