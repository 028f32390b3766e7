/** From a checked submit body to the task that the queue is asked for. */
import type { TaskDraft } from '../../core/application/hub/commands.ts';
import type { AgentId, TaskId } from '../../core/domain/ids.ts';
import type { FieldError } from '../../core/protocol/frame-reader.ts';
import { MAX_RETRIES_DEFAULT, type SubmitBody } from '../../core/protocol/http-bodies.ts';

/** What each field allows by itself but not together. Nothing here looks at the clock: a repeat must mean the same later. */
export function contradictions(body: SubmitBody): readonly FieldError[] {
  if (body.run_at === undefined || body.complete_by === undefined || body.run_at < body.complete_by) return [];
  return [{ field: 'complete_by', error: 'contradiction', detail: 'must be after run_at' }];
}

/** Fields are copied by name, the defaults filled in. Metadata is kept as text from here on. */
export function draftOf(id: TaskId, body: SubmitBody): TaskDraft {
  return {
    id,
    priority: body.priority ?? 'normal',
    neededCapabilities: body.needed_capabilities ?? [],
    // The schema's pattern is the one that makes an id.
    assignTo: (body.assign_to ?? null) as AgentId | null,
    maxRetries: body.max_retries ?? MAX_RETRIES_DEFAULT,
    runAtMs: body.run_at ?? null,
    ttlMs: body.ttl_ms ?? null,
    runMaxMs: body.run_max_ms ?? null,
    completeByMs: body.complete_by ?? null,
    dependsOn: [...new Set(body.depends_on ?? [])] as TaskId[],
    body: {
      description: body.description,
      metadata: body.metadata === undefined ? null : JSON.stringify(body.metadata),
      repo: body.repo ?? null,
      branch: body.branch ?? null,
      fileHints: body.file_hints ?? [],
      successCriteria: body.success_criteria ?? [],
      verificationSteps: body.verification_steps ?? [],
    },
  };
}
