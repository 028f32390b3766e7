/** Failures of a handler: how it can report more than an error does, and what is reported for anything that it throws. */
import { messageOf } from '../../core/errors/agentcom-error.ts';
import type { FailureCause, WakeEvent } from '../../core/ports/wake-runner.ts';

const MARK = Symbol.for('agentcom.task-failure');

/** Maximum length of a reported stack, in characters. */
const STACK_CHARACTERS_MAX = 4_096;
/** Maximum length of the name of an error's class, in characters. */
const CLASS_CHARACTERS_MAX = 128;

/** What a failure says besides its message. */
export interface TaskFailureOptions {
  /** False: a retry cannot help, so the task goes to the dead-letter queue. Default true. */
  readonly retryable?: boolean | undefined;
  /**
   * Why the agent failed. With `auth`, `config`, `rate_limited` or `model_unavailable` the task is handed back without using up a
   * retry, and this agent is paused. Default `agent_failed`.
   */
  readonly kind?: FailureCause | undefined;
  /** How long a retry is pointless, milliseconds; for the kinds that pause the agent. */
  readonly retryAfterMs?: number | undefined;
  /** JSON, shown with the failure; up to 16 KiB together with the stack. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
}

/** Thrown by a handler, it says how the attempt failed. Any other error counts as one that a retry may help. */
export class TaskFailure extends Error {
  override readonly name: string = 'TaskFailure';
  readonly options: TaskFailureOptions;
  readonly [MARK] = true;

  constructor(message: string, options: TaskFailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.options = options;
  }
}

type Failed = Extract<WakeEvent, { readonly type: 'failed' }>;

/** The event for a value that a handler threw. Never throws. */
export function failureOf(thrown: unknown): Failed {
  const { retryable = true, kind = 'agent_failed', retryAfterMs, details } = optionsOf(thrown);
  return {
    type: 'failed',
    phase: 'agent',
    message: textOf(thrown),
    retryable,
    kind,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    details: { ...ownDetails(details), ...stackOf(thrown) },
  };
}

/** Empty if reading one of them throws. */
function ownDetails(details: TaskFailureOptions['details']): TaskFailureOptions['details'] {
  try {
    return { ...details };
  } catch {
    return {};
  }
}

/** Recognized by its mark, not by its class: the handler may use another copy of the package. */
function optionsOf(thrown: unknown): Omit<TaskFailureOptions, 'cause'> {
  try {
    if (!(thrown instanceof Error && MARK in thrown)) return {};
    // A subclass may declare a field of the same name, which is undefined then.
    const { retryable, kind, retryAfterMs, details } = ((thrown as TaskFailure).options as TaskFailureOptions | null | undefined) ?? {};
    return { retryable, kind, retryAfterMs, details };
  } catch {
    return {}; // What throws when read is reported like any other error.
  }
}

function textOf(thrown: unknown): string {
  try {
    if (thrown instanceof Error) return messageOf(thrown) || String(thrown.name);
    if (typeof thrown === 'string' && thrown !== '') return thrown;
    return `The handler threw ${typeof thrown === 'object' ? (JSON.stringify(thrown) ?? 'an object') : String(thrown) || 'an empty text'}`;
  } catch {
    return 'The handler threw something that cannot be displayed';
  }
}

function stackOf(thrown: unknown): { readonly error_class?: string; readonly stack?: string; readonly cause?: string } {
  try {
    if (!(thrown instanceof Error)) return {};
    const { stack, cause } = thrown;
    const name: unknown = thrown.constructor.name;
    return {
      ...(typeof name === 'string' ? { error_class: name.slice(0, CLASS_CHARACTERS_MAX) } : {}),
      ...(typeof stack === 'string' ? { stack: stack.slice(0, STACK_CHARACTERS_MAX) } : {}),
      ...(cause === undefined ? {} : { cause: messageOf(cause).slice(0, STACK_CHARACTERS_MAX) }),
    };
  } catch {
    return {}; // A getter threw.
  }
}
