/** The sidecar's journaled state: versioned, and validated when it is read. */
import { Type } from 'typebox';
import { Compile, type Validator } from 'typebox/schema';
import { ENDED_ENTRY_PATTERN, type EndedEntry } from '../../../domain/assignment/ended-assignments.ts';
import { OUTBOX_REPORTS, type OutboxEntry } from '../../../domain/assignment/outbox.ts';
import { SLOT_STATUSES, STOP_CAUSES, type Slot } from '../../../domain/assignment/slot.ts';
import { AgentcomError } from '../../../errors/agentcom-error.ts';
import { generationField, objectField, taskIdField } from '../../../protocol/fields.ts';
import { fieldErrors } from '../../../protocol/field-errors.ts';

const JOURNAL_VERSION = 1;

export interface JournalState {
  readonly version: typeof JOURNAL_VERSION;
  /** Oldest first. */
  readonly slots: readonly Slot[];
  /** In the order in which the reports were made. */
  readonly outbox: readonly OutboxEntry[];
  readonly ended: readonly EndedEntry[];
}

export const EMPTY_JOURNAL: JournalState = { version: JOURNAL_VERSION, slots: [], outbox: [], ended: [] };

/**
 * What is kept of the journal in a copied data directory. Reports and ended assignments are valid wherever they come from. Runs belong
 * to the original sidecar: they are neither resumed nor reported as lost, and the hub decides.
 */
export const stateOfCopy = (state: JournalState): JournalState => ({ ...state, slots: [] });

const text = Type.String();
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);
const assignment = { taskId: taskIdField, generation: generationField };
/** Wall times come from clocks that may be wrong, so they are not bounded. */
const wallTime = Type.Number();

const runSchema = Type.Object({
  runId: text,
  startedAtMs: wallTime,
  process: orNull(Type.Object({ pid: Type.Integer({ minimum: 1 }), startTime: orNull(text), bootId: orNull(text) })),
  woken: Type.Boolean(),
  detached: Type.Boolean(),
});

const count = orNull(Type.Number({ minimum: 0 }));
const inabilitySchema = Type.Object({ cause: text, retryAtMs: orNull(wallTime), afterWork: Type.Optional(Type.Boolean()) });
const usageSchema = Type.Object({
  tokensUsed: count,
  costUsd: count,
  models: Type.Optional(
    Type.Array(Type.Object({ model: text, inputTokens: count, cachedInputTokens: count, outputTokens: count, costUsd: count })),
  ),
});

const journalSchema = Type.Object({
  version: Type.Literal(JOURNAL_VERSION),
  slots: Type.Array(
    Type.Object({
      ...assignment,
      status: Type.Enum([...SLOT_STATUSES]),
      storeId: orNull(text),
      assignedAtMs: wallTime,
      acceptedAtMs: wallTime,
      runMaxMs: orNull(Type.Number({ minimum: 0 })),
      task: Type.Intersect([objectField, Type.Object({ description: text })]),
      wakes: Type.Integer({ minimum: 0 }),
      expectedSinceMs: orNull(wallTime),
      run: orNull(runSchema),
      spent: Type.Optional(usageSchema),
      sessionId: Type.Optional(text),
      keepStreams: Type.Optional(Type.Boolean()),
      stop: orNull(
        Type.Object({
          cause: Type.Enum([...STOP_CAUSES]),
          reason: text,
          graceMs: orNull(Type.Number({ minimum: 0 })),
          inability: Type.Optional(inabilitySchema),
        }),
      ),
    }),
  ),
  outbox: Type.Array(
    Type.Object({
      ...assignment,
      report: Type.Enum([...OUTBOX_REPORTS]),
      reason: orNull(text),
      storeId: orNull(text),
      assignedAtMs: wallTime,
      keepFiles: Type.Boolean(),
      mayLive: Type.Optional(Type.Boolean()),
      aside: Type.Optional(
        Type.Object({
          inability: Type.Optional(inabilitySchema),
          tokensUsed: count,
          costUsd: count,
          sessionId: Type.Optional(text),
        }),
      ),
    }),
  ),
  ended: Type.Array(Type.String({ pattern: ENDED_ENTRY_PATTERN })),
});

/** Compiled on first use. */
let validator: Validator | null = null;

/**
 * Validates a journal value; an undefined one is a journal that was never written.
 * Throws `AC_SCHEMA_UNKNOWN` for a newer version and `AC_JOURNAL_CORRUPT` for anything a sidecar does not write.
 */
export function readJournalState(value: unknown): JournalState {
  if (value === undefined) return EMPTY_JOURNAL;
  const version = typeof value === 'object' && value !== null && 'version' in value ? value.version : undefined;
  if (typeof version === 'number' && version > JOURNAL_VERSION) {
    throw new AgentcomError(
      'AC_SCHEMA_UNKNOWN',
      `Cannot read the sidecar's journal: it has version ${version}, this program knows up to ${JOURNAL_VERSION}. ` +
        'Start the newer version of agentcom that wrote it.',
    );
  }
  validator ??= Compile(journalSchema);
  if (!validator.Check(value)) {
    throw new AgentcomError(
      'AC_JOURNAL_CORRUPT',
      "Cannot read the sidecar's journal: it is intact but was not written by a sidecar. Keep a copy of the data directory; " +
        'restore a good queue.json together with the ended-*.log and the files of held/ it names, or start with an empty data directory: the hub then reclaims its tasks.',
      { details: { errors: fieldErrors(validator, value, 'strings') } },
    );
  }
  return value as unknown as JournalState;
}
