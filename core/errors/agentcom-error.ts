/**
 * The one error of this project. Known by a mark, not by its class, because a plugin may carry its own copy of us.
 * Expected answers are values, not errors; this is for what is broken or was asked wrongly.
 */
import type { ErrorCode } from './codes.ts';

const MARK = Symbol.for('agentcom.error');

export interface AgentcomErrorOptions {
  /** More for machines and logs: JSON values, no secrets. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
}

export class AgentcomError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly [MARK] = true;

  /** `message` says what was tried, wanted, found, and what to do. */
  constructor(code: ErrorCode, message: string, options: AgentcomErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AgentcomError';
    this.code = code;
    this.details = options.details;
  }

  /** Whether `value` is one of ours, from whichever copy, and, where given, with this code. */
  static is(value: unknown, code?: ErrorCode): value is AgentcomError {
    if (typeof value !== 'object' || value === null || !(MARK in value)) return false;
    return code === undefined || (value as AgentcomError).code === code;
  }
}

/** The text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'what was thrown cannot be read'; // An object that has no text, or does not tell it.
  }
}
