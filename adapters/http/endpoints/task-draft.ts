/** Converts a validated submit body into a `TaskDraft`. */
import type { TaskDraft } from '../../../core/application/hub/batch/commands.ts';
import type { TaskId } from '../../../core/domain/ids.ts';
import { noteCharacters, type Note, type Priority } from '../../../core/domain/task/task.ts';
import type { TraceContext } from '../../../core/domain/task/trace-context.ts';
import type { FieldError } from '../../../core/protocol/field-errors.ts';
import { MAX_RETRIES_DEFAULT, PRIORITY_SYNONYMS, submitSchema, type SubmitBody } from '../../../core/protocol/http-bodies.ts';
import { excessText, findExcess } from '../../../core/protocol/json-bounds.ts';
import { NOTE_CHARACTERS_MAX, NOTE_DEPTH_MAX, bodyFromWire } from '../../../core/protocol/task-body.ts';

const FIELDS = Object.keys(submitSchema.properties) as readonly (keyof SubmitBody)[];

/** The checks that a schema cannot express. They are independent of the current time, so that a repeated request gets the same answer. */
export function semanticErrors(body: SubmitBody): readonly FieldError[] {
  const errors: FieldError[] = [];
  if (hasListOfNotes(body))
    for (const field of FIELDS) if (hasNotes(body[field])) errors.push(...noteErrors(field, body[field] as readonly Note[]));
  const isReversed = body.run_at !== undefined && body.complete_by !== undefined && body.complete_by <= body.run_at;
  return isReversed ? [...errors, { field: 'complete_by', error: 'contradiction', detail: 'must be after run_at' }] : errors;
}

/** Whether a list in the body contains anything but strings: then it is a list of notes. */
function hasListOfNotes(body: SubmitBody): boolean {
  for (const field in body) if (hasNotes(body[field as keyof SubmitBody])) return true;
  return false;
}
const hasNotes = (value: unknown): boolean => Array.isArray(value) && !value.every(isText);
const isText = (value: unknown): boolean => typeof value === 'string';

/** Notes that are too deep or too large, which a schema cannot express. Strings need no check here: the schema limits them. */
function noteErrors(field: string, notes: readonly Note[]): readonly FieldError[] {
  return notes.flatMap((note, index): readonly FieldError[] => {
    if (typeof note === 'string') return [];
    const path = `${field}.${index}`;
    const excess = findExcess(note, NOTE_DEPTH_MAX);
    if (excess !== null) return [{ field: path, error: excess, detail: excessText(excess, NOTE_DEPTH_MAX) }];
    if (noteCharacters(note) <= NOTE_CHARACTERS_MAX) return [];
    return [{ field: path, error: 'size', detail: `must have at most ${NOTE_CHARACTERS_MAX} characters as JSON` }];
  });
}

const toPriority = (priority: SubmitBody['priority'] = 'normal'): Priority =>
  priority === 'critical' ? PRIORITY_SYNONYMS[priority] : priority;

const NO_NAMES: readonly never[] = [];

/**
 * Fills in the defaults, field by field: V8 takes several times as long for a spread. From here on metadata is JSON text, which is parsed
 * again only for the frame of an assignment.
 */
export function toTaskDraft(id: TaskId, body: SubmitBody, trace: TraceContext): TaskDraft {
  const metadata = body.metadata === undefined ? null : JSON.stringify(body.metadata);
  return {
    id,
    priority: toPriority(body.priority),
    neededCapabilities: body.needed_capabilities ?? NO_NAMES,
    assignTo: body.assign_to ?? null,
    maxRetries: body.max_retries ?? MAX_RETRIES_DEFAULT,
    completeByMs: body.complete_by ?? null,
    runAtMs: body.run_at ?? null,
    ttlMs: body.ttl_ms ?? null,
    runMaxMs: body.run_max_ms ?? null,
    dependsOn: body.depends_on === undefined ? NO_NAMES : [...new Set(body.depends_on)],
    body: bodyFromWire(body.description, metadata, body, trace),
  };
}
