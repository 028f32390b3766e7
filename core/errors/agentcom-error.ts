/**
 * The one error class of this project. Recognized by a marker, not by its class, because a plugin may bring its own copy.
 * Expected answers are values; errors are for failures and wrong usage.
 */
import type { ErrorCode } from './codes.ts';

const MARK = Symbol.for('agentcom.error');

/** What an error has besides its code and message. */
export interface AgentcomErrorOptions {
  /** Further data for programs and logs: JSON values, no secrets. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
  /** What to do: one or more sentences, each with its period. The message ends with it. */
  readonly hint?: string | undefined;
}

/** The one error of this package. `AgentcomError.is(error, code)` recognizes it, even if it comes from another copy of the package. */
export class AgentcomError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  /** The message without `hint`, what to do about it. */
  readonly found: string;
  /** Undefined: the message itself says what to do. */
  readonly hint: string | undefined;
  readonly [MARK] = true;

  /** `message` says what was tried, expected and found, and what to do unless `hint` does. */
  constructor(code: ErrorCode, message: string, options: AgentcomErrorOptions = {}) {
    super(
      options.hint === undefined ? message : `${message} ${options.hint}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = 'AgentcomError';
    this.code = code;
    this.details = options.details;
    this.found = message;
    this.hint = options.hint;
  }

  /** Whether `value` is an AgentcomError, from any copy of the package, and has this code if one is given. */
  static is(value: unknown, code?: ErrorCode): value is AgentcomError {
    try {
      if (typeof value !== 'object' || value === null || !(MARK in value)) return false;
      return code === undefined || (value as AgentcomError).code === code;
    } catch {
      return false; // A proxy that throws.
    }
  }
}

/** A message without its period, as a part of another sentence. */
export const withoutStop = (message: string): string => message.replace(/\.$/, '');

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  try {
    // The error of a connection that failed at every address of a host name has no message of its own.
    if (thrown instanceof AggregateError && thrown.message === '') return thrown.errors.map(messageOf).join('; ');
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'the error cannot be displayed'; // It has no text, or throws when converted to text.
  }
}

/** The message of an error of the file system without the call and its path, for a sentence that names the path itself. */
export const fileReasonOf = (thrown: unknown): string => messageOf(thrown).replace(/^(E[A-Z]+: [^,]+), \w+ '.*'$/s, '$1');
