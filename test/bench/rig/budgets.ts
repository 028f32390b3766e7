/**
 * What each stage of a task's life may take of the processor, in microseconds a task: on the hub's own thread, and on SQLite's.
 *
 * The basis is a bare program with the same wire, durability and events and nothing else: 29 µs a task in bulk, 72 to drain and 276
 * together in single steps, of all processes. Of the last, 200 are its hub's, and 90 of those a single submit's. They are divided by what
 * each stage is when nothing else is done.
 */
import type { Stage, Workload } from './stages.ts';

export interface Budget {
  /** Microseconds of the processor for each task. */
  readonly us: Readonly<Record<Workload, number>>;
  /** Where the numbers come from. */
  readonly from: string;
  /** What to do first when it takes more. */
  readonly next: string;
}

/** Of all stages together. */
export const BUDGET_US: Readonly<Record<Workload, number>> = { submit: 90, together: 200 };

/**
 * A submit saves a task, its body and two events. A whole life also saves the task when it is assigned, accepted and completed, with an
 * event each, and the result.
 */
export const ROWS_SAVED: Readonly<Record<Workload, number>> = { submit: 4, together: 11 };

export const BUDGETS: Readonly<Record<Stage, Budget>> = {
  read: {
    us: { submit: 7, together: 7 },
    from: 'half of a request that node:http only echoes (13 µs), with the parse of 130 bytes of JSON',
    next: 'Make fewer objects, listeners and timers for each request: the parts of a short request arrive together.',
  },
  authenticate: {
    us: { submit: 3, together: 3 },
    from: 'one SHA-256 of a token (1.5 µs), or a cache hit, and the token bucket of its rate limit',
    next: "Compare the host and origin with those that the connection's last request was allowed with, instead of checking them again.",
  },
  check: {
    us: { submit: 5, together: 8 },
    from: 'one pass over a body of six fields; two frames more when tasks are worked on',
    next: 'Validate each value in one pass: the schema, the JSON bounds and the text checks take one each.',
  },
  decide: {
    us: { submit: 8, together: 22 },
    from: 'a new task and its two events (8 µs), and three transitions with their events (14 µs)',
    next: 'Copy a task once for each transition, and make no promises and closures for a command that is answered in its batch.',
  },
  encode: {
    us: { submit: 9, together: 20 },
    from: '`JSON.stringify` of four rows (2 µs each), or of eleven, most of them shorter, and one hand-over to the database for each batch',
    next: 'Save fewer columns: an update writes what has changed, not the whole state.',
  },
  sqlite: {
    us: { submit: 30, together: 85 },
    from: 'a row costs 7.3 µs at 64 a commit (`limits`), so four cost 29 and eleven 80; the rest is the sync of the commit',
    next: 'Integer keys, partial indexes, and counts that are saved once a batch.',
  },
  answer: {
    us: { submit: 6, together: 6 },
    from: 'the other half of a request that node:http only echoes (13 µs)',
    next: 'Write head and body as one string, made of parts that do not change from answer to answer.',
  },
  'frame in': {
    us: { submit: 0, together: 8 },
    from: 'an acceptance and a completion: half of a frame that ws echoes (7.4 µs) each',
    next: 'Read a frame without a pass for its bounds before its parse.',
  },
  'frame out': {
    us: { submit: 0, together: 11 },
    from: 'an assignment and two acknowledgements: half of a frame that ws echoes (7.4 µs) each',
    next: 'Send the frames of a commit to one agent in one write.',
  },
  garbage: {
    us: { submit: 6, together: 10 },
    from: 'one part in fifteen to twenty of all, as with the bare program',
    next: '`npm run bench -- --allocations` shows who allocates: begin with what is made for each request and each command.',
  },
  other: {
    us: { submit: 16, together: 20 },
    from: 'what node takes for its loop, promises and timers beside an echo',
    next: 'Log, count and time once for each batch instead of once for each task.',
  },
};
