/** The files of the dashboard: which are served, how, and what the page may load. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync, brotliCompressSync, gunzipSync, gzipSync } from 'node:zlib';
import t from 'tap';
import { readDashboard } from '../../../adapters/http/dashboard/dashboard-files.ts';
import type { HttpRequest } from '../../../core/ports/http.ts';
import { HOST, hubBench, type HubBench } from './hub-bench.ts';

const PAGE = '<!doctype html><title>page</title>';
const SCRIPT = 'const x = 1;\n'.repeat(200);

function builtFiles(folder: string): string {
  writeFileSync(join(folder, 'index.html'), PAGE);
  writeFileSync(join(folder, 'app.js'), SCRIPT);
  writeFileSync(join(folder, 'app.js.br'), brotliCompressSync(SCRIPT));
  writeFileSync(join(folder, 'app.js.gz'), gzipSync(SCRIPT));
  writeFileSync(join(folder, 'notes.txt'), 'not a file of a dashboard');
  return folder;
}

/** Calls the handler itself: a client would decompress the response. */
async function ask(bench: HubBench, path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET') {
  const all: Readonly<Record<string, string>> = { host: HOST, ...headers };
  const request: HttpRequest = { method, path, query: '', remoteAddress: '127.0.0.1', header: (name) => all[name], body: null };
  const { status, headers: answered, body } = await bench.handle(request);
  const bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.from((await body?.next()) ?? '');
  return { status, headers: answered, bytes, text: bytes.toString() };
}

t.test('the page and its files are public, typed, compressed and revalidated, and load only their own files', async (t) => {
  const bench = await hubBench({ deps: { dashboard: await readDashboard(builtFiles(t.testdir())) } });
  for (const path of ['/dashboard', '/dashboard/', '/dashboard/index.html']) {
    const page = await ask(bench, path);
    t.match(page, {
      status: 200,
      text: PAGE,
      headers: { 'content-type': 'text/html; charset=utf-8', 'x-frame-options': 'DENY', 'x-content-type-options': 'nosniff' },
    });
    t.equal(
      page.headers['content-security-policy'],
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    );
  }
  const plain = await ask(bench, '/dashboard/app.js');
  t.match(plain, {
    status: 200,
    text: SCRIPT,
    headers: { 'content-type': 'text/javascript; charset=utf-8', 'cache-control': 'no-cache', vary: 'accept-encoding' },
  });
  const brotli = await ask(bench, '/dashboard/app.js', { 'accept-encoding': 'gzip, deflate, br' });
  t.equal(brotli.headers['content-encoding'], 'br');
  t.equal(brotliDecompressSync(brotli.bytes).toString(), SCRIPT);
  const gzip = await ask(bench, '/dashboard/app.js', { 'accept-encoding': 'br;q=0, gzip;q=0.5' });
  t.equal(gzip.headers['content-encoding'], 'gzip');
  t.equal(gunzipSync(gzip.bytes).toString(), SCRIPT);
  const etag = brotli.headers['etag'] ?? '';
  t.not(etag, plain.headers['etag'], 'each encoding has its own ETag');
  const again = await ask(bench, '/dashboard/app.js', { 'accept-encoding': 'br', 'if-none-match': `"other", W/${etag}` });
  t.strictSame([again.status, again.bytes.length], [304, 0]);
  await bench.close();
});

t.test('nothing but these files is served', async (t) => {
  const bench = await hubBench({ deps: { dashboard: await readDashboard(builtFiles(t.testdir())) } });
  for (const path of [
    '/dashboard/notes.txt',
    '/dashboard/app.js.br',
    '/dashboard/../package.json',
    '/dashboard/%2e%2e/x',
    '/dashboard/x/y',
    '/dashboard//',
  ]) {
    t.match(await ask(bench, path), { status: 404, text: /"unknown_route"/ }, path);
  }
  t.match(await ask(bench, '/dashboardx'), { status: 404 });
  t.match(await ask(bench, '/dashboard', {}, 'POST'), { status: 405, headers: { allow: 'GET' } });
  t.match(await ask(bench, '/dashboard', { host: 'evil.test' }), { status: 403, text: /forbidden_origin/ });
  await bench.close();
});

t.test('at the root a browser is redirected to the dashboard, and a program gets the address of the API', async (t) => {
  const bench = await hubBench();
  t.match(await ask(bench, '/', { accept: 'text/html,*/*' }), { status: 303, headers: { location: '/dashboard' } });
  const { status, text } = await ask(bench, '/', { accept: '*/*' });
  t.equal(status, 200);
  t.match(JSON.parse(text), { name: 'agentcom', api: '/api', dashboard: '/dashboard', health: '/health' });
  await bench.close();
});

t.test('a hub without a built dashboard explains how to build it', async (t) => {
  const bench = await hubBench();
  t.match(await ask(bench, '/dashboard'), { status: 503, text: /npm run build/, headers: { 'content-type': 'text/html; charset=utf-8' } });
  t.match(await ask(bench, '/dashboard/app.js'), { status: 404, text: /npm run build/ });
  await bench.close();
});

t.test('a folder that is not a dashboard is not read into memory', async (t) => {
  const folder = t.testdir();
  t.equal(await readDashboard(join(folder, 'missing')), null);
  t.equal(await readDashboard(folder), null, 'without a page');
  writeFileSync(join(folder, 'index.html'), PAGE);
  writeFileSync(join(folder, 'app.js'), Buffer.alloc(4_194_304));
  await t.rejects(readDashboard(folder), { code: 'AC_INTERNAL', message: /4194338 bytes, at most 4194304/ });
  mkdirSync(join(folder, 'many'));
  for (let count = 0; count < 33; count += 1)
    symlinkSync(join(folder, 'index.html'), join(folder, 'many', count === 0 ? 'index.html' : `${count}.js`));
  await t.rejects(readDashboard(join(folder, 'many')), { message: /33 files, at most 32/ });
});
