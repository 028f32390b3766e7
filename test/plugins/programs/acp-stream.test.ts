/** The pipes of an agent over ACP, with the protocol's own package behind them. */
import { PassThrough, Readable, Writable } from 'node:stream';
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { loadAcp } from '../../../plugins/acp/sdk-package.ts';
import { acpStream } from '../../../plugins/acp/stream.ts';
import { UNANSWERED_MAX } from '../../../plugins/acp/unanswered.ts';
import type { Clock, JsonObject } from '../../../plugins/plugin.ts';

const lineOf = (message: object): Buffer => Buffer.from(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);

/** Which waits no longer than that. */
const hurried = (mostMs: number): Clock => ({ ...systemClock(), after: (ms, fire) => systemClock().after(Math.min(ms, mostMs), fire) });

/** Receives everything an agent sends, and answers it according to the protocol. */
async function received(statement: Iterable<Buffer>, input: Writable, clock = systemClock()) {
  const received = { messages: 0, noise: 0, unread: 0, sent: [] as JsonObject[] };
  const { stream, handled: over } = acpStream({
    input,
    output: Readable.from(statement),
    clock,
    onSent: (message) => void received.sent.push(message),
    onMessage: () => Promise.resolve(void (received.messages += 1)),
    onNoise: (text) => Promise.resolve(void (received.noise += text.length)),
    onDropped: () => undefined,
    onTooMuch: () => Promise.resolve(),
    onUnread: () => Promise.resolve(void (received.unread += 1)),
  });
  const { client } = await loadAcp();
  const connection = client({ name: 'test' }).connect(stream);
  await over;
  return { ...received, close: () => connection.close() };
}

t.test('R20: an ACP agent that keeps sending requests and never reads its input is ignored', async (t) => {
  const stuck = new Writable({ highWaterMark: 1, write: () => undefined });
  const questions = Array.from({ length: 100 }, () =>
    Buffer.concat(Array.from({ length: 300 }, (_, id) => lineOf({ id, method: 'no/such' }))),
  );
  const { messages, unread, close } = await received(questions, stuck, hurried(100));
  close();
  t.equal(messages, UNANSWERED_MAX, 'of 30,000');
  t.equal(unread, 1, 'and this is reported once');
});

t.test('R20: long ACP requests count by their length', async (t) => {
  const stuck = new Writable({ highWaterMark: 1, write: () => undefined });
  const question = lineOf({ id: 1, method: 'no/such', params: { text: 'x'.repeat(2 * 1024 * 1024) } });
  const { messages, unread, close } = await received(
    Array.from({ length: 20 }, () => question),
    stuck,
    hurried(100),
  );
  close();
  t.equal(messages, 7);
  t.equal(unread, 1);
});

t.test('an agent that reads its answers may send any number of requests, even at once', async (t) => {
  const input = new PassThrough();
  let answers = 0;
  input.on('data', (chunk: Buffer) => (answers += chunk.toString().split('\n').length - 1));
  const { messages, unread, close } = await received(
    [Buffer.concat(Array.from({ length: 5_000 }, (_, id) => lineOf({ id, method: 'no/such' })))],
    input,
  );
  close();
  t.equal(messages, 5_000);
  t.equal(unread, 0);
  t.ok(answers >= 4_000, `${String(answers)} answers`);
});

t.test('a message that is not a request, response or notification is not echoed', async (t) => {
  const odd = [{ id: { no: 'id' }, method: 'x' }, { method: 5 }, { text: 'x'.repeat(1_000) }].map(lineOf);
  const { messages, noise, sent, close } = await received(odd, new PassThrough());
  close();
  t.equal(messages, 0);
  t.ok(noise > 1_000);
  t.same(sent, []);
});
