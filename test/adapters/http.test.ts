/** The HTTP API: its contract, and that its page documents all routes and codes. */
import { readFile } from 'node:fs/promises';
import t from 'tap';
import { ROUTES } from '../../adapters/http/routes.ts';
import { HTTP_ERRORS } from '../../core/protocol/http-errors.ts';
import { httpApiContract, type HttpApiSubject } from '../product/contracts/wire/http-api.contract.ts';
import { askHandler } from '../product/contracts/wire/web-http.ts';
import { HOST, hubBench } from './http/hub-bench.ts';

const subject: HttpApiSubject = {
  async open() {
    const bench = await hubBench();
    return {
      ask: (request) => askHandler(bench.handle, request),
      host: HOST,
      tokens: bench.tokens,
      commit: bench.commit,
      close: bench.close,
    };
  },
};
httpApiContract('over the memory storage', subject, t);

t.test('docs/http-api.md has a section for every route', async (t) => {
  const page = await readFile(new URL('../../docs/http-api.md', import.meta.url), 'utf8');
  for (const route of ROUTES) t.match(page, `### ${route.method} ${route.path}\n`, `${route.name} has a section`);
});

t.test('docs/http-api.md documents every error', async (t) => {
  const page = await readFile(new URL('../../docs/http-api.md', import.meta.url), 'utf8');
  const received = [...page.matchAll(/^\| `([a-z_]+)` \| \d{3}/gm)].map((match) => match[1]);
  t.strictSame([...received].sort(), Object.keys(HTTP_ERRORS).sort());
});
