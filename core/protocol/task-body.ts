/**
 * What a submitter says about a task besides its description and metadata. It never changes, and the queue decides nothing by it. A new
 * part is added here and to `TaskBody`; the submit body, the assignment, the agent's task file and the task's JSON then contain it.
 */
import { Type, type TSchema } from 'typebox';
import { acceptanceIn, type Acceptable, type TaskBody } from '../domain/task/task.ts';
import type { TraceContext } from '../domain/task/trace-context.ts';
import { canonicalJson } from './json-text.ts';
import { acceptFields, maybe, objectField, signatureField } from './fields.ts';

/** Entries of a list of texts. */
const NOTES_MAX = 256;
export const NOTE_CHARACTERS_MAX = 4_096;
/** Names and depth of a hint or a step that is an object; its JSON has at most `NOTE_CHARACTERS_MAX`. */
const NOTE_NAMES_MAX = 64;
export const NOTE_DEPTH_MAX = 8;

const place = Type.String({ minLength: 1, maxLength: 1_024 });
const sentence = Type.String({ minLength: 1, maxLength: NOTE_CHARACTERS_MAX });
const sentences = Type.Array(sentence, { maxItems: NOTES_MAX });
const note = Type.Union([sentence, Type.Record(Type.String(), Type.Unknown(), { maxProperties: NOTE_NAMES_MAX })]);
const notes = Type.Array(note, { maxItems: NOTES_MAX });

/** As submitted: bounded, with no other fields. */
export const submittedParts = {
  repo: Type.Optional(place),
  branch: Type.Optional(place),
  file_hints: Type.Optional(notes),
  success_criteria: Type.Optional(sentences),
  verification_steps: Type.Optional(notes),
  accept: Type.Optional(Type.Object(acceptFields, { additionalProperties: false })),
  signature: Type.Optional(signatureField),
} as const satisfies Readonly<Record<string, TSchema>>;

const text = Type.String();

/** As assigned: a newer hub may send more. */
export const assignedParts = {
  repo: maybe(text),
  branch: maybe(text),
  file_hints: Type.Optional(Type.Array(Type.Union([text, objectField]))),
  success_criteria: Type.Optional(Type.Array(text)),
  verification_steps: Type.Optional(Type.Array(Type.Union([text, objectField]))),
  accept: Type.Optional(Type.Object(acceptFields)),
  signature: maybe(text),
  // Headers of the submit.
  traceparent: maybe(text),
  tracestate: maybe(text),
} as const satisfies Readonly<Record<keyof typeof submittedParts | keyof TraceContext, TSchema>>;

type Part = Exclude<keyof TaskBody, 'description' | 'metadata'>;
export type WirePart = keyof typeof assignedParts;

const WIRE_NAMES: Readonly<Record<Part, WirePart>> = {
  repo: 'repo',
  branch: 'branch',
  fileHints: 'file_hints',
  successCriteria: 'success_criteria',
  verificationSteps: 'verification_steps',
  accept: 'accept',
  signature: 'signature',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
};
const PARTS = Object.entries(WIRE_NAMES) as readonly (readonly [Part, WirePart])[];
const PART_OF: ReadonlyMap<string, Part> = new Map(PARTS.map(([part, wire]) => [wire, part]));

/** A body for which nothing but the description and metadata is given. */
const NOTHING_GIVEN = { repo: null, branch: null, fileHints: [], successCriteria: [], verificationSteps: [] } satisfies Omit<
  TaskBody,
  'description' | 'metadata' | 'accept' | 'signature' | keyof TraceContext
>;

/** Parts that most tasks do not have. */
const RARE_PARTS = PARTS.filter(([part]) => !Object.hasOwn(NOTHING_GIVEN, part));

type GivenParts = Readonly<Partial<Record<WirePart, unknown>>>;

/** A part as the domain represents it; undefined or null: not given. */
const given = (parts: GivenParts, wire: WirePart): unknown =>
  wire === 'accept' ? acceptanceIn(parts.accept as { readonly [End in Acceptable]?: boolean } | undefined) : parts[wire];

/** From checked fields of a submit or an assignment; other fields are left out. */
export const partsFromWire = (fields: GivenParts): Pick<TaskBody, Part> => withParts({ ...NOTHING_GIVEN }, fields);

/** The body of a task, from the checked fields of a submit. */
export function bodyFromWire(description: string, metadata: string | null, fields: GivenParts, trace: TraceContext): TaskBody {
  const { repo, branch, fileHints, successCriteria, verificationSteps } = NOTHING_GIVEN;
  const body = withParts<TaskBody>({ description, metadata, repo, branch, fileHints, successCriteria, verificationSteps }, fields);
  return trace.traceparent === undefined ? body : { ...body, ...trace };
}

/** Adds what is given to a body that has no parts yet. Iterates over the fields, because most tasks have none of the parts. */
function withParts<B extends Pick<TaskBody, Part>>(body: B, fields: GivenParts): B {
  const parts: Partial<Record<Part, unknown>> = body;
  for (const name in fields) {
    const part = PART_OF.get(name);
    if (part === undefined) continue;
    const value = given(fields, name as WirePart);
    if (value !== undefined && value !== null) parts[part] = value;
  }
  return body;
}

/** Fields of an assignment, and of the task that an agent gets. */
export function partsToWire(body: Pick<TaskBody, Part>): Readonly<Partial<Record<WirePart, unknown>>> {
  const fields: Partial<Record<WirePart, unknown>> = {};
  for (const [part, wire] of PARTS) if (body[part] !== undefined) fields[wire] = body[part];
  return fields;
}

/** Copies what most tasks do not have from checked fields of an assignment to those of the task that an agent gets. */
export function copyRareParts(fields: GivenParts, to: Partial<Record<WirePart, unknown>>): void {
  for (const [, wire] of RARE_PARTS) {
    const value = given(fields, wire);
    if (value !== undefined && value !== null) to[wire] = value;
  }
}

/** All of them, for a response; null: not given. */
export const partEntries = (body: TaskBody): readonly (readonly [WirePart, unknown])[] =>
  PARTS.map(([part, wire]) => [wire, body[part] ?? null] as const);

/** Whether two bodies say the same to an agent. Their trace and their signature may differ: a repeated submit may have others. */
export const isSameContent = (one: TaskBody, other: TaskBody): boolean => contentOf(one) === contentOf(other);

const contentOf = ({ traceparent: _, tracestate: __, signature: ___, metadata, ...rest }: TaskBody): string =>
  canonicalJson({ ...rest, metadata: metadata === null ? {} : (JSON.parse(metadata) as unknown) });
