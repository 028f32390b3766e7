/**
 * Calls every operation of the document that a running hub serves: with requests generated from the document, valid
 * and invalid, and with some that are aimed at one answer. Every answer must be documented, and every documented
 * answer that is reachable must occur.
 */
import fc from 'fast-check';
import type { OpenApiDocument } from '../../../adapters/http/openapi/openapi-document.ts';
import { HUB_LIMITS } from '../../../core/config/limits.ts';
import type { Role } from '../../../core/ports/agent-store.ts';
import { runningHub, type RunningHub } from '../running-hub.ts';
import { nearValuesOf, plainTexts, valuesOf } from './arbitrary-values.ts';
import { AnswerCheck, operationsOf, resolved, type Answer, type DocumentedOperation } from './documented.ts';
import { aimedRequests, fillStore, KNOWN } from './store-states.ts';

/** Answers of an overloaded, broken or stopping hub, or to a slow client: no request of this test leads to them. Each has its own test. */
const NOT_REACHED = ['408', '429', '500', '503'];
const ROLES = ['agent', 'submitter', 'viewer', 'operator', 'admin'] as const satisfies readonly Role[];
/** The hub's limits are low, so that a body over one is small. */
const LIMITS = {
  submitBytes: 16_384,
  bulkBytes: 65_536,
  requestsPerSecond: 0,
  readMsPerSecond: 0,
  capabilityListsPerToken: HUB_LIMITS.batchWork,
};
/** Reasons to refuse a request that matches the document, because a schema cannot express them. */
const BEYOND_SCHEMAS = ['number', 'contradiction', 'exclusive', 'required', 'cursor', 'maximum', 'depth', 'size', 'unknown_agent', 'unknown_task', 'members', 'text', 'repeated', 'empty']; // prettier-ignore

interface Request {
  readonly params: Readonly<Record<string, string>>;
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly role: Role | null;
  /** Whether it matches the document. */
  readonly isValid: boolean;
}

export interface Called {
  readonly calls: number;
  /** `operationId status` of each answer. */
  readonly seen: ReadonlySet<string>;
  /** Documented and reachable, but not seen. */
  readonly missing: readonly string[];
}

export async function callOperations({ seed, runs }: { readonly seed: number; readonly runs: number }): Promise<Called> {
  const hub = await runningHub({ limits: LIMITS });
  try {
    const document = (await (await fetch(`${hub.url}/api/openapi.json`)).json()) as OpenApiDocument;
    const operations = operationsOf(document);
    const caller = await makeCaller(hub, document);
    await fillStore(hub);
    for (const { operationId, status, body, ...more } of await aimedRequests(hub)) {
      const operation = operations.find((one) => one.operation.operationId === operationId);
      if (operation === undefined) throw new Error(`${operationId} is not in the document`);
      const text = body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body);
      const request = { params: {}, query: '', headers: {}, role: 'admin' as const, isValid: false, ...more, body: text };
      const answer = await caller.call(operation, request);
      if (answer.status !== status) throw new Error(`${operationId}: ${status} wanted, ${answer.status} found: ${answer.text}`);
    }
    for (const operation of operations) for (const request of plainRequests(operation)) await caller.call(operation, request);
    const requests = new Map(operations.map((operation) => [operation.operation.operationId, { operation, made: requestsOf(operation, document) }])); // prettier-ignore
    const named = fc.oneof(...[...requests].map(([operationId, { made }]) => made.map((request) => ({ operationId, request }))));
    const calling = fc.asyncProperty(named, async ({ operationId, request }) => {
      const operation = requests.get(operationId)?.operation;
      if (operation !== undefined) await caller.call(operation, request);
    });
    await fc.assert(calling, { seed, numRuns: runs });
    const wanted = operations.flatMap(({ operation }) =>
      Object.keys(operation.responses)
        .filter((status) => !NOT_REACHED.includes(status))
        .map((status) => `${operation.operationId} ${status}`),
    );
    return { calls: caller.calls(), seen: caller.seen, missing: wanted.filter((name) => !caller.seen.has(name)) };
  } finally {
    await hub.stop();
  }
}

async function makeCaller(hub: RunningHub, document: OpenApiDocument) {
  const check = new AnswerCheck(document);
  const tokens = new Map<Role, string>([['admin', hub.adminToken]]);
  for (const role of ['agent', 'submitter', 'viewer', 'operator'] as const) tokens.set(role, await hub.token(role, role === 'agent' ? 'a-reader' : undefined)); // prettier-ignore
  let calls = 0;
  return {
    seen: check.seen as ReadonlySet<string>,
    calls: () => calls,
    async call(operation: DocumentedOperation, request: Request): Promise<Answer> {
      calls += 1;
      const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(request.params[name] ?? 'nobody'));
      const token = request.role === null ? undefined : tokens.get(request.role);
      const [type] = Object.keys(operation.operation.requestBody?.content ?? {});
      const response = await fetch(`${hub.url}${path}${queryOf(operation, request)}`, {
        method: operation.method,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(request.body === null || type === undefined ? {} : { 'content-type': type }),
          ...(isForOwnPages(operation) ? { origin: hub.url, 'x-agentcom-dashboard': '1' } : {}),
          ...request.headers,
        },
        ...(request.body === null ? {} : { body: request.body }),
      });
      const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
      if (isStream) await response.body?.cancel();
      const answer = { status: response.status, headers: response.headers, text: isStream ? '' : await response.text() };
      check.check(operation, answer);
      if (request.isValid && answer.status === 400) refusedThoughValid(answer);
      return answer;
    },
  };
}

/** Only the hub's own pages may call it: the tests pretend to be one. */
const isForOwnPages = ({ operation }: DocumentedOperation): boolean =>
  operation.parameters.some(({ name }) => name === 'X-AgentCom-Dashboard');

/** A valid wait is short: the tasks of the test have no output. */
function queryOf({ operation }: DocumentedOperation, { query }: Request): string {
  if (!operation.parameters.some(({ name }) => name === 'wait_ms')) return query;
  const given = new URLSearchParams(query);
  const ms = given.get('wait_ms');
  if (ms === null || /^[0-9]{1,6}$/.test(ms)) given.set('wait_ms', '1');
  return `?${given.toString()}`;
}

/** Throws if a request that matches the document was refused for something that a schema could have expressed. */
function refusedThoughValid({ text }: Answer): void {
  const { details = [] } = JSON.parse(text) as { readonly details?: readonly { readonly error: string }[] };
  const other = details.filter(({ error }) => !BEYOND_SCHEMAS.includes(error));
  if (other.length > 0 || details.length === 0) throw new Error(`the document allows what the hub refuses: ${text}`);
}

/** The errors that any client can make with this operation, and one request without any. */
function plainRequests({ method, path, operation }: DocumentedOperation): readonly Request[] {
  const roles = operation['x-roles'];
  const needsBody = operation.requestBody !== undefined;
  const role = roles === undefined ? null : 'admin';
  const body = needsBody ? '{}' : null;
  const base: Request = { params: {}, query: '', headers: {}, body, role, isValid: false };
  const excluded = ROLES.find((one) => roles !== undefined && !roles.includes(one));
  const [known] = KNOWN[path.replace(/\}.*/, '}')] ?? [];
  return [
    base,
    ...(known === undefined ? [] : [{ ...base, params: { id: known } }]),
    { ...base, headers: { origin: 'http://elsewhere.example' } },
    { ...base, headers: { 'content-encoding': 'gzip' } },
    { ...base, query: '?unknown=1' },
    ...(role === null ? [] : [{ ...base, role: null }]),
    ...(excluded === undefined ? [] : [{ ...base, role: excluded }]),
    ...(needsBody ? [{ ...base, body: '{' }, { ...base, body: '{"unknown":1}' }, { ...base, body: JSON.stringify('x'.repeat(LIMITS.bulkBytes + 1)) }] : []), // prettier-ignore
    ...(method === 'GET' ? [{ ...base, query: '?limit=0' }] : []),
  ];
}

/** Random requests of this operation: half of them match the document. */
function requestsOf({ path, operation }: DocumentedOperation, document: OpenApiDocument): fc.Arbitrary<Request> {
  const schemaOf = (schema: unknown) => resolved(schema, document) as Readonly<Record<string, unknown>>;
  const parameters = (place: string) => operation.parameters.filter((one) => one.in === place);
  const known = KNOWN[path.replace(/\}.*/, '}')] ?? [];
  const ids = known.length === 0 ? plainTexts(1, 20) : fc.oneof(fc.constantFrom(...known), plainTexts(1, 20));
  const params = fc.record({ id: ids.filter((id) => !/^\.{0,2}$/.test(id)), generation: fc.nat({ max: 3 }).map(String) });
  const texts = (names: ReturnType<typeof parameters>, isValid: boolean) =>
    fc.record(Object.fromEntries(names.map(({ name, schema }) => [name, isValid ? valuesOf(schemaOf(schema)) : plainTexts(0, 20)])), {
      requiredKeys: [],
    }) as fc.Arbitrary<Record<string, string>>;
  const [content] = Object.values(operation.requestBody?.content ?? {});
  const line = content?.schema['x-line'];
  const bodies = (isValid: boolean): fc.Arbitrary<string | null> => {
    if (content === undefined) return fc.constant(null);
    const values = (isValid ? valuesOf : nearValuesOf)(schemaOf(line ?? content.schema));
    if (line !== undefined)
      return fc.array(values, { minLength: 1, maxLength: 5 }).map((all) => all.map((one) => JSON.stringify(one)).join('\n'));
    const texts = values.map((value) => JSON.stringify(value));
    return isValid ? texts : fc.oneof(texts, plainTexts(1, 40));
  };
  const roles = operation['x-roles'] as readonly Role[] | undefined;
  const requests = (isValid: boolean): fc.Arbitrary<Request> =>
    fc.record({
      params,
      query: texts(parameters('query'), isValid).map((query) =>
        Object.keys(query).length === 0 ? '' : `?${new URLSearchParams(query).toString()}`,
      ),
      headers: texts(parameters('header'), true),
      body: bodies(isValid),
      role: isValid ? fc.constantFrom(...(roles ?? [null])) : fc.constantFrom(...ROLES, null),
      isValid: fc.constant(isValid),
    });
  return fc.oneof(requests(true), requests(false));
}
