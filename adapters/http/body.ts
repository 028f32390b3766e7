/**
 * Reads request bodies. Each is limited in bytes and time; together they are limited in bytes, per sender and in total, and in what is
 * parsed in a turn of the event loop.
 */
import type { FieldError } from '../../core/protocol/field-errors.ts';
import { findUnstorable } from '../../core/protocol/json-text.ts';
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { HttpBody, HttpRequest } from '../../core/ports/http.ts';
import type { BodyBudget } from './body-budget.ts';
import { invalid, read, refusal, refused, tooMany, type Read, type Reply } from './reply.ts';
import type { LineHandler } from './request.ts';
import type { ParseTurns } from './turns/parse-turns.ts';

/** How long a body may take to arrive, and how long it may stall. Detecting a stall can take up to twice as long. */
const BODY_MS = 60_000;
const STALL_MS = 10_000;
/**
 * A body up to this announced length is reserved in full from the start and read as a whole, because streaming it would cost more than the
 * rest of the request.
 */
const WHOLE_BYTES_MAX = 16_384;
const NEWLINE = 0x0a;

export interface BodyRules {
  readonly bytesMax: number;
  readonly budget: BodyBudget;
  readonly turns: ParseTurns;
  /** Whose bytes these are: a token, or the address of a client without one. */
  readonly owner: string;
  readonly clock: Clock;
}

/** Counts the bytes of one body in the budget until `release`. `release` is idempotent. */
function bodyCount({ budget, owner }: BodyRules): { add(bytes: number): Reply | null; release(): void } {
  let counted = 0;
  return {
    add(bytes) {
      const reserved = budget.reserve(owner, bytes);
      if (reserved === 'owner_full') return tooMuchOfOwner;
      if (reserved === 'full') return tooMuchInTotal;
      counted += bytes;
      return null;
    },
    release() {
      if (counted > 0) budget.release(owner, counted);
      counted = 0;
    },
  };
}

/**
 * Passes the chunks of a body to `take` until it ends, is refused, or `take` returns a reply. The bytes that arrived, not the announced
 * length, count against the budget until `release` is called.
 */
export async function readBody(
  request: HttpRequest,
  rules: BodyRules,
  take: (chunk: Uint8Array) => Reply | null | Promise<Reply | null>,
): Promise<{ readonly reply: Reply | null; release(): void }> {
  const { bytesMax, clock } = rules;
  const { add, release } = bodyCount(rules);
  const { body } = request;
  if (Number(request.header('content-length') ?? 0) > bytesMax) return { reply: tooLarge(bytesMax), release };
  if (body === null) return { reply: null, release };

  let late: Reply | null = null;
  let bytes = 0;
  let isTaking = false;
  const watch = watchArrival(
    clock,
    () => (isTaking ? null : bytes),
    (reply) => {
      late = reply;
      body.cancel();
    },
  );
  let reply: Reply | null = null;
  try {
    while (reply === null) {
      const chunk = await body.next().catch(messageOf);
      if (typeof chunk === 'string') reply = brokeOff(chunk);
      else if (late !== null) reply = late;
      else if (chunk === null) return { reply: null, release };
      else {
        bytes += chunk.byteLength;
        reply = bytes > bytesMax ? tooLarge(bytesMax) : add(chunk.byteLength);
        if (reply !== null) break;
        isTaking = true;
        reply = await take(chunk);
        isTaking = false;
      }
    }
  } catch (thrown) {
    body.cancel();
    release();
    throw thrown;
  } finally {
    watch.cancel();
  }
  body.cancel();
  return { reply, release };
}

/** Calls `end` once, if nothing arrives for too long, or if the whole body takes too long. `bytes`: null while the hub is what takes long. */
function watchArrival(clock: Clock, bytes: () => number | null, end: (reply: Reply) => void): { cancel(): void } {
  let lastBytes = -1;
  let leftMs = BODY_MS;
  const check = (): void => {
    const arrived = bytes();
    if (arrived !== null) {
      leftMs -= STALL_MS;
      if (arrived === lastBytes) return end(stalled);
      if (leftMs <= 0) return end(tooLate);
      lastBytes = arrived;
    }
    timer = clock.after(STALL_MS, check);
  };
  let timer = clock.after(STALL_MS, check);
  return { cancel: () => timer.cancel() };
}

const tooLarge = (bytesMax: number): Reply =>
  refusal(
    'body_too_large',
    `The body exceeds ${bytesMax} bytes. Put large input where the agent can fetch it and mention it in the description, or raise hub.limits.submitBytes (bulk: bulkBytes).`,
  );
const brokeOff = (why: string): Reply => refusal('invalid_json', `The body is incomplete: ${why}.`);
const tooLate = refusal('request_timeout', `The body did not arrive within ${BODY_MS / 1_000} s.`);
const stalled = refusal('request_timeout', `No data of the body arrived for ${STALL_MS / 1_000} s.`);
const tooMuchInTotal = refusal('hub_busy', 'The hub has too many bodies in flight; retry later.');
const tooMuchOfOwner = tooMany('Too many bytes of requests from this token, or from this address without a token, are in flight.', 1_000);

type Taken = { readonly reply: Reply } | { readonly reply: null; readonly bytes: Uint8Array };
type Released = Taken & { release(): void };

/** Collects a body as it arrives. */
async function gather(request: HttpRequest, rules: BodyRules): Promise<Released> {
  const chunks: Uint8Array[] = [];
  const { reply, release } = await readBody(request, rules, (chunk) => {
    chunks.push(chunk);
    return null;
  });
  return reply === null ? { reply, bytes: Buffer.concat(chunks), release } : { reply, release };
}

/** Reads a short body of an announced length. */
function readWhole(body: HttpBody, announced: number, rules: BodyRules): Released | Promise<Released> {
  const { bytesMax } = rules;
  const { add, release } = bodyCount(rules);
  const over = announced > bytesMax ? tooLarge(bytesMax) : add(announced);
  if (over !== null) return { reply: over, release };
  const whole = body.whole();
  // Most short bodies arrive together with the head of the request, and need no timer.
  return whole instanceof Promise ? arrived(body, whole, rules, release) : { reply: null, bytes: whole, release };
}

async function arrived(body: HttpBody, whole: Promise<Uint8Array>, { clock }: BodyRules, release: () => void): Promise<Released> {
  let isLate = false;
  const timer = clock.after(STALL_MS, () => {
    isLate = true;
    body.cancel();
  });
  try {
    return { reply: null, bytes: await whole, release };
  } catch (thrown) {
    return { reply: isLate ? tooSlow : brokeOff(messageOf(thrown)), release };
  } finally {
    timer.cancel();
  }
}

const tooSlow = refusal('request_timeout', `The body did not arrive within ${STALL_MS / 1_000} s.`);

const UTF8 = new TextDecoder('utf-8', { fatal: true });
const LENGTH = /^\d{1,15}$/;

/** Reads the body as one JSON value; `undefined` if it is empty. */
export async function readJson(request: HttpRequest, rules: BodyRules): Promise<{ readonly body: Read<unknown>; release(): void }> {
  const { body } = request;
  const announced = request.header('content-length') ?? '';
  const isShort = body !== null && LENGTH.test(announced) && Number(announced) <= WHOLE_BYTES_MAX;
  const taken = await (isShort ? readWhole(body, Number(announced), rules) : gather(request, rules));
  const { release } = taken;
  if (taken.reply !== null) return { body: refused(taken.reply), release };
  const { bytes } = taken;
  if (bytes.byteLength === 0) return { body: read(undefined), release };
  const parsing = rules.turns.run(rules.owner, () => {
    rules.turns.parsed(bytes.byteLength);
    return parseJson(bytes);
  });
  const parsed = parsing instanceof Promise ? await parsing : parsing;
  if (parsed.kind === 'parsed') return { body: read(parsed.value), release };
  return { body: refused(unreadable(parsed.error)), release };
}

/** The reply to a body that `parseJson` found unfit. */
export const unreadable = (error: FieldError): Reply =>
  error.error === 'json' ? refusal('invalid_json', `The body ${error.detail}.`) : invalid([error]);

export type Parsed = { readonly kind: 'parsed'; readonly value: unknown } | { readonly kind: 'unfit'; readonly error: FieldError };

const everything = (value: unknown): unknown => value;

/**
 * Parses UTF-8 bytes as JSON. `stored` selects the part that must be storable unchanged; the field of an error is relative to it. The error
 * is `json` if the bytes are not UTF-8 or not JSON.
 */
export function parseJson(bytes: Uint8Array, stored: (value: unknown) => unknown = everything): Parsed {
  let text: string;
  let value: unknown;
  try {
    text = UTF8.decode(bytes);
    value = JSON.parse(text);
  } catch (thrown) {
    // The parser's message may quote the body, which may contain a secret.
    const what = thrown instanceof SyntaxError ? 'is not JSON' : 'is not UTF-8';
    return { kind: 'unfit', error: { field: '', error: 'json', detail: what } };
  }
  const error = findUnstorable(stored(value), text);
  return error === null ? { kind: 'parsed', value } : { kind: 'unfit', error };
}

export interface LineRules {
  readonly lineBytesMax: number;
  readonly linesMax: number;
}

/** Splits the body into lines and passes those that are not blank to `take`. */
export async function readLines(
  request: HttpRequest,
  rules: BodyRules & LineRules,
  take: LineHandler,
): Promise<{ readonly reply: Reply | null; release(): void }> {
  const { lineBytesMax, linesMax, owner, turns } = rules;
  const pending: Uint8Array[] = [];
  let pendingBytes = 0;
  let number = 0;

  const add = (piece: Uint8Array): Reply | null => {
    pending.push(piece);
    pendingBytes += piece.byteLength;
    if (pendingBytes <= lineBytesMax) return null;
    return refusal('body_too_large', `Line ${number + 1} exceeds ${lineBytesMax} bytes.`);
  };
  const endLine = (): Reply | null => {
    number += 1;
    if (number > linesMax) return refusal('body_too_large', `The body has more than ${linesMax} lines.`);
    const bytes = pending.length === 1 ? (pending[0] as Uint8Array) : Buffer.concat(pending);
    turns.parsed(bytes.byteLength);
    pending.length = 0;
    pendingBytes = 0;
    return isBlank(bytes) ? null : take({ number, bytes });
  };

  const { reply, release } = await readBody(request, rules, (chunk) => {
    let from = 0;
    return turns.run(owner, () => {
      for (let at = chunk.indexOf(NEWLINE, from); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
        if (turns.isOver()) return undefined;
        const stop = add(chunk.subarray(from, at)) ?? endLine();
        if (stop !== null) return stop;
        from = at + 1;
      }
      return from < chunk.byteLength ? add(chunk.subarray(from)) : null;
    });
  });
  if (reply !== null || pendingBytes === 0) return { reply, release };
  return { reply: await turns.run(owner, endLine), release };
}

const isBlank = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
