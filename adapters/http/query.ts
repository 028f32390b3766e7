/** Reads query strings by their schema, and the limit of a page. */
import type { Static, TSchema } from 'typebox';
import { bodyReader } from '../../core/protocol/body-reader.ts';
import { isStorableText } from '../../core/protocol/json-text.ts';
import { PAGE_DEFAULT } from '../../core/protocol/http-queries.ts';
import { invalid, read, refused, type Read, type Reply } from './reply.ts';

/** A reader for queries of this schema. It refuses repeated parameters. */
export function queryReader<S extends TSchema & { readonly properties: Readonly<Record<string, TSchema>> }>(
  schema: S,
): (query: URLSearchParams) => Read<Static<S>> {
  const reader = bodyReader(schema, 'parameters');
  return (query) => {
    const given: Record<string, string> = Object.create(null) as Record<string, string>;
    for (const [name, value] of query) {
      if (name in given) return refused(invalid([{ field: name, error: 'repeated', detail: 'must not be repeated' }]));
      if (!isStorableText(value)) return refused(invalid([{ field: name, error: 'text', detail: 'must not contain U+0000' }]));
      given[name] = value;
    }
    const result = reader(given);
    return result.kind === 'read' ? read(result.value) : refused(invalid(result.errors));
  };
}

/** The number of rows on a page, from the `limit` of the query. */
export function pageLimit(limit: string | undefined, limitMax: number): Read<number> {
  const rows = limit === undefined ? Math.min(PAGE_DEFAULT, limitMax) : Number(limit);
  if (rows <= limitMax) return read(rows);
  return refused(invalid([{ field: 'limit', error: 'maximum', detail: `must be a whole number from 1 to ${limitMax}, found ${rows}` }]));
}

export const badCursor: Reply = invalid([{ field: 'cursor', error: 'cursor', detail: 'must be a next_cursor of this list, unchanged' }]);
