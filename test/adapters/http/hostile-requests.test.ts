/** Whatever is sent, the answer is a documented one, never an internal error. */
import fc from 'fast-check';
import t from 'tap';
import { ROUTES } from '../../../adapters/http/routes.ts';
import { HTTP_ERRORS } from '../../../core/protocol/http-errors.ts';
import { aTask, aTaskId, inserting } from '../../product/contracts/fixtures.ts';
import { hubBench, type Answered } from './hub-bench.ts';

const RUNS = 600;

const submitNames = [
  'description',
  'priority',
  'metadata',
  'needed_capabilities',
  'max_retries',
  'assign_to',
  'run_at',
  'ttl_ms',
  'depends_on',
  'generation',
];
const awkward = fc.constantFrom(
  null,
  '',
  'x',
  0,
  -1,
  1.5,
  1e308,
  [],
  {},
  ['x'],
  '\u0000',
  '\ud800',
  'a1',
  aTaskId(1),
  [aTaskId(1)],
  'urgent',
  '__proto__',
);
const value = fc.oneof(awkward, fc.jsonValue());
const object = fc.dictionary(
  fc.oneof(fc.constantFrom(...submitNames, 'agent_id', 'secret', 'name', 'role', '__proto__', 'constructor'), fc.string()),
  value,
);
const body = fc.oneof(
  object.map((one) => JSON.stringify(one)),
  fc.array(object, { maxLength: 5 }).map((many) => many.map((one) => JSON.stringify(one)).join('\n')),
  fc.json(),
  fc.string(),
  fc.uint8Array({ maxLength: 200 }),
  fc.string().map((description) => JSON.stringify({ description: description || 'x' })),
  fc.constantFrom('['.repeat(100_000), '{"a":'.repeat(50_000), '"\\ud800"', '{"description":"x"}'),
);
const segment = fc.oneof(fc.constantFrom(aTaskId(1), 'a1', 'tok-1', '..', '%00', '%ff', '%2e%2e%2f', 'x'.repeat(2_000)), fc.webSegment());
const query = fc.oneof(
  fc.constant(''),
  fc
    .dictionary(fc.constantFrom('status', 'limit', 'cursor', 'task_id', 'agent_id', 'type', '__proto__', 'x'), fc.string())
    .map((one) => `?${new URLSearchParams(one).toString()}`),
  fc.webQueryParameters().map((text) => `?${text}`),
);
const headerText = fc.stringMatching(/^[\x20-\x7e]{0,40}$/);
const headers = fc.dictionary(
  fc.constantFrom('idempotency-key', 'last-event-id', 'content-type', 'content-encoding', 'x-forwarded-for', 'accept', 'range'),
  fc.oneof(headerText, fc.constantFrom('application/json', 'application/x-ndjson', 'gzip', '0', '1')),
);

t.test(`${RUNS} requests made of random fragments`, async (t) => {
  const bench = await hubBench();
  await bench.commit(inserting(aTask()));
  const statuses = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        route: fc.constantFrom(...ROUTES),
        segment,
        query,
        headers,
        body,
        token: fc.constantFrom('admin', 'admin', 'admin', 'operator', 'submitter', 'agent', null),
        plainly: fc.boolean(),
      }),
      async ({ route, segment: part, query: search, headers: more, body: bytes, token, plainly }) => {
        const path = route.path.replace(':id', part.replaceAll('/', '')) + search;
        const type = route.body === 'lines' ? 'application/x-ndjson' : 'application/json';
        const withBody = route.method === 'GET' ? {} : { body: bytes };
        const answering = bench.open(path, {
          method: route.method,
          token,
          ...withBody,
          headers: plainly ? { 'content-type': type } : { 'content-type': type, ...more },
        });
        if (route.name === 'waitForOutput') {
          await new Promise(setImmediate);
          bench.clock.advance(60_000);
        }
        const response = await answering;
        statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
        if (response.headers.get('content-type')?.startsWith('text/event-stream') === true) return response.body?.cancel();
        const text = await response.text();
        // The metrics and the page, which are not JSON.
        if (/^text\/(plain|html);/.test(response.headers.get('content-type') ?? '') && response.status === 200) return undefined;
        const json = JSON.parse(text) as Answered['json'];
        if (response.status >= 400 && !(String(json['error']) in HTTP_ERRORS && typeof json['message'] === 'string')) {
          throw new Error(`${response.status} ${JSON.stringify(json)} is not documented`);
        }
        if (response.status >= 500) throw new Error(`${response.status} ${JSON.stringify(json)} ${JSON.stringify(bench.log.lines.at(-1))}`);
        return undefined;
      },
    ),
    { numRuns: RUNS, seed: 20_260_102 },
  );
  for (const status of [200, 201, 400, 401, 403, 404])
    t.ok((statuses.get(status) ?? 0) > 0, `${status} was among the answers: ${statuses.get(status) ?? 0}`);
  t.notOk(bench.log.lines.some((line) => line.level === 'error'));
  t.equal(({} as Readonly<Record<string, unknown>>)['polluted'], undefined);
  await bench.close();
});
