/** Answers of a model's service, and what they do to the task: the same whatever program reports them. See docs/agents.md, "Failures". */
import type { FailureCause } from '../../core/ports/wake-runner.ts';

/**
 * The effect on a task: it is handed back unspent, and its agent is paused; it has failed, and is not retried; it has
 * failed, and is retried; or the program has made a result of it.
 */
export type TaskEnd = 'handed back' | 'given up' | 'tried again' | 'completed';

export interface Outcome {
  readonly cause: FailureCause;
  readonly end: TaskEnd;
}

export interface ServiceAnswer extends Outcome {
  readonly about: string;
  /** Its word for the fake model. */
  readonly tag: string;
}

const row = (tag: string, cause: FailureCause, end: TaskEnd, about: string): ServiceAnswer => ({ tag, cause, end, about });

export const ANSWERS = {
  credit: row('[[answers: credit]]', 'config', 'handed back', 'a spent account'),
  'bad-key': row('[[answers: bad-key]]', 'auth', 'handed back', 'an unknown key, in the format of each service (Google answers 400)'),
  'no-model': row('[[answers: no-model]]', 'config', 'handed back', 'an unknown model'),
  '400': row('[[status: 400]]', 'agent_failed', 'given up', 'an invalid request'),
  '402': row('[[status: 402]]', 'config', 'handed back', 'an unpaid bill'),
  '403': row('[[status: 403]]', 'auth', 'handed back', 'a key without permission'),
  '413': row('[[status: 413]]', 'limit', 'given up', 'a request that is too large'),
  '422': row('[[status: 422]]', 'agent_failed', 'given up', 'a request that it cannot process'),
  '429': row('[[status: 429]]', 'rate_limited', 'handed back', 'too many requests'),
  '500': row('[[status: 500]]', 'model_unavailable', 'handed back', 'a broken service'),
  '503': row('[[status: 503]]', 'model_unavailable', 'handed back', 'an unavailable service'),
  '529': row('[[status: 529]]', 'model_unavailable', 'handed back', 'an overloaded service'),
  cut: row('[[answers: cut]]', 'model_unavailable', 'handed back', 'an answer whose stream breaks off'),
  context: row('[[answers: context]]', 'limit', 'given up', 'a context that is too long'),
  truncated: row('[[answers: truncated]]', 'limit', 'given up', 'an answer cut off at its maximum length'),
  refused: row('[[answers: refused]]', 'agent_failed', 'given up', 'a refusal by the model'),
  filtered: row('[[answers: filtered]]', 'agent_failed', 'given up', 'an answer filtered by its service'),
  empty: row('[[answers: empty]]', 'no_result', 'tried again', 'an empty answer'),
} as const satisfies Readonly<Record<string, ServiceAnswer>>;

export type AnswerName = keyof typeof ANSWERS;
export const ANSWER_NAMES = Object.keys(ANSWERS) as readonly AnswerName[];

/** What a program makes of an answer if it differs from the table; `why` is for people. */
export type Otherwise = { readonly why: string } & (Partial<Outcome> | { readonly isImpossible: true });
