/**
 * Ids. Each is a branded string or number, so that a task id cannot be passed where an agent id is expected. Ids from outside
 * pass the `is…` checks here and nowhere else; file paths are built only from checked ids.
 */

declare const brand: unique symbol;

/** Identifies a task: `task-` and 16 to 64 hexadecimal digits; ours are time-ordered. */
export type TaskId = string & { readonly [brand]: 'TaskId' };

/** Identifies an agent; chosen by its operator: lower case letters, digits, `.`, `_`, `-`, at most 64 characters. */
export type AgentId = string & { readonly [brand]: 'AgentId' };

/** The fencing token of an assignment: a count that only grows; 0 before the first assignment. */
export type Generation = number & { readonly [brand]: 'Generation' };

/** The same type without brands, at any depth: for data that is exchanged with others. */
export type Unbranded<T> = T extends TaskId | AgentId
  ? string
  : T extends Generation
    ? number
    : T extends object
      ? { [Key in keyof T]: Unbranded<T[Key]> }
      : T;

const TASK_ID = /^task-[0-9a-f]{16,64}$/;
const AGENT_ID = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** Patterns as text, for the schemas of the protocol. */
export const TASK_ID_PATTERN = TASK_ID.source;
/** The pattern of agent IDs, as the source of a regular expression. */
export const AGENT_ID_PATTERN = AGENT_ID.source;

/** Whether this is a string in the form of a task ID. */
export const isTaskId = (value: unknown): value is TaskId => typeof value === 'string' && TASK_ID.test(value);

/** Whether this is a string in the form of an agent ID. */
export const isAgentId = (value: unknown): value is AgentId => typeof value === 'string' && AGENT_ID.test(value);

/** Whether this is a whole number from 0 to `GENERATION_MAX`. */
export const isGeneration = (value: unknown): value is Generation =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= GENERATION_MAX;

/**
 * The highest generation in any frame. Each assignment and each reclaim takes one: at a thousand of each per second a task would
 * reach it in 15 years, and one more can still be added and stored exactly.
 */
export const GENERATION_MAX = 1_000_000_000_000;

/** The generation before any assignment. */
export const GENERATION_ZERO = 0 as Generation;

/** The next generation; each assignment and each reclaim takes one. */
export const nextGeneration = (generation: Generation): Generation => (generation + 1) as Generation;
