/** The OpenAPI document: valid, complete, and in agreement with a running hub. */
import { gzipSync } from 'node:zlib';
import { Validator } from '@seriousme/openapi-schema-validator';
import t from 'tap';
import { DOCS_PAGE_CSP, docsPage } from '../../../adapters/http/openapi/docs-page.ts';
import { openApiDocument } from '../../../adapters/http/openapi/openapi-document.ts';
import { ROUTES, rolesOf } from '../../../adapters/http/routes.ts';
import { HTTP_ERRORS } from '../../../core/protocol/http-errors.ts';
import { hubBench } from '../../adapters/http/hub-bench.ts';
import { callOperations } from './call-operations.ts';
import { operationsOf } from './documented.ts';

const RUNS = 300;
const SEED = 20_260_802;
/** The size of the page when compressed as by a proxy, in bytes. */
const PAGE_BYTES_MAX = 100_000;

const document = openApiDocument('1.2.3');

t.test('the document is valid OpenAPI 3.1', async (t) => {
  const check = new Validator();
  const found = await check.validate(JSON.parse(JSON.stringify(document)) as Record<string, unknown>);
  t.strictSame([found.valid, check.version], [true, '3.1'], JSON.stringify(found.errors));
  const broken = JSON.parse(JSON.stringify(document)) as { info: { title?: string } };
  delete broken.info.title;
  t.equal((await new Validator().validate(broken)).valid, false, 'and an error is found');
});

t.test('it lists every route once with its roles, and every error code', (t) => {
  const received = operationsOf(document).map(
    ({ method, path, operation }) => `${method} ${path} ${(operation['x-roles'] ?? ['open']).join()}`,
  );
  const routes = ROUTES.map(
    (route) => `${route.method} ${route.path.replace(/:(\w+)/g, '{$1}')} ${route.roles === 'open' ? 'open' : rolesOf(route).join()}`,
  );
  t.strictSame(received.sort(), routes.sort());
  const text = JSON.stringify(document.paths);
  // Those two answer requests without a route.
  const inWords = ['unknown_route', 'method_not_allowed'];
  t.strictSame(Object.keys(HTTP_ERRORS).filter((code) => !text.includes(`"${code}"`)), inWords); // prettier-ignore
  for (const code of inWords) t.match(document.info.description, code);
  t.end();
});

t.test(`${RUNS} random requests: every answer is documented, and every documented answer occurs`, async (t) => {
  const { calls, missing } = await callOperations({ seed: SEED, runs: RUNS });
  t.ok(calls > RUNS, `${calls} requests`);
  t.strictSame(missing, [], 'every reachable answer was seen');
});

t.test('the page is small, runs no scripts and loads nothing', async (t) => {
  const bench = await hubBench();
  t.teardown(() => bench.close());
  const { status, headers, text } = await bench.send('/api/docs', { token: null });
  t.equal(status, 200);
  t.equal(headers.get('content-security-policy'), DOCS_PAGE_CSP);
  t.match(DOCS_PAGE_CSP, /^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]+'; frame-ancestors 'none'$/);
  t.notMatch(text, /<script|javascript:|\son\w+=|url\(|@import|https?:\/\//i, 'no scripts and no external resources');
  t.ok(gzipSync(text).length < PAGE_BYTES_MAX, `${gzipSync(text).length} bytes compressed`);
  t.match(text, '(1 to 64 characters)');
  for (const { operation } of operationsOf(document)) t.ok(text.includes(`id="${operation.operationId}"`), operation.operationId);
  for (const name of Object.keys(document.components.schemas)) t.ok(text.includes(`id="${name}"`), name);
});

t.test('text in the document cannot become markup of the page', (t) => {
  const hostile = `</style><script>alert("1")</script>' & "`;
  const page = docsPage({ ...document, info: { ...document.info, title: hostile, version: hostile, description: hostile } });
  t.notMatch(page, /<script/);
  t.match(page, '&lt;script&gt;');
  t.end();
});
