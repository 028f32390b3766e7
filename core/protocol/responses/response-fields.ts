/**
 * The pieces that responses are made of. A hub may send more fields than a schema has: a client ignores those that it does not know.
 * A field that the hub sometimes leaves out is optional here.
 */
import { Type, type TSchema } from 'typebox';

export const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
export const optional = Type.Optional;
export const text = Type.String();
export const texts = Type.Array(text);
export const truth = Type.Boolean();
/** A number that is never negative. */
export const count = Type.Integer({ minimum: 0 });
/** Milliseconds since 1970. */
export const time = Type.Integer({ minimum: 0, description: 'milliseconds since 1970' });
export const cost = Type.Number({ minimum: 0, description: 'US dollars' });
/** Any JSON object. */
export const object = Type.Record(Type.String(), Type.Unknown());
/** Why an agent gets no tasks. */
export const agentWaiting = { kind: text, message: text, since: optional(time), until: optional(time), tasks: optional(texts) };
/** A page of a list. `next_cursor`: for the next page; null: this was the last. */
export const pageOf = <const N extends string, T extends TSchema>(name: N, item: T) =>
  Type.Object({ [name]: Type.Array(item), next_cursor: orNull(text) } as { [K in N]: ReturnType<typeof Type.Array<T>> } & {
    next_cursor: ReturnType<typeof orNull<typeof text>>;
  });
