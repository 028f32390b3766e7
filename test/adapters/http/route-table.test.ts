/** Which route a path matches, and which parameters it yields. */
import t from 'tap';
import { routeTable } from '../../../adapters/http/route-table.ts';

const route = (name: string) => {
  const [method = '', path = ''] = name.split(' ');
  return { name, method, path };
};
const find = routeTable(
  ['POST /tasks', 'GET /tasks', 'POST /tasks/bulk', 'GET /tasks/stats', 'GET /tasks/:id', 'GET /tasks/:id/results/:n', 'DELETE /:any'].map(
    route,
  ),
);
const found = (method: string, path: string): unknown => {
  const got = find(method, path);
  return got.route === null ? got.others.map(({ name }) => name) : [got.route.name, { ...got.params }];
};

t.test('the first route that matches by method and by each segment answers', async (t) => {
  t.strictSame(found('POST', '/tasks'), ['POST /tasks', {}]);
  t.strictSame(found('GET', '/tasks/stats'), ['GET /tasks/stats', {}]);
  t.strictSame(found('GET', '/tasks/t1'), ['GET /tasks/:id', { id: 't1' }]);
  t.strictSame(found('GET', '/tasks/bulk'), ['GET /tasks/:id', { id: 'bulk' }], 'the fixed route has no such method');
  t.strictSame(found('GET', '/tasks/stats/results/2'), ['GET /tasks/:id/results/:n', { id: 'stats', n: '2' }]);
  t.strictSame(found('HEAD', '/tasks'), ['GET /tasks', {}], 'HEAD is GET without its body');
});

t.test('a miss reports the methods that the path does have, or none', async (t) => {
  t.strictSame(found('PUT', '/tasks'), ['POST /tasks', 'GET /tasks']);
  t.strictSame(found('PUT', '/tasks/bulk'), ['POST /tasks/bulk']);
  t.strictSame(found('get', '/tasks/t1'), ['GET /tasks/:id'], 'methods are case-sensitive');
  for (const path of ['', '/', '//', '/tasks/', '/tasks//', '/tasks/t1/', '/a/../tasks', '/./tasks', '/TASKS/x/y', '/tasks/:id/results'])
    t.strictSame(found('GET', path), [], path);
});

t.test('segments are decoded separately and once; invalid UTF-8 stays as sent', async (t) => {
  t.strictSame(found('GET', '/t%61sks/stats'), ['GET /tasks/stats', {}]);
  t.strictSame(found('GET', '/tasks%2Fstats'), ['DELETE /:any']);
  for (const [sent, id] of [
    ['a%20b', 'a b'],
    ['a%2Fb', 'a/b'],
    ['%252F', '%2F'],
    ['%E2%82%AC', '€'],
    ['%ff', '%ff'],
    ['%E2%82', '%E2%82'],
    ['%', '%'],
    ['%zz%41', '%zzA'],
    ['%00', '\u0000'],
    ['..', '..'],
  ] as const)
    t.strictSame(found('GET', `/tasks/${sent}`), ['GET /tasks/:id', { id }], sent);
});
