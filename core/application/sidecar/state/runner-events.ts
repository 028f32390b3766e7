/**
 * What a wake runner says, checked where it enters. A runner is a stranger's program: what it says is journalled and sent, so
 * it is copied word by word, and nothing beyond this door meets a value that cannot be written or walked.
 */
import { Type, type TObject, type TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/schema';
import { utf8Bytes } from '../../../domain/encoded-text.ts';
import { messageOf } from '../../../errors/agentcom-error.ts';
import type { RunnerCheck, WakeEvent } from '../../../ports/wake-runner.ts';
import { RESULT_FILE_BYTES_MAX, RESULT_VALUES_MAX } from '../../../protocol/agent-files.ts';
import { fieldErrors } from '../../../protocol/field-errors.ts';
import { CHECK_CHARACTERS_MAX, CHECKS_MAX } from '../../../protocol/fields.ts';
import { excessText, findExcess, JSON_DEPTH_MAX } from '../../../protocol/json-bounds.ts';

/** `output` and `details` stand inside a frame, and there inside a field. */
const VALUE_DEPTH_MAX = JSON_DEPTH_MAX - 2;
/** Values of an output, as of a result file. */
const VALUES_MAX = RESULT_VALUES_MAX;
/** Of a message, what was printed, and the end of standard error, characters. */
const TEXT_CHARACTERS_MAX = 65_536;
/** Of what it throws, characters. */
const THROWN_CHARACTERS_MAX = 4_096;
/** Process ids of one list. */
const PIDS_MAX = 1_000;
/** A start time, a boot id, a cause, characters. */
const WORD_CHARACTERS_MAX = 256;

const type = <const T extends string>(name: T) => Type.Literal(name);
const text = Type.String();
const word = Type.Union([Type.String({ maxLength: WORD_CHARACTERS_MAX }), Type.Null()]);
const pid = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const pids = Type.Array(pid);
/** Read as far as they can be believed, where they are used: a wrong one says nothing. */
const unknown = Type.Optional(Type.Unknown());
const usedFields = { tokensUsed: unknown, costUsd: unknown, byModel: unknown };

const eventSchemas: Readonly<Record<WakeEvent['type'], TObject>> = {
  spawned: Type.Object({ type: type('spawned'), process: Type.Object({ pid, startTime: word, bootId: word }) }),
  woken: Type.Object({ type: type('woken') }),
  started: Type.Object({ type: type('started'), sessionId: Type.Optional(text) }),
  progress: Type.Object({ type: type('progress'), percent: unknown, message: unknown }),
  output: Type.Object({ type: type('output'), stream: unknown, text: unknown }),
  usage: Type.Object({ type: type('usage'), ...usedFields }),
  completed: Type.Object({ type: type('completed'), output: unknown, ...usedFields }),
  failed: Type.Object({
    type: type('failed'),
    phase: Type.Enum(['spawn', 'agent']),
    kind: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    message: text,
    retryable: Type.Boolean(),
    retryAfterMs: Type.Optional(Type.Number()),
    beforeWork: Type.Optional(Type.Boolean()),
    details: unknown,
  }),
  exited: Type.Object({
    type: type('exited'),
    exitCode: Type.Union([Type.Integer(), Type.Null()]),
    signal: word,
    stderrTail: text,
    survivors: Type.Optional(pids),
    sessionGone: Type.Optional(Type.Boolean()),
  }),
  stopped: Type.Object({ type: type('stopped'), survivors: pids }),
};

export type HeardWord =
  | { readonly kind: 'event'; readonly event: WakeEvent }
  /** `bad_word`: the runner is wrong; else what its agent gave as its result is no result. `message` says what and why. */
  | { readonly kind: 'refused'; readonly reason: RefusedWord; readonly message: string };
export type RefusedWord = 'bad_word' | 'result_invalid' | 'result_too_large';

/** What a runner threw, or what throws when it is looked at. */
export const thrownText = (thrown: unknown): string => messageOf(thrown).slice(0, THROWN_CHARACTERS_MAX);

/** A copy of what a runner yielded, or why it cannot be taken. Never throws. */
export function readWakeEvent(said: unknown): HeardWord {
  try {
    return read(said);
  } catch (thrown) {
    return refused(`an event cannot be read: ${thrownText(thrown)}`);
  }
}

const refused = (message: string, reason: RefusedWord = 'bad_word'): HeardWord => ({ kind: 'refused', reason, message });

function read(said: unknown): HeardWord {
  if (typeof said !== 'object' || said === null) return refused(`wanted an event, found ${said === null ? 'null' : `a ${typeof said}`}`);
  const name = (said as { readonly type?: unknown }).type;
  if (typeof name !== 'string' || !Object.hasOwn(eventSchemas, name)) {
    return refused(`wanted an event of type ${Object.keys(eventSchemas).join(', ')}, found ${String(name).slice(0, 64)}`);
  }
  const schema = eventSchemas[name as WakeEvent['type']];
  const event = picked(said, Object.keys(schema.properties));
  const problem = problemOf(name, schema, event);
  if (problem !== null) return refused(`an event "${name}" is wrong: ${problem}`);
  if (name === 'completed') {
    const output = readValue(event['output'] ?? null);
    if (output.kind === 'value') event['output'] = output.value;
    else return refused(`the result that its runner heard ${output.why}`, output.reason);
  }
  if (event['details'] !== undefined) {
    const details = readValue(event['details']);
    const isFit = details.kind === 'value' && typeof details.value === 'object' && details.value !== null && !Array.isArray(details.value);
    // What went wrong counts more than what goes with it.
    event['details'] = isFit ? details.value : { omitted: details.kind === 'value' ? 'is not an object' : details.why };
  }
  if (event['byModel'] !== undefined) {
    const byModel = readValue(event['byModel']);
    event['byModel'] = byModel.kind === 'value' ? byModel.value : undefined;
  }
  return { kind: 'event', event: bounded(event) as unknown as WakeEvent };
}

type Fields = Record<string, unknown>;

/** Each field is asked for once: what changes later, or answers otherwise, is a stranger's. */
function picked(said: object, names: readonly string[]): Fields {
  const fields: Fields = {};
  for (const name of names) {
    const value = (said as Readonly<Fields>)[name];
    if (value === undefined) continue;
    if (name === 'process' && typeof value === 'object' && value !== null) fields[name] = picked(value, ['pid', 'startTime', 'bootId']);
    else if (name === 'survivors' && Array.isArray(value)) fields[name] = value.slice(0, PIDS_MAX);
    else fields[name] = value;
  }
  return fields;
}

/** Of what is printed the end tells most, of a message its beginning. */
function bounded(event: Fields): Fields {
  const { message, text: printed, stderrTail } = event;
  if (typeof message === 'string') event['message'] = message.slice(0, TEXT_CHARACTERS_MAX);
  if (printed !== undefined) event['text'] = typeof printed === 'string' ? printed.slice(-TEXT_CHARACTERS_MAX) : '';
  if (typeof stderrTail === 'string') event['stderrTail'] = stderrTail.slice(-TEXT_CHARACTERS_MAX);
  return event;
}

type ReadValue =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'unfit'; readonly reason: 'result_invalid' | 'result_too_large'; readonly why: string };

/** A plain copy of a value that can be written as JSON. */
function readValue(value: unknown): ReadValue {
  let json: string | undefined;
  try {
    const excess = findExcess(value, VALUE_DEPTH_MAX, VALUES_MAX);
    if (excess !== null) return unfit(excessText(excess, VALUE_DEPTH_MAX, VALUES_MAX), excess === 'values');
    json = JSON.stringify(value);
  } catch (thrown) {
    return unfit(`cannot be written as JSON: ${thrownText(thrown).split('\n')[0] ?? ''}`);
  }
  if (json === undefined) return unfit(`cannot be written as JSON: found a ${typeof value}`);
  if (utf8Bytes(json) > RESULT_FILE_BYTES_MAX) return unfit(`must not be over ${RESULT_FILE_BYTES_MAX} bytes`, true);
  const copy = JSON.parse(json) as unknown;
  // What it says of itself as JSON (toJSON) may be deeper than it is.
  const copied = findExcess(copy, VALUE_DEPTH_MAX, VALUES_MAX);
  return copied === null ? { kind: 'value', value: copy } : unfit(excessText(copied, VALUE_DEPTH_MAX, VALUES_MAX));
}

const unfit = (why: string, isTooLarge = false): ReadValue => ({
  kind: 'unfit',
  reason: isTooLarge ? 'result_too_large' : 'result_invalid',
  why,
});

const checksSchema = Type.Array(Type.Object({ check: text, ok: Type.Boolean(), message: text }));

/** A copy of what a runner's check answered; one that cannot be read is a check that fails. Never throws. */
export function readChecks(said: unknown): readonly RunnerCheck[] {
  const broken = (why: string): readonly RunnerCheck[] => [{ check: 'runner', ok: false, message: `its checks broke: ${why}` }];
  try {
    const checks: unknown = Array.isArray(said) ? Array.from(said.slice(0, CHECKS_MAX), checkIn) : said;
    const problem = problemOf('checks', checksSchema, checks);
    if (problem !== null) return broken(`wanted a list of { check, ok, message }: ${problem}`);
    return (checks as RunnerCheck[]).map(({ check, ok, message }) => ({
      check: check.slice(0, CHECK_CHARACTERS_MAX),
      ok,
      message: message.slice(0, CHECK_CHARACTERS_MAX),
    }));
  } catch (thrown) {
    return broken(thrownText(thrown));
  }
}

const checkIn = (said: unknown): unknown => (typeof said === 'object' && said !== null ? picked(said, ['check', 'ok', 'message']) : said);

const validators = new Map<string, Validator>();

/** What is wrong with it first; null for nothing. Each schema is compiled once, on first use. */
function problemOf(name: string, schema: TSchema, value: unknown): string | null {
  let validator = validators.get(name);
  if (validator === undefined) {
    validator = Compile(schema);
    validators.set(name, validator);
  }
  if (validator.Check(value)) return null;
  const [first] = fieldErrors(validator, value);
  return first === undefined ? 'it is not what it should be' : `${first.field || 'it'} ${first.detail}`;
}
