/** Reads fields of parsed output, whose shape is never certain. */
import type { JsonObject } from '../output/json-lines.ts';

/** The object in a field; an empty one for anything else. */
export const objectOf = (value: unknown): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};

/** The text in a field; null for anything else. */
export const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/**
 * A value as text: strings as they are, anything else as JSON. Template literals cannot be trusted with a program's
 * objects.
 */
export function asText(value: unknown): string {
  try {
    return textOf(value) ?? JSON.stringify(value) ?? 'nothing';
  } catch (error) {
    if (error instanceof RangeError) return 'a value that is nested too deeply';
    throw error;
  }
}

/** The count in a field; 0 for anything but a non-negative integer. */
export const countOf = (value: unknown): number => (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0);

/** The amount in a field; 0 for anything but a non-negative number. */
export const amountOf = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0);

/** The items of a list; none for anything else. */
export const itemsOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? (value as readonly unknown[]) : []);

/** Maximum length of a message that an agent sends in pieces, characters: four times what a report accepts. */
export const MESSAGE_CHARACTERS_MAX = 1_048_576;

/** Appends a piece to a message, within the bound. */
export const appendPiece = (message: string, piece: string): string => message + piece.slice(0, MESSAGE_CHARACTERS_MAX - message.length);

/** The message as it appears in an output, marked if it is truncated. */
export const messageFields = (text: string): { readonly text_truncated?: true; readonly text: string } =>
  text.length < MESSAGE_CHARACTERS_MAX ? { text } : { text_truncated: true, text };
