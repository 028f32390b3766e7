/** Version 1 as deployed, row by row: the state of the task, what its sidecar sends, the hub's complete answer, and what it stores. */
import { createHash } from 'node:crypto';
import { A_TIME, known } from './frame-template.ts';

/** The row's own task and its generation, the agent that sends, another one. */
const TASK = known('task');
const AGENT = known('agent');
const OTHER = known('other');

/** The state of the row's task before its frame. */
export type TaskSituation =
  | 'unknown to the hub'
  | 'queued'
  | 'assigned'
  | 'accepted'
  | 'accepted by another'
  | 'assigned, and the agent is back'
  | 'accepted, and the agent is back'
  | 'taken back'
  | 'given to another since'
  | 'completed'
  | 'in the dead letter';

export interface Row {
  readonly given: Readonly<Record<string, unknown>>;
  readonly when: TaskSituation;
  /** Attempts after the first. Default 3. */
  readonly maxRetries?: number;
  readonly wanted: readonly Readonly<Record<string, unknown>>[];
  /** The hub's record of the task afterwards, and the events added to its history, each with its details. */
  readonly kept?: {
    readonly task?: Readonly<Record<string, unknown>>;
    readonly events: readonly (readonly [string, Readonly<Record<string, unknown>> | null])[];
  };
}

const NOTHING = { events: [] };
const RESULT = { status: 'success', output: { files: 3 }, tokens_used: 77 };
/** The history contains it with the end of each attempt. */
const USED = { usage: { tokens_used: 77 } };
const RESULT_TEXT = JSON.stringify(RESULT);
/** What an event says about a result that is stored separately. */
const KEPT = {
  result: RESULT_TEXT,
  result_bytes: Buffer.byteLength(RESULT_TEXT),
  result_sha256: createHash('sha256').update(RESULT_TEXT).digest('hex'),
  result_kept: true,
};
const refused = (error: string) => [{ type: 'error', error }];
const ack = (status: string) => [{ type: 'task_ack', task_id: TASK, status }];

const accepted = { type: 'task_accepted', task_id: TASK };
const ACCEPT: readonly Row[] = [
  {
    given: accepted,
    when: 'assigned',
    wanted: ack('accepted'),
    kept: { task: { status: 'assigned', accepted_at: A_TIME, assigned_to: AGENT }, events: [['accepted', null]] },
  },
  { given: accepted, when: 'accepted', wanted: [{ ...ack('accepted')[0], duplicate: true }], kept: NOTHING },
  { given: { ...accepted, agent_id: AGENT }, when: 'assigned', wanted: ack('accepted') },
  { given: { ...accepted, agent_id: OTHER }, when: 'assigned', wanted: refused('task_accept_failed: not_assignee'), kept: NOTHING },
  { given: accepted, when: 'accepted by another', wanted: refused('task_accept_failed: not_assignee'), kept: NOTHING },
  { given: accepted, when: 'given to another since', wanted: refused('task_accept_failed: not_assignee'), kept: NOTHING },
  { given: { ...accepted, generation: 0 }, when: 'assigned', wanted: refused('task_accept_failed: stale_generation'), kept: NOTHING },
  { given: accepted, when: 'queued', wanted: refused('task_accept_failed: invalid_state'), kept: NOTHING },
  { given: accepted, when: 'completed', wanted: refused('task_accept_failed: invalid_state'), kept: NOTHING },
  { given: accepted, when: 'unknown to the hub', wanted: refused('task_accept_failed: unknown_task') },
];

const rejected = { type: 'task_rejected', task_id: TASK, reason: 'busy' };
const REJECT: readonly Row[] = [
  {
    given: rejected,
    when: 'assigned',
    wanted: ack('rejected'),
    kept: { task: { status: 'queued', assigned_to: null, retry_count: 0 }, events: [['rejected', { reason: 'busy' }]] },
  },
  {
    given: { type: 'task_rejected', task_id: TASK },
    when: 'assigned',
    wanted: ack('rejected'),
    kept: { events: [['rejected', { reason: 'no reason given' }]] },
  },
  {
    given: rejected,
    when: 'accepted',
    wanted: ack('rejected'),
    kept: { task: { status: 'assigned', assigned_to: AGENT, generation: 1 }, events: [] },
  },
  { given: { ...rejected, agent_id: OTHER }, when: 'assigned', wanted: refused('task_reject_failed: not_assignee'), kept: NOTHING },
  { given: rejected, when: 'accepted by another', wanted: refused('task_reject_failed: not_assignee'), kept: NOTHING },
  { given: { ...rejected, generation: 0 }, when: 'assigned', wanted: refused('task_reject_failed: stale_generation'), kept: NOTHING },
  { given: rejected, when: 'queued', wanted: refused('task_reject_failed: invalid_state'), kept: NOTHING },
  { given: rejected, when: 'unknown to the hub', wanted: refused('task_reject_failed: unknown_task') },
];

const progress = { type: 'task_progress', task_id: TASK, progress: 40, execution_event: { tool: 'read', file: 'a.txt' } };
const woken = { type: 'wake_result', task_id: TASK, attempt: 1 };
/** Frames without an answer, whatever becomes of them. */
const UNANSWERED: readonly Row[] = [
  {
    given: progress,
    when: 'accepted',
    wanted: [],
    kept: { events: [['progress', { progress: 40, execution_event: { tool: 'read', file: 'a.txt' } }]] },
  },
  {
    given: progress,
    when: 'assigned',
    wanted: [],
    kept: {
      events: [
        ['accepted', null],
        ['progress', { progress: 40, execution_event: { tool: 'read', file: 'a.txt' } }],
      ],
    },
  },
  { given: { type: 'task_progress', task_id: TASK }, when: 'accepted', wanted: [], kept: NOTHING },
  { given: progress, when: 'accepted by another', wanted: [], kept: NOTHING },
  { given: { ...progress, agent_id: OTHER }, when: 'accepted', wanted: [], kept: NOTHING },
  { given: { ...progress, generation: 0 }, when: 'accepted', wanted: [], kept: NOTHING },
  { given: progress, when: 'unknown to the hub', wanted: [] },
  {
    given: { ...woken, status: 'success' },
    when: 'accepted',
    wanted: [],
    kept: { events: [['woken', { attempt: 1, status: 'success' }]] },
  },
  {
    given: { ...woken, status: 'failed', error: 'spawn ENOENT' },
    when: 'accepted',
    wanted: [],
    kept: { task: { status: 'assigned' }, events: [['wake_failed', { attempt: 1, error: 'spawn ENOENT', status: 'failed' }]] },
  },
  {
    given: { ...woken, status: 'timeout', reason: 'no sign within 30 s' },
    when: 'accepted',
    wanted: [],
    kept: { task: { status: 'assigned' }, events: [['wake_failed', { attempt: 1, reason: 'no sign within 30 s', status: 'timeout' }]] },
  },
  { given: { ...woken, status: 'success' }, when: 'accepted by another', wanted: [], kept: NOTHING },
];

const complete = { type: 'task_complete', task_id: TASK, generation: 1, result: RESULT };
const notCompleted = (code: string) => refused(`task_complete_failed: ${code}`);
/** Version 1 deletes its copy whatever the answer: the hub stores it. */
const keptAs = (event: string, details: Readonly<Record<string, unknown>>) => ({
  events: [[event, { ...details, ...KEPT }]] as const,
});
const COMPLETE: readonly Row[] = [
  {
    given: { ...complete, tokens_used: 12 },
    when: 'accepted',
    wanted: ack('complete'),
    kept: {
      task: { status: 'completed', result: RESULT, tokens_used: 12, assigned_to: AGENT },
      events: [['completed', { usage: { tokens_used: 12 } }]],
    },
  },
  {
    given: complete,
    when: 'accepted',
    wanted: ack('complete'),
    kept: { task: { status: 'completed', tokens_used: 77 }, events: [['completed', USED]] },
  },
  {
    given: { ...complete, verification_report: { passed: 2 }, verification_history: ['one', 'two'] },
    when: 'accepted',
    wanted: ack('complete'),
    kept: { events: [['completed', { verification_report: { passed: 2 }, verification_history: ['one', 'two'], ...USED }]] },
  },
  {
    given: complete,
    when: 'assigned',
    wanted: ack('complete'),
    kept: {
      events: [
        ['accepted', null],
        ['completed', USED],
      ],
    },
  },
  { given: complete, when: 'completed', wanted: [{ ...ack('complete')[0], duplicate: true }], kept: NOTHING },
  {
    given: complete,
    when: 'taken back',
    wanted: notCompleted('stale_generation'),
    kept: { task: { status: 'queued', result: null, tokens_used: 77 }, events: [['late_result', { ...KEPT, ...USED }]] },
  },
  {
    given: complete,
    when: 'given to another since',
    wanted: notCompleted('stale_generation'),
    kept: { task: { status: 'assigned', assigned_to: OTHER }, ...keptAs('report_refused', { reason: 'stale_generation' }) },
  },
  {
    given: { ...complete, generation: 9, verification_report: { passed: 0 } },
    when: 'accepted',
    wanted: notCompleted('stale_generation'),
    kept: { task: { status: 'assigned' }, ...keptAs('report_refused', { reason: 'stale_generation', verification_report: { passed: 0 } }) },
  },
  {
    given: complete,
    when: 'accepted by another',
    wanted: notCompleted('not_assignee'),
    kept: { task: { status: 'assigned', assigned_to: OTHER }, ...keptAs('report_refused', { reason: 'not_assignee' }) },
  },
  {
    given: { ...complete, agent_id: OTHER },
    when: 'accepted',
    wanted: notCompleted('not_assignee'),
    kept: { task: { status: 'assigned', assigned_to: AGENT }, ...keptAs('report_refused', { reason: 'not_assignee' }) },
  },
  {
    given: { ...complete, generation: 0 },
    when: 'queued',
    wanted: notCompleted('invalid_state'),
    kept: { task: { status: 'queued' }, ...keptAs('report_refused', { reason: 'invalid_state' }) },
  },
  { given: complete, when: 'unknown to the hub', wanted: notCompleted('unknown_task') },
  {
    given: { type: 'task_complete', task_id: TASK, result: RESULT },
    when: 'accepted',
    wanted: [
      {
        type: 'error',
        error: 'validation_failed',
        message_type: 'task_complete',
        errors: [{ field: 'generation', error: 'required', detail: 'is required' }],
      },
    ],
    kept: { task: { status: 'assigned' }, ...keptAs('report_refused', { reason: 'validation_failed' }) },
  },
];

const failed = { type: 'task_failed', task_id: TASK, generation: 1, error: 'tests are red' };
const failedEvent = (error: string) => ['failed', { error, kind: 'agent_failed', retry_at: A_TIME }] as const;
const notFailed = (code: string) => refused(`task_fail_failed: ${code}`);
const FAIL: readonly Row[] = [
  {
    given: failed,
    when: 'accepted',
    wanted: ack('retried'),
    kept: {
      task: { status: 'queued', retry_count: 1, last_error: 'tests are red', assigned_to: null },
      events: [failedEvent('tests are red')],
    },
  },
  {
    given: { type: 'task_failed', task_id: TASK, generation: 1, reason: 'timeout' },
    when: 'accepted',
    wanted: ack('retried'),
    kept: { task: { last_error: 'timeout' }, events: [failedEvent('timeout')] },
  },
  {
    given: failed,
    when: 'accepted',
    maxRetries: 0,
    wanted: ack('dead_letter'),
    kept: {
      task: { status: 'dead_letter', retry_count: 1, last_error: 'tests are red' },
      events: [
        ['failed', { error: 'tests are red', kind: 'agent_failed' }],
        ['dead_lettered', { reason: 'retries_spent' }],
      ],
    },
  },
  { given: failed, when: 'in the dead letter', wanted: [{ ...ack('dead_letter')[0], duplicate: true }], kept: NOTHING },
  { given: { ...failed, generation: 9 }, when: 'accepted', wanted: notFailed('stale_generation'), kept: NOTHING },
  { given: failed, when: 'given to another since', wanted: notFailed('stale_generation'), kept: NOTHING },
  { given: failed, when: 'accepted by another', wanted: notFailed('not_assignee'), kept: NOTHING },
  { given: { ...failed, agent_id: OTHER }, when: 'accepted', wanted: notFailed('not_assignee'), kept: NOTHING },
  { given: failed, when: 'completed', wanted: notFailed('invalid_state'), kept: NOTHING },
  { given: failed, when: 'unknown to the hub', wanted: notFailed('unknown_task') },
  {
    given: { type: 'task_failed', task_id: TASK, error: 'tests are red' },
    when: 'accepted',
    wanted: [
      {
        type: 'error',
        error: 'validation_failed',
        message_type: 'task_failed',
        errors: [{ field: 'generation', error: 'required', detail: 'is required' }],
      },
    ],
    kept: NOTHING,
  },
];

const recovering = { type: 'task_recovering', task_id: TASK };
const goesOn = [{ type: 'task_continue', task_id: TASK, generation: 1 }];
const reassigned = [{ type: 'task_reassign', task_id: TASK }];
const lostInACrash = {
  task: { status: 'queued', retry_count: 1, assigned_to: null },
  events: [['lost', { reason: 'recovering', retry_at: A_TIME }]] as const,
};
const RECOVER: readonly Row[] = [
  ...['waking_confirmation', 'working'].map((last_status): Row => ({
    given: { ...recovering, last_status },
    when: 'accepted, and the agent is back',
    wanted: goesOn,
    kept: { task: { status: 'assigned', assigned_to: AGENT, generation: 1 }, events: [] },
  })),
  ...['accepted', 'waking', 'something else'].map((last_status): Row => ({
    given: { ...recovering, last_status },
    when: 'accepted, and the agent is back',
    wanted: reassigned,
    kept: lostInACrash,
  })),
  { given: recovering, when: 'accepted, and the agent is back', wanted: reassigned, kept: lostInACrash },
  { given: { ...recovering, last_status: 'working' }, when: 'accepted', wanted: goesOn, kept: NOTHING },
  {
    given: { ...recovering, last_status: 'working' },
    when: 'assigned, and the agent is back',
    wanted: goesOn,
    kept: { task: { status: 'assigned', accepted_at: A_TIME }, events: [['accepted', null]] },
  },
  {
    given: { ...recovering, last_status: 'accepted' },
    when: 'assigned, and the agent is back',
    wanted: reassigned,
    kept: { task: { status: 'queued', retry_count: 0 }, events: [['reclaimed', { reason: 'recovering' }]] },
  },
  { given: { ...recovering, last_status: 'working' }, when: 'accepted by another', wanted: reassigned, kept: NOTHING },
  { given: { ...recovering, last_status: 'working', agent_id: OTHER }, when: 'accepted', wanted: reassigned, kept: NOTHING },
  { given: { ...recovering, last_status: 'working' }, when: 'given to another since', wanted: reassigned, kept: NOTHING },
  { given: { ...recovering, last_status: 'working' }, when: 'completed', wanted: reassigned, kept: NOTHING },
  { given: { ...recovering, last_status: 'working' }, when: 'unknown to the hub', wanted: reassigned },
];

const state = { type: 'state_report', task_id: TASK, status: 'working', generation: 1, assigned_at: 1 };
const reported = (action: string) => [{ type: 'state_report_ack', task_id: TASK, action }];
const STATE: readonly Row[] = [
  {
    given: state,
    when: 'accepted, and the agent is back',
    wanted: reported('continue'),
    kept: { task: { status: 'assigned', assigned_to: AGENT, generation: 1 }, events: [] },
  },
  {
    given: state,
    when: 'assigned, and the agent is back',
    wanted: reported('continue'),
    kept: { task: { status: 'assigned', accepted_at: A_TIME }, events: [['accepted', null]] },
  },
  { given: { ...state, generation: 2 }, when: 'accepted, and the agent is back', wanted: reported('abort'), kept: NOTHING },
  { given: { ...state, agent_id: OTHER }, when: 'accepted, and the agent is back', wanted: reported('abort'), kept: NOTHING },
  { given: state, when: 'accepted by another', wanted: reported('abort'), kept: NOTHING },
  { given: state, when: 'taken back', wanted: reported('abort'), kept: NOTHING },
  { given: state, when: 'given to another since', wanted: reported('abort'), kept: NOTHING },
  { given: state, when: 'completed', wanted: reported('abort'), kept: NOTHING },
  { given: state, when: 'unknown to the hub', wanted: reported('abort') },
  {
    given: { type: 'state_report', task_id: TASK, status: 'working', assigned_at: 1 },
    when: 'accepted, and the agent is back',
    wanted: [
      {
        type: 'error',
        error: 'validation_failed',
        message_type: 'state_report',
        errors: [{ field: 'generation', error: 'required', detail: 'is required' }],
      },
    ],
    kept: NOTHING,
  },
];

/** Each frame about a task, in each state that makes a difference. */
export const TASK_ROWS: readonly Row[] = [...ACCEPT, ...REJECT, ...UNANSWERED, ...COMPLETE, ...FAIL, ...RECOVER, ...STATE];
