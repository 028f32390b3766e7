/**
 * What every HTTP API of a hub must do, whatever server carries it and whatever database is behind it: who may do
 * what, what a refusal looks like, and that a stream of events that is cut and resumed skips none.
 */
import type { Role } from '../../../../core/ports/agent-store.ts';
import type { Changes } from '../../../../core/ports/task-store.ts';
import { HTTP_ERRORS } from '../../../../core/protocol/http-errors.ts';
import { inSuite, type ContractCase, type TestRunner } from '../contract-case.ts';
import { aTask, aTaskId, anEvent, changes, inserting } from '../fixtures.ts';

/** An API over its own empty store. */
export interface HttpApi {
  /** Answers a request, whatever is in between. */
  ask(request: Request): Promise<Response>;
  /** What it considers its own name, with the port. */
  readonly host: string;
  /** A valid token of each role. */
  readonly tokens: Readonly<Record<Role, string>>;
  /** Saves these changes, and notifies streams of the commit. */
  commit(changes: Changes): Promise<void>;
  close(): Promise<void>;
}

export interface HttpApiSubject {
  open(): Promise<HttpApi>;
}

const ROLES = ['agent', 'submitter', 'viewer', 'operator', 'admin'] as const;
const TASK = aTaskId(404);

/** method, address, body, roles: one of each kind. `-` means open to all. */
const TABLE: readonly (readonly [method: string, path: string, body: string | null, roles: string])[] = [
  ['POST', '/api/tasks', '{"description":"x"}', 'submitter operator admin'],
  ['POST', '/api/tasks/bulk', '{"description":"x"}\n', 'submitter operator admin'],
  ['GET', '/api/tasks', null, 'submitter viewer operator admin'],
  ['GET', '/api/tasks/stats', null, 'viewer operator admin'],
  ['GET', `/api/tasks/${TASK}`, null, 'agent submitter viewer operator admin'],
  ['POST', `/api/tasks/${TASK}/retry`, '', 'operator admin'],
  ['POST', `/api/tasks/${TASK}/cancel`, '', 'submitter operator admin'],
  ['DELETE', '/api/agents/nobody', null, 'admin'],
  ['POST', '/api/onboard/register', '{"agent_id":"b1","secret":"no"}', '-'],
  ['POST', '/admin/tokens', '{"name":"x","role":"viewer"}', 'admin'],
  ['GET', `/api/events?task_id=${TASK}`, null, 'submitter viewer operator admin'],
  ['GET', '/metrics', null, 'viewer operator admin'],
  ['GET', '/api/docs', null, '-'],
  ['GET', '/health', null, '-'],
  ['GET', '/ready', null, '-'],
];

interface Got {
  readonly status: number;
  readonly headers: Headers;
  readonly error: unknown;
}

/** Adds the suite; `name` appears in the titles. */
export function httpApiContract(name: string, { open }: HttpApiSubject, runner: TestRunner): void {
  /** Sends a request without reading more than a refusal: the body of a stream never ends. */
  const ask = async (
    subject: HttpApi,
    method: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    body: string | null = null,
  ): Promise<Got> => {
    const type = path.endsWith('/bulk') ? 'application/x-ndjson' : 'application/json';
    const { host } = subject;
    const request = new Request(`http://${host}${path}`, {
      method,
      ...(body === null ? {} : { body }),
      headers: { host, ...(body === null ? {} : { 'content-type': type }), ...headers },
    });
    const response = await subject.ask(request);
    if (response.status < 400) {
      await response.body?.cancel();
      return { status: response.status, headers: response.headers, error: null };
    }
    const refused = (await response.json()) as Readonly<Record<string, unknown>>;
    return { status: response.status, headers: response.headers, error: refused['error'] };
  };
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

  inSuite(`HTTP API contract, ${name}`, runner, (add) => {
    const test = (title: string, body: (t: ContractCase, subject: HttpApi) => Promise<void>): void =>
      add(title, async (t) => {
        const api = await open();
        t.teardown(() => api.close());
        await body(t, api);
      });

    for (const [method, path, body, roles] of TABLE) {
      test(`${method} ${path} is for: ${roles}`, async (t, subject) => {
        const nobody = await ask(subject, method, path, {}, body);
        if (roles === '-') t.not(nobody.error, 'unauthorized', 'is open');
        else t.strictSame([nobody.status, nobody.error], [401, 'unauthorized'], 'needs a token');
        for (const role of ROLES) {
          const got = await ask(subject, method, path, bearer(subject.tokens[role]), body);
          if (roles === '-' || roles.split(' ').includes(role))
            t.notOk(got.error === 'forbidden' || got.error === 'unauthorized', `${role} may: ${got.status}`);
          else t.strictSame([got.status, got.error], [403, 'forbidden'], `${role} may not`);
          t.not(got.status, 500);
        }
      });
    }

    test('every response has a content type and forbids caching and framing', async (t, subject) => {
      for (const [method, path, body] of [...TABLE, ['GET', '/nowhere', null], ['PUT', '/api/tasks', '{}']] as const) {
        const { headers } = await ask(subject, method, path, bearer(subject.tokens.admin), body);
        t.match(
          headers.get('content-type'),
          /^(application\/json|text\/event-stream|text\/html|text\/plain; version=0\.0\.4); charset=utf-8$/,
          path,
        );
        t.equal(headers.get('x-content-type-options'), 'nosniff');
        t.equal(headers.get('cache-control'), 'no-store');
        t.match(headers.get('content-security-policy'), /default-src 'none'/);
      }
    });

    test('routes and methods outside the table are refused', async (t, subject) => {
      const admin = bearer(subject.tokens.admin);
      for (const path of [
        '/api',
        '/api/tasks/',
        '/api/tasks//',
        '/API/tasks',
        '/api/tasks/x/y/z',
        '/admin',
        '/metrics/',
        '/ws',
        '/api/../admin/x',
        '/%2e%2e/x',
        '/api/agents/%ff',
      ]) {
        const got = await ask(subject, 'GET', path, admin);
        t.ok(
          got.status === 404 && typeof got.error === 'string' && got.error in HTTP_ERRORS,
          `${path}: ${got.status} ${String(got.error)}`,
        );
      }
      for (const method of ['PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        const got = await ask(subject, method, '/api/tasks', admin);
        t.strictSame([got.status, got.error, got.headers.get('allow')], [405, 'method_not_allowed', 'POST, GET'], method);
      }
    });

    test('a foreign host or origin is refused before its token is checked', async (t, subject) => {
      const { host, tokens } = subject;
      for (const headers of [
        { host: 'evil.test' },
        { host: host.replace(':', '.evil.test:') },
        { host, origin: 'http://evil.test' },
        { host, origin: 'null' },
      ]) {
        for (const path of ['/health', '/api/tasks', '/nowhere']) {
          const got = await ask(subject, 'GET', path, { ...headers, ...bearer(tokens.admin) });
          t.strictSame([got.status, got.error], [403, 'forbidden_origin'], `${JSON.stringify(headers)} ${path}`);
        }
      }
      // A server may refuse an invalid name before the API sees it.
      const noName = await ask(subject, 'GET', '/health', { host: `${host}.evil.test`, ...bearer(tokens.admin) });
      t.match(noName.error, /^(forbidden_origin|validation_failed)$/);
      t.equal((await ask(subject, 'GET', '/health', { origin: `http://${host}` })).status, 200);
    });

    test('a stream cut and resumed anywhere skips and repeats no event', async (t, subject) => {
      const total = 30;
      await subject.commit(inserting(aTask()));
      for (let seq = 1; seq <= total; seq += 3) {
        await subject.commit(changes({ events: [0, 1, 2].map((n) => anEvent({ seq: seq + n, event: 'progress' })) }));
      }
      const all = await readIds(subject, '0', total);
      t.equal(all.length, total);
      t.strictSame(
        all,
        [...all].sort((a, b) => a - b),
        'in id order',
      );
      for (let cut = 1; cut < total; cut += 1) {
        const before = await readIds(subject, '0', cut);
        const after = await readIds(subject, String(before.at(-1)), total - cut);
        t.strictSame([...before, ...after], all, `cut after ${cut}`);
      }
    });
  });
}

/** The ids of the first `count` events after `lastId`; then the stream is cut. */
async function readIds(subject: HttpApi, lastId: string, count: number): Promise<readonly number[]> {
  const { host, tokens } = subject;
  const headers = { host, authorization: `Bearer ${tokens.viewer}`, 'last-event-id': lastId };
  const response = await subject.ask(new Request(`http://${host}/api/events`, { headers }));
  const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const ids = [...text.matchAll(/^id: (\d+)\n(?=event: (?!gap))/gm)].map((match) => Number(match[1]));
    if (ids.length >= count) {
      await reader.cancel();
      return ids.slice(0, count);
    }
    const chunk = await reader.read();
    if (chunk.done) return ids;
    text += chunk.value;
  }
}
