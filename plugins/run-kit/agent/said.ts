/** Reads fields of what a program said, where nothing of its shape is certain. */
import type { SaidObject } from '../json-lines.ts';

/** The object in a field; an empty one for anything else. */
export const objectOf = (value: unknown): SaidObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as SaidObject) : {};

/** The text in a field; null for anything else. */
export const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** The count in a field; 0 for anything that is not a whole number from 0 on. */
export const countOf = (value: unknown): number => (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0);

/** The amount in a field; 0 for anything that is not a number from 0 on. */
export const amountOf = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0);

/** The items of a list; none for anything else. */
export const itemsOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? (value as readonly unknown[]) : []);
