import t from 'tap';
import { isLoopback, readSocketAddress } from '../../../core/config/loopback.ts';

t.test('loopback addresses never leave the machine', async (t) => {
  for (const host of ['localhost', 'LOCALHOST', '127.0.0.1', '127.8.9.10', '::1', '[::1]']) t.ok(isLoopback(host), host);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'localhost.example.org', '127.0.0.1.example.org', '', '128.0.0.1'])
    t.notOk(isLoopback(host), host);
});

t.test('WebSocket URLs are parsed as browsers parse them', async (t) => {
  const cases: readonly (readonly [string, ReturnType<typeof readSocketAddress>])[] = [
    ['ws://127.0.0.1:4000/ws', { scheme: 'ws', host: '127.0.0.1' }],
    ['WSS://Hub.example.org/agents/ws', { scheme: 'wss', host: 'Hub.example.org' }],
    ['ws://[::1]:4000/ws', { scheme: 'ws', host: '::1' }],
    ['ws://localhost@evil.example/ws', { scheme: 'ws', host: 'evil.example' }],
    ['ws://127.0.0.1:80@evil.example/ws', { scheme: 'ws', host: 'evil.example' }],
    ['wss://hub/ws?a=b', { scheme: 'wss', host: 'hub' }],
    ['http://hub/ws', null],
    ['ws://hub:4000', null],
    ['ws://ws', null],
    ['ws://hub:4000/wss', null],
    ['ws://hub:4000/ws/', null],
    ['ws://hub:4000/?to=/ws', null],
    ['ws://', null],
    ['ws:///ws', null],
    ['ws://hub:0/ws', null],
    ['ws://hub:65536/ws', null],
    ['ws://hub/ws#here', null],
    ['ws://hub/a b', null],
    ['ws://127.0.0.1\\@evil.example/ws', null],
    ['hub:4000', null],
    ['', null],
  ];
  for (const [text, expected] of cases) t.strictSame(readSocketAddress(text), expected, text);
  for (const [text, expected] of cases) {
    if (expected === null) continue;
    t.equal(new URL(text).hostname.replace(/^\[|\]$/g, ''), expected.host.toLowerCase(), `${text}: as the platform reads it`);
  }
});
