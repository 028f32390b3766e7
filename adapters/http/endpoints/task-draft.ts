/** From a checked submit body to the task that the queue is asked for. */
import type { TaskDraft } from '../../../core/application/hub/batch/commands.ts';
import type { TaskId } from '../../../core/domain/ids.ts';
import { noteCharacters, type Note, type Priority } from '../../../core/domain/task/task.ts';
import type { FieldError } from '../../../core/protocol/field-errors.ts';
import { MAX_RETRIES_DEFAULT, PRIORITY_SYNONYMS, type SubmitBody } from '../../../core/protocol/http-bodies.ts';
import { excessText, findExcess } from '../../../core/protocol/json-bounds.ts';
import { NOTE_CHARACTERS_MAX, NOTE_DEPTH_MAX, partsFromWire } from '../../../core/protocol/task-body.ts';
import { termsFromWire } from '../../../core/protocol/task-terms.ts';

/** What each field allows by itself but not together, and what a schema cannot say. Nothing here looks at the clock: a repeat must mean the same later. */
export function contradictions(body: SubmitBody): readonly FieldError[] {
  const large = Object.entries(body).flatMap(([field, value]) => (Array.isArray(value) ? tooLarge(field, value as readonly Note[]) : []));
  if (body.run_at === undefined || body.complete_by === undefined || body.run_at < body.complete_by) return large;
  return [...large, { field: 'complete_by', error: 'contradiction', detail: 'must be after run_at' }];
}

/** Objects in a list that are longer or deeper than a schema can say. */
function tooLarge(field: string, notes: readonly Note[]): readonly FieldError[] {
  return notes.flatMap((note, index): readonly FieldError[] => {
    if (typeof note === 'string') return [];
    const place = `${field}.${index}`;
    const excess = findExcess(note, NOTE_DEPTH_MAX);
    if (excess !== null) return [{ field: place, error: excess, detail: excessText(excess, NOTE_DEPTH_MAX) }];
    if (noteCharacters(note) <= NOTE_CHARACTERS_MAX) return [];
    return [{ field: place, error: 'size', detail: `must have at most ${NOTE_CHARACTERS_MAX} characters as JSON` }];
  });
}

const laneOf = (priority: SubmitBody['priority'] = 'normal'): Priority =>
  priority === 'critical' ? PRIORITY_SYNONYMS[priority] : priority;

/** Fields are copied by name, the defaults filled in. Metadata is kept as text from here on. */
export function draftOf(id: TaskId, body: SubmitBody): TaskDraft {
  return {
    id,
    priority: laneOf(body.priority),
    neededCapabilities: body.needed_capabilities ?? [],
    assignTo: body.assign_to ?? null,
    maxRetries: body.max_retries ?? MAX_RETRIES_DEFAULT,
    ...termsFromWire(body),
    dependsOn: [...new Set(body.depends_on ?? [])],
    body: {
      description: body.description,
      metadata: body.metadata === undefined ? null : JSON.stringify(body.metadata),
      ...partsFromWire(body),
    },
  };
}
