import { readFileSync } from 'node:fs';

export const peek = (file: string): string => readFileSync(file, 'utf8');
