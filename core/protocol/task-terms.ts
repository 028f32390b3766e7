/**
 * Times and limits that a submitter sets for a task, and that the queue enforces. A new one is added here and to `TaskTerms`: the submit body
 * and the task's JSON then contain it, and the compiler requires it in the draft.
 */
import { Type, type TSchema } from 'typebox';
import type { TaskTerms } from '../domain/task/task.ts';
import { durationField, timeField } from './fields.ts';

/** As submitted. */
export const submittedTerms = {
  complete_by: Type.Optional(timeField),
  run_at: Type.Optional(timeField),
  ttl_ms: Type.Optional(durationField),
  run_max_ms: Type.Optional(durationField),
} as const satisfies Readonly<Record<string, TSchema>>;

type WireTerm = keyof typeof submittedTerms;

const WIRE_NAMES: Readonly<Record<keyof TaskTerms, WireTerm>> = {
  completeByMs: 'complete_by',
  runAtMs: 'run_at',
  ttlMs: 'ttl_ms',
  runMaxMs: 'run_max_ms',
};
const TERMS = Object.entries(WIRE_NAMES) as readonly (readonly [keyof TaskTerms, WireTerm])[];

/** All of them, for a response; null: not given. */
export const termEntries = (terms: TaskTerms): readonly (readonly [WireTerm, number | null])[] =>
  TERMS.map(([term, wire]) => [wire, terms[term]] as const);
