/** What a `HubTransport` on real sockets must do with HTTP beyond one short answer. */
import type { IncomingHttpHeaders, IncomingMessage, RequestOptions } from 'node:http';
import type { CaseTest } from '../contract-case.ts';
import { eventInbox } from '../files/event-inbox.ts';
import type { ByteStream, HttpRequest, HttpResponse } from '../../../../core/ports/http.ts';
import { reply, silentStream, textOf } from './web-http.ts';
import { connectTo, keepAliveAgent, requestTo, type WireAddress } from './wire-address.ts';
import { wireRoom, type WireSubject } from './wire-room.ts';

interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

const answerTo = (address: WireAddress, options: RequestOptions, body: string | Buffer = ''): Promise<Got> =>
  new Promise((resolve, reject) => {
    const asking = requestTo(address, options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      response.on('error', reject);
    });
    asking.on('error', reject);
    asking.end(body);
  });

/** Starts a request and resolves to its response, of which nothing is read yet. */
const begin = (address: WireAddress, options: RequestOptions = {}): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    requestTo(address, options, resolve).on('error', reject).end();
  });

const text = (chunk: string): Uint8Array => new TextEncoder().encode(chunk);
const aTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export const httpTests = (test: CaseTest, subject: WireSubject): void => {
  test('passes on method, address, all headers and the body, even after a wait', async (t) => {
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`x-many-${n}`, `${n}`]));
    const room = await wireRoom(t, subject, {
      http: async (request) => {
        await aTurn();
        const { method, path, query, remoteAddress: from } = request;
        const headers = Object.fromEntries(['host', 'x-twice', 'x-none', ...Object.keys(many)].map((name) => [name, request.header(name)]));
        return reply(JSON.stringify({ method, path, query, headers, body: await textOf(request), from }));
      },
    });
    const body = 'é'.repeat(150_000);
    const { text } = await answerTo(
      room,
      { method: 'PATCH', path: '/a%20b/c?x=1&x=2', headers: { host: 'named.example:1', 'x-twice': ['one', 'two'], ...many } },
      body,
    );
    const seen = JSON.parse(text) as { readonly headers: object; readonly body: string };
    t.match(seen, { method: 'PATCH', path: '/a%20b/c', query: 'x=1&x=2', from: '127.0.0.1' });
    t.ok(seen.body === body, 'the whole body');
    t.strictSame(seen.headers, { host: 'named.example:1', 'x-twice': 'one, two', ...many });
  });

  test('the body of GET and HEAD is null, and so is an empty one', async (t) => {
    const room = await wireRoom(t, subject, { http: ({ body }) => reply(body === null ? 'none' : 'some') });
    t.equal((await answerTo(room, { method: 'GET', headers: { 'content-length': '2' } }, 'no')).text, 'none');
    t.equal((await answerTo(room, { method: 'POST' })).text, 'none');
    t.equal((await answerTo(room, { method: 'POST' }, 'yes')).text, 'some');
  });

  test('responds with status, headers and length; HEAD and 204 without a body; OPTIONS like any other method', async (t) => {
    let cancelled = 0;
    const room = await wireRoom(t, subject, {
      http: ({ method, path }) => {
        const [text, cancel] = [`for ${method}`, () => void (cancelled += 1)];
        if (path === '/stream') return reply({ next: () => Promise.resolve(null), cancel });
        return reply(path === '/empty' ? null : text, path === '/none' ? 204 : 418, { 'x-kind': 'test' });
      },
    });
    const agent = keepAliveAgent(room);
    t.teardown(() => agent.destroy());
    const got = async (method: string, path = '/'): Promise<Got> => answerTo(room, { method, path, agent });
    t.match(await got('GET'), { status: 418, text: 'for GET', headers: { 'x-kind': 'test', 'content-length': '7' } });
    t.match(await got('GET', '/empty'), { status: 418, text: '', headers: { 'content-length': '0' } });
    t.match(await got('HEAD'), { status: 418, text: '', headers: { 'x-kind': 'test', 'content-length': '8' } });
    t.match(await got('HEAD', '/stream'), { status: 200, text: '' });
    t.equal(cancelled, 1, 'a stream that is never sent');
    t.match(await got('OPTIONS'), { status: 418, text: 'for OPTIONS' });
    t.match(await got('DELETE', '/none'), { status: 204, text: '' });
    t.match(await got('GET'), { status: 418, text: 'for GET' }, 'on one keep-alive connection');
    t.equal(Object.values(agent.freeSockets).flat().length, 1);
  });

  test('a response sent before the body is read reaches its peer, and the next request gets its own', async (t) => {
    const room = await wireRoom(t, subject, {
      http: ({ method }) => (method === 'POST' ? reply('too large', 413) : reply('hello')),
    });
    const agent = keepAliveAgent(room);
    t.teardown(() => agent.destroy());
    for (const bytes of [100, 300_000]) {
      const refused = await answerTo(room, { method: 'POST', agent }, Buffer.alloc(bytes));
      t.match(refused, { status: 413, text: 'too large' }, `${bytes} bytes`);
      t.match(await answerTo(room, { agent }), { status: 200, text: 'hello' });
    }
  });

  test('passes on a body as it arrives, and applies backpressure when it is not read', async (t) => {
    const requested = eventInbox<HttpRequest>();
    const answered = eventInbox<string>();
    const room = await wireRoom(t, subject, {
      http: async (request) => {
        requested.put(request);
        return reply(await answered.next('what to answer'));
      },
    });
    const socket = connectTo(room).socket;
    t.teardown(() => socket.destroy());
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n');
    const { body } = await requested.next('the request, before its end');
    if (body === null) return t.fail('there is a body');
    t.equal(String(Buffer.from((await body.next()) ?? '')), 'first');
    // Far more than any buffer in between: the peer has to wait.
    const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(0x100000), Buffer.from('\r\n')]);
    for (let n = 0; n < 40; n += 1) socket.write(chunk);
    socket.write('0\r\n\r\n');
    for (let turn = 0; turn < 2_000; turn += 1) await aTurn();
    t.ok(socket.writableLength > 20 * 0x100000, `${socket.writableLength} bytes wait at the peer`);
    let bytes = 0;
    for (let chunk = await body.next(); chunk !== null; chunk = await body.next()) bytes += chunk.byteLength;
    t.equal(bytes, 40 * 0x100000);
    const response = new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString())));
    answered.put('done');
    return t.match(await response, /^HTTP\/1\.1 200 [\s\S]*done/);
  });

  test('refuses a body with two lengths with 400, closes, and serves no request smuggled in it', async (t) => {
    const served: string[] = [];
    const room = await wireRoom(t, subject, {
      http: async (request) => {
        served.push(`${request.method} ${request.path}`);
        return reply(await textOf(request));
      },
    });
    const hidden = 'POST /hidden HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n';
    const heads: readonly (readonly [string, readonly string[]])[] = [
      ['POST', ['Content-Length: 0', `Content-Length: ${hidden.length}`]],
      ['POST', [`Content-Length: ${hidden.length}`, 'Content-Length: 0']],
      ['POST', ['Content-Length: 0', 'X-Between: y', 'content-length: 0']],
      ['GET', ['Content-Length: 0', `Content-Length: ${hidden.length}`]],
      ['POST', ['Content-Length: 5', 'Transfer-Encoding: chunked']],
      ['POST', ['Transfer-Encoding: chunked', `Content-Length: ${hidden.length}`]],
      ['POST', ['Transfer-Encoding: identity']],
      ['POST', ['Content-Length: ']],
      ['POST', ['Content-Length: +1']],
      ['POST', ['Content-Length: 1, 1']],
    ];
    for (const [method, lengths] of heads) {
      const socket = connectTo(room).socket;
      socket.on('error', () => undefined);
      let answer = '';
      const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
      socket.on('data', (chunk) => (answer += chunk.toString()));
      socket.write([`${method} /outer HTTP/1.1`, 'Host: x', ...lengths, '', hidden].join('\r\n'));
      await ended;
      t.match(answer, /^HTTP\/1\.1 400 /, lengths.join(' + '));
      t.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1, 'one answer');
    }
    // The headers of a broken chunked body may be served before its first chunk is read.
    t.strictSame(
      served.filter((one) => one !== 'POST /outer'),
      [],
    );
  });

  test('a peer that disconnects in the middle of its body aborts it', async (t) => {
    const bodies = eventInbox<string>();
    const room = await wireRoom(t, subject, {
      http: async (request) => {
        bodies.put('begun');
        bodies.put(await textOf(request).catch((thrown: unknown) => `aborted: ${String(thrown)}`));
        return reply('never received');
      },
    });
    const socket = connectTo(room).socket;
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf');
    await bodies.next('the request');
    socket.destroy();
    t.match(await bodies.next('the end of its body'), /^aborted: /);
  });

  test('a cancelled read of a body ends, and its request is answered', async (t) => {
    const requested = eventInbox<HttpRequest>();
    const room = await wireRoom(t, subject, {
      http: async (request) => {
        requested.put(request);
        const ends = request.path === '/whole' ? request.body?.whole() : request.body?.next();
        return reply(await Promise.resolve(ends).then(String, () => 'failed'));
      },
    });
    for (const [path, text] of [
      ['/whole', 'failed'],
      ['/next', 'null'],
    ] as const) {
      const socket = connectTo(room).socket;
      socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n`);
      const { body } = await requested.next('the request');
      body?.cancel();
      body?.cancel();
      const answer = await new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString())));
      t.match(answer, new RegExp(`^HTTP/1\\.1 200 [\\s\\S]*${text}$`), path);
      socket.destroy();
    }
  });

  streamTests(test, subject);
};

const streamTests = (test: CaseTest, subject: WireSubject): void => {
  test('sends a stream as it is produced, to its end', async (t) => {
    const chunks = eventInbox<string | null>();
    const next = async (): Promise<Uint8Array | null> => {
      const chunk = await chunks.next('a chunk');
      return chunk === null ? null : text(chunk);
    };
    const http = () => reply({ next, cancel: () => undefined }, 200, { 'content-type': 'text/event-stream' });
    const room = await wireRoom(t, subject, { http });
    chunks.put('one\n');
    const response = await begin(room);
    t.match(response.headers, { 'content-type': 'text/event-stream', 'transfer-encoding': 'chunked' });
    const messages: string[] = [];
    const ended = new Promise<void>((resolve) => response.on('end', resolve));
    for (const next of ['two\n', 'three\n', null]) {
      messages.push(await new Promise<string>((resolve) => response.once('data', (data: Buffer) => resolve(data.toString()))));
      chunks.put(next);
    }
    await ended;
    t.strictSame(messages, ['one\n', 'two\n', 'three\n']);
  });

  test('a stream is produced no faster than its peer reads, and cancelled when the peer disconnects', async (t) => {
    let made = 0;
    const cancelled = eventInbox<true>();
    const chunk = new Uint8Array(100_000);
    const stream: ByteStream = {
      async next() {
        made += 1;
        return chunk;
      },
      cancel: () => cancelled.put(true),
    };
    const room = await wireRoom(t, subject, { http: () => reply(stream) });
    const response = await begin(room);
    response.pause();
    let before = -1;
    // The buffers in between hold some megabytes; then nothing more is produced.
    while (before !== made) {
      before = made;
      for (let turn = 0; turn < 500; turn += 1) await aTurn();
    }
    t.ok(made < 500, `${made} chunks of 100 kB were produced for a peer that reads none`);
    response.destroy();
    await cancelled.next('the end of the stream');
    t.ok(made < 500);
  });

  test('a waiting stream is cancelled when its peer disconnects', async (t) => {
    const ended = eventInbox<true>();
    const room = await wireRoom(t, subject, { http: () => reply(silentStream({ onCancel: () => ended.put(true) })) });
    const response = await begin(room);
    await new Promise((resolve) => response.once('data', resolve));
    response.destroy();
    t.ok(await ended.next('the end of the stream'));
  });

  test('a response whose peer has disconnected is dropped', async (t) => {
    const requested = eventInbox<true>();
    const answers = eventInbox<HttpResponse>();
    const cancelled = eventInbox<true>();
    const room = await wireRoom(t, subject, {
      http: () => {
        requested.put(true);
        return answers.next('what to answer');
      },
    });
    const endless: ByteStream = { next: async () => text('more'), cancel: () => cancelled.put(true) };
    for (const answer of [reply('text'), reply(endless)]) {
      const socket = connectTo(room).socket;
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await requested.next('the request');
      socket.destroy();
      for (let turn = 0; turn < 200; turn += 1) await aTurn();
      answers.put(answer);
    }
    t.ok(await cancelled.next('the end of the stream'));
    answers.put(reply('hello'));
    t.equal((await answerTo(room, {})).text, 'hello', 'other requests are served');
  });

  test('a failed stream ends as an incomplete response', async (t) => {
    const failing = (): ByteStream => {
      let requestCount = 0;
      return {
        async next() {
          requestCount += 1;
          if (requestCount === 1) return text('some');
          for (let turn = 0; turn < 20; turn += 1) await aTurn();
          throw new Error('planted');
        },
        cancel: () => undefined,
      };
    };
    const room = await wireRoom(t, subject, { http: () => reply(failing()) });
    const response = await begin(room);
    const end = new Promise<string>((resolve) => {
      response.on('error', () => resolve('cut'));
      response.on('end', () => resolve('whole'));
    });
    response.resume();
    t.equal(await end, 'cut');
    t.equal((await begin(room)).statusCode, 200, 'other requests are served');
  });
};
