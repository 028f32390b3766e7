/** The OpenAPI 3.1 document of the HTTP API, built from the route table, the schemas of bodies and responses, and the error codes. */
import { TRACESTATE_CHARACTERS_MAX } from '../../../core/domain/task/trace-context.ts';
import type { TSchema } from 'typebox';
import { HTTP_ERRORS, type HttpErrorCode } from '../../../core/protocol/http-errors.ts';
import { IDEMPOTENCY_KEY_CHARACTERS_MAX, IDEMPOTENCY_KEY_PATTERN } from '../../../core/domain/task/idempotency-key.ts';
import { errorSchema } from '../../../core/protocol/responses/error-response.ts';
import { HTTP_STATUSES } from '../reply.ts';
import { ROUTES, rolesOf, type Route } from '../routes.ts';
import { NAMED_SCHEMAS, ROUTE_DOCS, type RouteDoc } from './route-docs.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type JsonObject = Readonly<Record<string, Json>>;

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly description?: string;
  readonly schema: JsonObject;
}
export interface Content {
  readonly [type: string]: { readonly schema: JsonObject };
}
export interface DocumentedResponse {
  readonly description: string;
  readonly headers?: Readonly<Record<string, { readonly description: string; readonly schema: JsonObject }>>;
  readonly content: Content;
}
export interface RequestBody {
  readonly required: boolean;
  readonly description?: string;
  readonly content: Content;
}
export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly security: readonly JsonObject[];
  /** The roles that may use it; omitted on an open route. */
  readonly 'x-roles'?: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: RequestBody;
  readonly responses: Readonly<Record<string, DocumentedResponse>>;
}
export interface OpenApiDocument {
  readonly openapi: '3.1.0';
  readonly info: { readonly title: string; readonly version: string; readonly description: string; readonly license: JsonObject };
  readonly servers: readonly JsonObject[];
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly securitySchemes: JsonObject; readonly schemas: Readonly<Record<string, JsonObject>> };
}

const DESCRIPTION = `The HTTP API of an AgentCom hub. Times are milliseconds since 1970 (UTC), durations are milliseconds. In a request, a \
field that is null counts as not given, and an unknown field or query parameter is refused. A response may have more fields than its schema.

Before a route is chosen, any request can be answered with 400 (malformed), 408 or 431 (its head is too slow or too large), 403 \
forbidden_origin, 404 unknown_route and 405 method_not_allowed. HEAD is answered like GET, without the body.`;

/** Any of these can be the answer to a request on any route. */
const OF_ALL: readonly HttpErrorCode[] = ['forbidden_origin', 'unsupported_media_type', 'internal', 'hub_stopping'];
/** For routes that need a token, which is looked up in the database, and whose parameters are checked. */
const OF_TOKENS: readonly HttpErrorCode[] = ['validation_failed', 'unauthorized', 'forbidden', 'rate_limited', 'storage_unavailable'];
const OF_STORE: readonly HttpErrorCode[] = ['storage_damaged', 'storage_unavailable'];
const OF_BODIES: readonly HttpErrorCode[] = ['invalid_json', 'validation_failed', 'request_timeout', 'body_too_large'];

const PATH_PARAMETERS: Readonly<Record<string, string>> = {
  '/api/tasks/:id': 'The ID of a task.',
  '/api/agents/:id': 'The ID of an agent.',
  '/admin/tokens/:id': 'The ID of a token, or of an agent for all of its tokens.',
  '/admin/tokens/:id/rotate': 'The ID of a token.',
};

const HEADER_PARAMETERS = {
  'Idempotency-Key': {
    description:
      'Identifies the request among those of this token: a repeat gets the first answer with 200 and creates nothing. One in the form of a task ID with the current time becomes the ID of the task.',
    schema: {
      type: 'string',
      pattern: IDEMPOTENCY_KEY_PATTERN,
      minLength: 1,
      maxLength: IDEMPOTENCY_KEY_CHARACTERS_MAX,
    },
  },
  traceparent: {
    description: 'The trace of the submit, by W3C Trace Context. It is handed to the agent. An invalid one is ignored.',
    schema: { type: 'string', pattern: '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' },
  },
  tracestate: {
    description: 'Goes with traceparent. One that is invalid, or longer than 512 characters, is ignored.',
    schema: { type: 'string', pattern: '^[\\x20-\\x7e]*$', maxLength: TRACESTATE_CHARACTERS_MAX },
  },
  'X-AgentCom-Dashboard': { description: 'Shows that the request was made by a page of this hub.', schema: { type: 'string', const: '1' } },
  'Last-Event-ID': {
    description: 'Start after this event; 0: with the oldest one kept. Default: now.',
    schema: { type: 'string', pattern: '^[0-9]{1,16}$' },
  },
} as const;

export function openApiDocument(version: string): OpenApiDocument {
  const schemas: Record<string, TSchema> = { ...NAMED_SCHEMAS, Error: errorSchema };
  const names = new Map<unknown, string>(Object.entries(schemas).map(([name, schema]) => [schema, name]));
  const paths: Record<string, Record<string, Operation>> = {};
  for (const route of ROUTES) {
    const path = route.path.replace(/:(\w+)/g, '{$1}');
    (paths[path] ??= {})[route.method.toLowerCase()] = operationOf(route, ROUTE_DOCS[route.name], names);
  }
  const components = Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, jsonOf(schema, names, true) as JsonObject]));
  return {
    openapi: '3.1.0',
    info: { title: 'AgentCom', version, description: DESCRIPTION, license: { name: 'MIT', identifier: 'MIT' } },
    servers: [{ url: '/', description: 'The hub that serves this document.' }],
    tags: [...new Set(Object.values(ROUTE_DOCS).map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'A token, see POST /admin/tokens.' } },
      schemas: components,
    },
  };
}

function operationOf(route: Route, doc: RouteDoc, names: ReadonlyMap<unknown, string>): Operation {
  const isOpen = route.roles === 'open';
  const roles = isOpen ? 'Open: needs no token.' : `Roles: ${rolesOf(route).join(', ')}.`;
  const description = doc.description === undefined ? roles : `${doc.description}\n\n${roles}`;
  const body = requestBody(route, doc, names);
  return {
    operationId: route.name,
    summary: doc.summary,
    description,
    tags: [doc.tag],
    security: isOpen ? [] : [{ bearer: [] }],
    ...(isOpen ? {} : { 'x-roles': rolesOf(route) }),
    parameters: [...pathParameters(route), ...queryParameters(doc, names), ...headerParameters(doc)],
    ...(body === null ? {} : { requestBody: body }),
    responses: { ...answers(doc, names), ...refusals(route, doc) },
  };
}

function pathParameters({ path }: Route): readonly Parameter[] {
  return [...path.matchAll(/:(\w+)/g)].map(([whole, name = '']) => ({
    name,
    in: 'path',
    required: true,
    description: PATH_PARAMETERS[path.slice(0, path.indexOf(whole) + whole.length)] ?? 'The generation of an assignment.',
    schema: name === 'generation' ? { type: 'integer', minimum: 0 } : { type: 'string', minLength: 1 },
  }));
}

function queryParameters({ query }: RouteDoc, names: ReadonlyMap<unknown, string>): readonly Parameter[] {
  const fields = (query as { readonly properties?: Readonly<Record<string, TSchema>> } | undefined)?.properties ?? {};
  return Object.entries(fields).map(([name, schema]) => ({
    name,
    in: 'query',
    required: false,
    schema: jsonOf(schema, names) as JsonObject,
  }));
}

const headerParameters = ({ headers = [] }: RouteDoc): readonly Parameter[] =>
  headers.map((name) => ({ name, in: 'header', required: false, ...HEADER_PARAMETERS[name] }));

function requestBody(route: Route, { body }: RouteDoc, names: ReadonlyMap<unknown, string>): RequestBody | null {
  if (body === undefined) return null;
  const schema = jsonOf(body, names) as JsonObject;
  if (route.body !== 'lines') return { required: route.body === 'json', content: { 'application/json': { schema } } };
  const description = 'One JSON value for each line; blank lines are skipped. x-line is the schema of a line.';
  return { required: true, description, content: { 'application/x-ndjson': { schema: { type: 'string', 'x-line': schema } } } };
}

function answers({ answers: docs }: RouteDoc, names: ReadonlyMap<unknown, string>): Readonly<Record<string, DocumentedResponse>> {
  return Object.fromEntries(
    docs.map(({ status, description, schema, lines, type = 'application/json' }) => {
      const whole = { [type]: { schema: schema === undefined ? { type: 'string' } : (jsonOf(schema, names) as JsonObject) } };
      const inLines = lines === undefined ? {} : { 'application/x-ndjson': { schema: { type: 'string', 'x-line': jsonOf(lines, names) } } };
      return [String(status), { description, content: { ...whole, ...inLines } }];
    }),
  );
}

/** What the route can refuse, by status. */
function refusals(route: Route, { refusals: own = [] }: RouteDoc): Readonly<Record<string, DocumentedResponse>> {
  const hasBody = route.body !== 'none';
  const common: readonly HttpErrorCode[] = [
    ...OF_ALL,
    ...(route.roles === 'open' ? [] : OF_TOKENS),
    // The open routes that do not change anything read no rows.
    ...(route.roles === 'open' && !hasBody ? [] : OF_STORE),
    ...(hasBody ? OF_BODIES : []),
    ...(hasBody || route.shed === true ? (['hub_busy', 'rate_limited'] as const) : []),
  ];
  const byStatus = new Map<number, Set<HttpErrorCode>>();
  const add = (code: HttpErrorCode, status = HTTP_STATUSES[code]): void =>
    void byStatus.set(status, (byStatus.get(status) ?? new Set()).add(code));
  for (const code of common) add(code);
  for (const one of own) typeof one === 'string' ? add(one) : add(...one);
  return Object.fromEntries(
    [...byStatus].sort(([a], [b]) => a - b).map(([status, codes]) => [String(status), refusalResponse(status, codes)]),
  );
}

function refusalResponse(status: number, codes: ReadonlySet<HttpErrorCode>): DocumentedResponse {
  const list = [...codes].sort();
  const headers = {
    ...(status === 429 || status === 503
      ? { 'Retry-After': { description: 'Seconds after which to retry.', schema: { type: 'integer', minimum: 1 } } }
      : {}),
    ...(status === 401 && codes.has('unauthorized')
      ? { 'WWW-Authenticate': { description: 'Bearer; only with unauthorized.', schema: { type: 'string' } } }
      : {}),
  };
  return {
    description: list.map((code) => `\`${code}\`: ${HTTP_ERRORS[code]}`).join('\n'),
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    content: { 'application/json': { schema: { $ref: '#/components/schemas/Error', properties: { error: { enum: list } } } } },
  };
}

/** The schema as JSON; a schema that has a name becomes a reference, except at the top level if `isWhole`. */
function jsonOf(value: unknown, names: ReadonlyMap<unknown, string>, isWhole = false): Json {
  if (typeof value !== 'object' || value === null) return value as Json;
  const name = isWhole ? undefined : names.get(value);
  if (name !== undefined) return { $ref: `#/components/schemas/${name}` };
  if (Array.isArray(value)) return value.map((one) => jsonOf(one, names));
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, jsonOf(one, names)]));
}
