import type { Clock } from '../ports/clock.ts';

export const isLate = (clock: Clock, dueAtMs: number): boolean => clock.nowMs() > dueAtMs;
