import type { Logger } from 'pino';

export type Line = Parameters<Logger['info']>;
