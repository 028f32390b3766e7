/** Compares a hub's answers with its OpenAPI document. */
import { Compile, type Validator } from 'typebox/schema';
import type { JsonObject, OpenApiDocument, Operation } from '../../../adapters/http/openapi/openapi-document.ts';

/** An operation with everything that the tests need. */
export interface DocumentedOperation {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

export const operationsOf = (document: OpenApiDocument): readonly DocumentedOperation[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );

/** The schema with each reference replaced by its target. Fields next to a reference are added to it. */
export function resolved(schema: unknown, document: OpenApiDocument): unknown {
  if (typeof schema !== 'object' || schema === null) return schema;
  if (Array.isArray(schema)) return schema.map((one) => resolved(one, document));
  const { $ref, ...rest } = schema as Readonly<Record<string, unknown>>;
  const own = Object.fromEntries(Object.entries(rest).map(([key, one]) => [key, resolved(one, document)]));
  if (typeof $ref !== 'string') return own;
  const named = document.components.schemas[$ref.replace('#/components/schemas/', '')];
  if (named === undefined) throw new Error(`${$ref} is not in the document`);
  const base = resolved(named, document) as JsonObject;
  return { ...base, ...own, properties: { ...(base['properties'] as object), ...(own['properties'] as object) } };
}

/** The same schema, allowing only the fields that it names: additional fields are not documented. */
export function closed(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null) return schema;
  if (Array.isArray(schema)) return schema.map(closed);
  const inner = Object.fromEntries(Object.entries(schema).map(([key, one]) => [key, closed(one)]));
  const isObject = inner['type'] === 'object' && inner['properties'] !== undefined;
  return isObject ? { additionalProperties: false, ...inner } : inner;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Throws unless the document has this answer of the operation. */
export class AnswerCheck {
  readonly #document: OpenApiDocument;
  readonly #validators = new Map<string, Validator>();
  /** `operationId status` of each answer so far. */
  readonly seen = new Set<string>();

  constructor(document: OpenApiDocument) {
    this.#document = document;
  }

  check({ operation }: DocumentedOperation, { status, headers, text }: Answer): void {
    const name = `${operation.operationId} ${status}`;
    const response = operation.responses[String(status)];
    if (response === undefined) throw new Error(`${name} is not documented: ${text.slice(0, 500)}`);
    const given = (headers.get('content-type') ?? '').split(';')[0] ?? '';
    const content = response.content[given];
    if (content === undefined) throw new Error(`${name}: the document has no ${given}`);
    for (const header of Object.keys(response.headers ?? {}))
      if (header === 'Retry-After' && !headers.has(header)) throw new Error(`${name} has no ${header}`);
    if (given === 'application/json') this.#checkBody(name, content.schema, text);
    this.seen.add(name);
  }

  #checkBody(name: string, schema: JsonObject, text: string): void {
    const body: unknown = JSON.parse(text);
    const validator = this.#validators.get(name) ?? Compile(closed(resolved(schema, this.#document)) as object);
    this.#validators.set(name, validator);
    if (validator.Check(body)) return;
    const [, errors] = validator.Errors(body);
    throw new Error(`${name} does not fit its schema: ${JSON.stringify(errors).slice(0, 1_000)} ${text.slice(0, 1_000)}`);
  }
}
