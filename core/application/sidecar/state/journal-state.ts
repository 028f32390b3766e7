/** What a sidecar keeps in its journal: versioned, and believed only after it was checked. */
import { Type } from 'typebox';
import { Compile, type Validator } from 'typebox/schema';
import { ENDED_ENTRY_PATTERN, type EndedEntry } from '../../../domain/assignment/ended-assignments.ts';
import { REPORTS, type OutboxEntry } from '../../../domain/assignment/outbox.ts';
import { SLOT_STATUSES, STOP_CAUSES, type Slot } from '../../../domain/assignment/slot.ts';
import { AgentcomError } from '../../../errors/agentcom-error.ts';
import { generationField, objectField, taskIdField } from '../../../protocol/fields.ts';
import { fieldErrors } from '../../../protocol/field-errors.ts';

export const JOURNAL_VERSION = 1;

export interface JournalState {
  readonly version: typeof JOURNAL_VERSION;
  /** Oldest first. */
  readonly slots: readonly Slot[];
  /** In the order in which they were said. */
  readonly outbox: readonly OutboxEntry[];
  readonly ended: readonly EndedEntry[];
}

export const EMPTY_JOURNAL: JournalState = { version: JOURNAL_VERSION, slots: [], outbox: [], ended: [] };

/**
 * What a copy of a data directory takes over: reports and the memory of ends are true of whoever says them. Runs are the original's: they
 * are neither gone on with nor told as lost, and the hub judges.
 */
export const stateOfCopy = (state: JournalState): JournalState => ({ ...state, slots: [] });

const text = Type.String();
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);
const assignment = { taskId: taskIdField, generation: generationField };
/** Wall times come from a clock that may be wrong, so they have no bounds of their own. */
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
      report: Type.Enum([...REPORTS]),
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
 * The state inside what the journal gave; an empty one for a journal that was never written.
 * Throws `AC_SCHEMA_UNKNOWN` for one of a newer version, `AC_JOURNAL_CORRUPT` for one that is not what we write.
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
      "Cannot read the sidecar's journal: it is whole, but not what a sidecar writes. Keep a copy of the data directory; " +
        'put back a queue.json that was good with the ended-*.log that it names, or start with an empty data directory: the hub then takes its tasks back.',
      { details: { errors: fieldErrors(validator, value) } },
    );
  }
  return value as unknown as JournalState;
}
