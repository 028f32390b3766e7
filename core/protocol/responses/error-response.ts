/** The response to a refused request. */
import { Type } from 'typebox';
import { HTTP_ERRORS, type HttpErrorCode } from '../http-errors.ts';
import { count, optional, text } from './response-fields.ts';

export const errorSchema = Type.Object({
  error: Type.Enum(Object.keys(HTTP_ERRORS) as [HttpErrorCode, ...HttpErrorCode[]]),
  message: text,
  details: optional(Type.Array(Type.Object({ line: optional(count), field: text, error: text, detail: optional(text) }))),
  generation: optional(count),
  agent_id: optional(text),
});
