/**
 * Validates what a wake runner yields. Runners are third-party code and their events are journaled and sent, so each
 * is copied field by field; nothing past this point sees a value that cannot be serialized or walked.
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

/** `output` and `details` are nested two levels deep in a frame. */
const VALUE_DEPTH_MAX = JSON_DEPTH_MAX - 2;
/** Maximum number of values in an output, as in a result file. */
const VALUES_MAX = RESULT_VALUES_MAX;
/** Maximum length of messages, output and stderr tails, in characters. */
const TEXT_CHARACTERS_MAX = 65_536;
/** Maximum length of the text of a thrown error, in characters. */
const THROWN_CHARACTERS_MAX = 4_096;
/** Maximum length of the kind of a failure, in characters. */
const KIND_CHARACTERS_MAX = 64;
/** Maximum number of process ids in a list. */
const PIDS_MAX = 1_000;
/** Maximum length of start times, boot ids and signals, in characters. */
const NAME_CHARACTERS_MAX = 256;

const type = <const T extends string>(name: T) => Type.Literal(name);
const text = Type.String();
const shortText = Type.Union([Type.String({ maxLength: NAME_CHARACTERS_MAX }), Type.Null()]);
const pid = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const pids = Type.Array(pid);
/** Validated where it is used; a wrong value is ignored. */
const unknown = Type.Optional(Type.Unknown());
const usedFields = { tokensUsed: unknown, costUsd: unknown, byModel: unknown };

const eventSchemas: Readonly<Record<WakeEvent['type'], TObject>> = {
  spawned: Type.Object({ type: type('spawned'), process: Type.Object({ pid, startTime: shortText, bootId: shortText }) }),
  woken: Type.Object({ type: type('woken') }),
  started: Type.Object({ type: type('started'), sessionId: Type.Optional(text) }),
  progress: Type.Object({ type: type('progress'), percent: unknown, message: unknown }),
  output: Type.Object({
    type: type('output'),
    stream: unknown,
    text: unknown,
    dropped: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
  }),
  usage: Type.Object({ type: type('usage'), ...usedFields }),
  completed: Type.Object({ type: type('completed'), output: unknown, ...usedFields }),
  failed: Type.Object({
    type: type('failed'),
    phase: Type.Enum(['spawn', 'agent']),
    message: text,
    // The failure matters more than these.
    kind: unknown,
    retryable: unknown,
    retryAfterMs: unknown,
    beforeWork: unknown,
    details: unknown,
  }),
  exited: Type.Object({
    type: type('exited'),
    exitCode: Type.Union([Type.Integer(), Type.Null()]),
    signal: shortText,
    stderrTail: text,
    survivors: Type.Optional(pids),
    sessionGone: Type.Optional(Type.Boolean()),
  }),
  stopped: Type.Object({ type: type('stopped'), survivors: pids }),
};

export type ReadEvent =
  /** `ignored`: the names of its invalid fields. */
  | { readonly kind: 'event'; readonly event: WakeEvent; readonly ignored?: readonly string[] }
  /** `invalid_event`: the runner is broken. Otherwise the agent's result is invalid. `message` says what and why. */
  | { readonly kind: 'invalid'; readonly reason: InvalidEventReason; readonly message: string };
export type InvalidEventReason = 'invalid_event' | 'result_invalid' | 'result_too_large';

/** The text of an error that a runner, or reading one of its values, threw. */
export const errorText = (thrown: unknown): string => messageOf(thrown).slice(0, THROWN_CHARACTERS_MAX);

/** Copies an event that a runner yielded, or says why it is invalid. Never throws. */
export function readWakeEvent(value: unknown): ReadEvent {
  try {
    return read(value);
  } catch (thrown) {
    return invalid(`an event cannot be read: ${errorText(thrown)}`);
  }
}

const invalid = (message: string, reason: InvalidEventReason = 'invalid_event'): ReadEvent => ({ kind: 'invalid', reason, message });

function read(value: unknown): ReadEvent {
  if (typeof value !== 'object' || value === null)
    return invalid(`expected an event, found ${value === null || value === undefined ? String(value) : `a ${typeof value}`}`);
  const name = (value as { readonly type?: unknown }).type;
  if (typeof name !== 'string' || !Object.hasOwn(eventSchemas, name)) {
    return invalid(`expected an event of type ${Object.keys(eventSchemas).join(', ')}, found ${String(name).slice(0, 64)}`);
  }
  const schema = eventSchemas[name as WakeEvent['type']];
  const event = pickFields(value, Object.keys(schema.properties));
  const problem = problemOf(name, schema, event);
  if (problem !== null) return invalid(`the event "${name}" is invalid: ${problem}`);
  if (name === 'completed') {
    const output = readValue(event['output'] ?? null);
    if (output.kind === 'value') event['output'] = output.value;
    else return invalid(`the result from its runner ${output.message}`, output.reason);
  }
  if (event['details'] !== undefined) {
    const details = readValue(event['details']);
    const isObject =
      details.kind === 'value' && typeof details.value === 'object' && details.value !== null && !Array.isArray(details.value);
    event['details'] = isObject ? details.value : { omitted: details.kind === 'value' ? 'is not an object' : details.message };
  }
  if (event['byModel'] !== undefined) {
    const byModel = readValue(event['byModel']);
    event['byModel'] = byModel.kind === 'value' ? byModel.value : undefined;
  }
  const ignored = name === 'failed' ? dropInvalid(event) : [];
  const read = { kind: 'event' as const, event: bounded(event) as unknown as WakeEvent };
  return ignored.length === 0 ? read : { ...read, ignored };
}

const isValid: Readonly<Record<string, (value: unknown) => boolean>> = {
  kind: (value) => typeof value === 'string' && value !== '' && value.length <= KIND_CHARACTERS_MAX,
  retryable: (value) => typeof value === 'boolean',
  retryAfterMs: Number.isFinite,
  beforeWork: (value) => typeof value === 'boolean',
};

/** Removes the invalid fields of a failure, and returns their names. Unless it says otherwise, it is retryable. */
function dropInvalid(event: Fields): string[] {
  const ignored = Object.keys(isValid).filter((name) => event[name] !== undefined && isValid[name]?.(event[name]) === false);
  for (const name of ignored) delete event[name];
  event['retryable'] ??= true;
  return ignored;
}

type Fields = Record<string, unknown>;

/** Reads each field once: getters and proxies may answer differently the second time. */
function pickFields(source: object, names: readonly string[]): Fields {
  const fields: Fields = {};
  for (const name of names) {
    const value = (source as Readonly<Fields>)[name];
    if (value === undefined) continue;
    if (name === 'process' && typeof value === 'object' && value !== null) fields[name] = pickFields(value, ['pid', 'startTime', 'bootId']);
    else if (name === 'survivors' && Array.isArray(value)) fields[name] = value.slice(0, PIDS_MAX);
    else fields[name] = value;
  }
  return fields;
}

/** For output the end matters most, for a message the beginning. */
function bounded(event: Fields): Fields {
  const { message, text: printed, stderrTail } = event;
  if (typeof message === 'string') event['message'] = message.slice(0, TEXT_CHARACTERS_MAX);
  if (printed !== undefined) event['text'] = typeof printed === 'string' ? printed.slice(-TEXT_CHARACTERS_MAX) : '';
  if (typeof printed === 'string' && printed.length > TEXT_CHARACTERS_MAX)
    event['dropped'] = Number(event['dropped'] ?? 0) + printed.length - TEXT_CHARACTERS_MAX;
  if (typeof stderrTail === 'string') event['stderrTail'] = stderrTail.slice(-TEXT_CHARACTERS_MAX);
  return event;
}

type ReadValue =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'rejected'; readonly reason: 'result_invalid' | 'result_too_large'; readonly message: string };

/** A plain copy of a JSON-serializable value. */
function readValue(value: unknown): ReadValue {
  let json: string | undefined;
  try {
    const excess = findExcess(value, VALUE_DEPTH_MAX, VALUES_MAX);
    if (excess === 'depth' && refersToItself(value, VALUE_DEPTH_MAX)) return rejected('must not refer to itself');
    if (excess !== null) return rejected(excessText(excess, VALUE_DEPTH_MAX, VALUES_MAX), excess === 'values');
    json = JSON.stringify(value);
  } catch (thrown) {
    return rejected(`cannot be written as JSON: ${errorText(thrown).split('\n')[0] ?? ''}`);
  }
  if (json === undefined) return rejected(`cannot be written as JSON: found a ${typeof value}`);
  if (utf8Bytes(json) > RESULT_FILE_BYTES_MAX) return rejected(`must not be over ${RESULT_FILE_BYTES_MAX} bytes`, true);
  const copy = JSON.parse(json) as unknown;
  // toJSON() may return something deeper than the value itself.
  const copied = findExcess(copy, VALUE_DEPTH_MAX, VALUES_MAX);
  return copied === null ? { kind: 'value', value: copy } : rejected(excessText(copied, VALUE_DEPTH_MAX, VALUES_MAX));
}

/** From the value, the objects within each other at which `findExcess` went too deep, in the same order of members. */
function tooDeep(value: unknown, depthLeft: number, above: readonly object[] = []): readonly object[] | null {
  if (typeof value !== 'object' || value === null) return null;
  const path = [...above, value];
  if (depthLeft === 0) return path;
  for (const name in value) {
    const found = tooDeep((value as Readonly<Fields>)[name], depthLeft - 1, path);
    if (found !== null) return found;
  }
  return null;
}

/** Whether it is because of a cycle that the value is deeper than this. */
export function refersToItself(value: unknown, depthMax: number): boolean {
  const path = tooDeep(value, depthMax);
  return path !== null && new Set(path).size < path.length;
}

const rejected = (message: string, isTooLarge = false): ReadValue => ({
  kind: 'rejected',
  reason: isTooLarge ? 'result_too_large' : 'result_invalid',
  message,
});

const checksSchema = Type.Array(Type.Object({ check: text, ok: Type.Boolean(), message: text, hint: Type.Optional(text) }));

/** Copies what a runner's check returned; an invalid answer becomes a failed check. Never throws. */
export function readChecks(value: unknown): readonly RunnerCheck[] {
  const broken = (message: string): readonly RunnerCheck[] => [{ check: 'runner', ok: false, message: `checks threw: ${message}` }];
  try {
    const checks: unknown = Array.isArray(value) ? Array.from(value.slice(0, CHECKS_MAX), copyCheck) : value;
    const problem = problemOf('checks', checksSchema, checks);
    if (problem !== null) return broken(`expected a list of { check, ok, message, hint? }: ${problem}`);
    return (checks as RunnerCheck[]).map(({ check, ok, message, hint }) => ({
      check: check.slice(0, CHECK_CHARACTERS_MAX),
      ok,
      message: message.slice(0, CHECK_CHARACTERS_MAX),
      ...(hint === undefined ? {} : { hint: hint.slice(0, CHECK_CHARACTERS_MAX) }),
    }));
  } catch (thrown) {
    return broken(errorText(thrown));
  }
}

const copyCheck = (value: unknown): unknown =>
  typeof value === 'object' && value !== null ? pickFields(value, ['check', 'ok', 'message', 'hint']) : value;

const validators = new Map<string, Validator>();

/** The first problem, or null. Each schema is compiled on first use. */
function problemOf(name: string, schema: TSchema, value: unknown): string | null {
  let validator = validators.get(name);
  if (validator === undefined) {
    validator = Compile(schema);
    validators.set(name, validator);
  }
  if (validator.Check(value)) return null;
  const [first] = fieldErrors(validator, value, 'strings');
  return first === undefined ? 'it is invalid' : `${first.field || 'it'} ${first.detail}`;
}
