/** Reads fields of what a program said, where nothing of its shape is certain. */
import type { SaidObject } from '../output/json-lines.ts';

/** The object in a field; an empty one for anything else. */
export const objectOf = (value: unknown): SaidObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as SaidObject) : {};

/** The text in a field; null for anything else. */
export const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** A value in words: the text itself, or JSON of anything else. What a program said is an object that may not become a text. */
export const inWords = (value: unknown): string => textOf(value) ?? JSON.stringify(value) ?? 'nothing';

/** The count in a field; 0 for anything that is not a whole number from 0 on. */
export const countOf = (value: unknown): number => (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0);

/** The amount in a field; 0 for anything that is not a number from 0 on. */
export const amountOf = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0);

/** The items of a list; none for anything else. */
export const itemsOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? (value as readonly unknown[]) : []);

/** What is kept of a message that an agent says in pieces, characters: four times what a report takes of it. */
export const MESSAGE_CHARACTERS_MAX = 1_048_576;

/** A message with its next piece; what is over the bound is left out. */
export const withPiece = (message: string, piece: string): string => message + piece.slice(0, MESSAGE_CHARACTERS_MAX - message.length);

/** A message as an output has it, which says so when it is not whole. */
export const messageFields = (text: string): { readonly text_truncated?: true; readonly text: string } =>
  text.length < MESSAGE_CHARACTERS_MAX ? { text } : { text_truncated: true, text };
