/** What the OpenAPI document says about each route beyond the route table. A route without an entry does not compile. */
import { Type, type TSchema } from 'typebox';
import * as bodies from '../../../core/protocol/http-bodies.ts';
import type { HttpErrorCode } from '../../../core/protocol/http-errors.ts';
import * as queries from '../../../core/protocol/http-queries.ts';
import * as agents from '../../../core/protocol/responses/agent-responses.ts';
import * as audits from '../../../core/protocol/responses/audit-responses.ts';
import * as tasks from '../../../core/protocol/responses/task-responses.ts';
import type { RouteName } from '../routes.ts';

export interface AnswerDoc {
  readonly status: 200 | 201;
  readonly description: string;
  /** The schema of a JSON body; undefined if the body is text. */
  readonly schema?: TSchema | undefined;
  /** The schema of each line, if the answer is also available as NDJSON. */
  readonly lines?: TSchema | undefined;
  /** Default: `application/json`. */
  readonly type?: string | undefined;
}

export interface RouteDoc {
  readonly tag: 'Tasks' | 'Agents' | 'Tokens and enrollment' | 'Hub';
  readonly summary: string;
  readonly description?: string | undefined;
  readonly query?: TSchema | undefined;
  readonly headers?: readonly ('Idempotency-Key' | 'Last-Event-ID' | 'X-AgentCom-Dashboard' | 'traceparent' | 'tracestate')[] | undefined;
  readonly body?: TSchema | undefined;
  readonly answers: readonly AnswerDoc[];
  /** What its handler refuses, beyond what all routes of its kind refuse. A pair: with a status other than the default. */
  readonly refusals?: readonly (HttpErrorCode | readonly [HttpErrorCode, number])[] | undefined;
}

const ok = (description: string, schema: TSchema): AnswerDoc => ({ status: 200, description, schema });
const created = (description: string, schema: TSchema): AnswerDoc => ({ status: 201, description, schema });
const text = (description: string, type: string): AnswerDoc => ({ status: 200, description, type });
const TRACE = ['traceparent', 'tracestate'] as const;
const KEY_AND_TRACE = ['Idempotency-Key', ...TRACE] as const;
/** A submit may name tasks and agents that do not exist. */
const NAMES = ['validation_failed', ['unknown_agent', 400], ['unknown_task', 400], 'idempotency_mismatch', 'rate_limited'] as const;
const QUERY = ['validation_failed'] as const;

const changed = (description: string): Pick<RouteDoc, 'answers'> => ({ answers: [ok(description, tasks.taskChangedSchema)] });
const agentChange = (summary: string, body: TSchema = bodies.emptySchema): RouteDoc => ({
  tag: 'Agents',
  summary,
  body,
  answers: [ok('The change was recorded.', agents.agentChangedSchema)],
  refusals: ['unknown_agent'],
});

export const ROUTE_DOCS: Readonly<Record<RouteName, RouteDoc>> = {
  submit: {
    tag: 'Tasks',
    summary: 'Submit a task',
    description: 'The task is on disk before the answer. Always send an Idempotency-Key, so that a retry does not create a second task.',
    headers: KEY_AND_TRACE,
    body: bodies.submitSchema,
    answers: [
      created('The task was created.', tasks.submittedSchema),
      ok('The task of an earlier request with the same Idempotency-Key.', tasks.submittedSchema),
    ],
    refusals: NAMES,
  },
  submitBatch: {
    tag: 'Tasks',
    summary: 'Submit several tasks independently',
    description: 'Each line is a submit with its headers as fields. The answers are in the order of the lines.',
    body: bodies.batchItemSchema,
    answers: [
      ok('The answer to each submit: its status, and the body that POST /api/tasks would have answered.', tasks.submittedBatchSchema),
    ],
    refusals: ['validation_failed'],
  },
  submitBulk: {
    tag: 'Tasks',
    summary: 'Submit many tasks, all or none',
    description: 'Each line is the body of a submit.',
    headers: KEY_AND_TRACE,
    body: bodies.submitSchema,
    answers: [
      created('The tasks were created, in the order of the lines.', tasks.submittedManySchema),
      ok('The tasks of an earlier request with the same Idempotency-Key.', tasks.submittedManySchema),
    ],
    refusals: NAMES,
  },
  listTasks: {
    tag: 'Tasks',
    summary: 'List tasks, newest first or oldest first',
    query: queries.taskListSchema,
    answers: [ok('A page of tasks. A submitter sees its own.', tasks.taskPageSchema)],
    refusals: QUERY,
  },
  listDeadLetter: {
    tag: 'Tasks',
    summary: 'List the dead-letter queue, newest first',
    query: queries.deadLetterSchema,
    answers: [ok('A page of tasks. A submitter sees its own.', tasks.taskPageSchema)],
    refusals: QUERY,
  },
  taskStats: { tag: 'Tasks', summary: 'Count tasks, agents and refusals', answers: [ok('The counts.', tasks.statsSchema)] },
  getTask: {
    tag: 'Tasks',
    summary: 'Get a task, its newest history, and why it is waiting',
    answers: [ok('The task.', tasks.taskDetailSchema)],
    refusals: ['unknown_task'],
  },
  taskEvents: {
    tag: 'Tasks',
    summary: 'Read the history of a task in pages',
    query: queries.historySchema,
    answers: [ok('A page of the history, oldest first.', tasks.taskEventsSchema)],
    refusals: ['validation_failed', 'unknown_task'],
  },
  keptResult: {
    tag: 'Tasks',
    summary: 'Get a complete late or refused result',
    query: queries.keptResultSchema,
    answers: [ok('The result as it was reported.', tasks.keptResultSchema)],
    refusals: ['validation_failed', 'unknown_task', 'unknown_result'],
  },
  taskOutput: {
    tag: 'Tasks',
    summary: 'Read the live output of a task in pages',
    query: queries.outputSchema,
    answers: [ok('A page of the output. With a filter it may be empty although there is more.', tasks.outputPageSchema)],
    refusals: ['validation_failed', 'unknown_task'],
  },
  waitForOutput: {
    tag: 'Tasks',
    summary: 'Wait for more output of a task',
    query: queries.outputWaitSchema,
    answers: [ok('There is more, the task has ended, or the time is over.', tasks.outputArrivedSchema)],
    refusals: ['validation_failed', 'unknown_task', 'hub_busy'],
  },
  retryTask: {
    tag: 'Tasks',
    summary: 'Requeue a task that is dead-lettered or parked',
    body: bodies.emptySchema,
    ...changed('The task was requeued.'),
    refusals: ['unknown_task', 'invalid_state'],
  },
  cancelTask: {
    tag: 'Tasks',
    summary: 'Cancel a task that has not ended',
    body: bodies.emptySchema,
    ...changed('The task was cancelled. A running agent is stopped.'),
    refusals: ['unknown_task', 'invalid_state'],
  },
  adoptResult: {
    tag: 'Tasks',
    summary: "Make a late result the task's result",
    body: bodies.adoptSchema,
    ...changed('The task was completed with that result.'),
    refusals: ['unknown_task', 'invalid_state'],
  },
  pushTask: {
    tag: 'Tasks',
    summary: 'Send an urgent task to exactly one connected agent',
    headers: TRACE,
    body: bodies.pushSchema,
    answers: [ok('The task was created: pushed, or queued until the agent has a free slot.', tasks.pushedSchema)],
    refusals: ['agent_not_connected', 'rate_limited'],
  },
  listAgents: {
    tag: 'Agents',
    summary: 'List agents by ID',
    query: queries.pageSchema,
    answers: [ok('A page of agents.', agents.agentPageSchema)],
    refusals: QUERY,
  },
  getAgent: {
    tag: 'Agents',
    summary: 'Get an agent, and why it gets no tasks',
    answers: [ok('The agent.', agents.agentDetailSchema)],
    refusals: ['unknown_agent'],
  },
  drainAgent: agentChange('Stop giving an agent new tasks', bodies.drainSchema),
  resumeAgent: agentChange('End a drain or a pause'),
  checkAgent: agentChange('Check whether the program of an agent can run'),
  takeoverAgent: agentChange('Let a new machine take over the agent ID'),
  removeAgent: {
    tag: 'Agents',
    summary: 'Remove an unused agent and its tokens',
    answers: [ok('The agent is gone.', agents.agentRemovedSchema)],
    refusals: ['unknown_agent', 'invalid_state'],
  },
  register: {
    tag: 'Tokens and enrollment',
    summary: 'Enroll an agent with an enrollment secret',
    description: 'Either with the secret itself, or in two calls, of which the first has the hub prove that it knows the secret.',
    body: Type.Union([bodies.registerSchema, bodies.registerHelloSchema, bodies.registerProvedSchema]),
    answers: [
      created('The agent is enrolled.', Type.Union([agents.registrationSchema, agents.sealedRegistrationSchema])),
      ok('The proof of the hub, to the first of two calls.', agents.registerChallengeSchema),
    ],
    refusals: ['invalid_secret', 'agent_taken', 'rate_limited', 'storage_unavailable'],
  },
  addEnrolSecret: {
    tag: 'Tokens and enrollment',
    summary: 'Create an enrollment secret',
    body: bodies.emptySchema,
    answers: [created('The secret: valid once, for 15 minutes, and shown only here.', agents.enrolSecretSchema)],
  },
  addToken: {
    tag: 'Tokens and enrollment',
    summary: 'Create a token',
    description: 'Either agent_id, with capabilities and max_slots as bounds for its sidecar, or name and role.',
    body: bodies.tokenSchema,
    answers: [created('The token, which is shown only here.', agents.createdTokenSchema)],
    refusals: ['name_taken'],
  },
  listTokens: {
    tag: 'Tokens and enrollment',
    summary: 'List tokens, newest first, without the tokens themselves',
    query: queries.pageSchema,
    answers: [ok('A page of tokens, also revoked and expired ones.', agents.tokenPageSchema)],
    refusals: QUERY,
  },
  rotateToken: {
    tag: 'Tokens and enrollment',
    summary: 'Replace a token with a new one; both work for a while',
    description:
      'The new token has the role, name, agent, bounds and lifetime of the old one, which expires after overlap_ms, or earlier if it would have. Refused if the token was revoked, has expired or was rotated before.',
    body: bodies.rotateSchema,
    answers: [created('The new token, which is shown only here, and the old one as `rotated`.', agents.rotatedTokenSchema)],
    refusals: ['unknown_token', 'invalid_state'],
  },
  revokeTokens: {
    tag: 'Tokens and enrollment',
    summary: 'Revoke a token, or all tokens of an agent',
    answers: [ok('The IDs of the tokens that were revoked.', agents.revokedSchema)],
    refusals: ['unknown_token'],
  },
  openSession: {
    tag: 'Hub',
    summary: 'Sign in to the dashboard',
    description: "For the hub's own page in a browser, whose Origin it checks: exchanges a token for a session cookie of 12 hours.",
    headers: ['X-AgentCom-Dashboard'],
    body: bodies.sessionSchema,
    answers: [ok('The session; its cookie is in Set-Cookie.', agents.sessionOpenedSchema)],
    refusals: ['unauthorized', 'forbidden', 'rate_limited'],
  },
  endSession: {
    tag: 'Hub',
    summary: 'Sign out of the dashboard',
    description: "For the hub's own page in a browser, whose Origin it checks: removes the session cookie.",
    headers: ['X-AgentCom-Dashboard'],
    answers: [ok('The cookie is removed.', agents.sessionEndedSchema)],
  },
  listAudit: {
    tag: 'Tokens and enrollment',
    summary: 'Read the audit log in pages, oldest first',
    description: 'Each entry has the hash of the one before. With `format=ndjson`, one entry on each line, to be kept elsewhere.',
    query: queries.auditSchema,
    answers: [{ ...ok('A page, and both ends of the chain.', audits.auditPageSchema), lines: audits.auditEntrySchema }],
    refusals: QUERY,
  },
  streamEvents: {
    tag: 'Hub',
    summary: 'Stream events',
    description: 'Server-sent events: `id`, `event` (the name of a change, or `gap`) and `data` (JSON). A submitter must give task_id.',
    query: queries.eventsSchema,
    headers: ['Last-Event-ID'],
    answers: [text('The events, until the client closes the stream.', 'text/event-stream')],
    refusals: ['validation_failed', 'unknown_task', 'invalid_state', 'hub_busy'],
  },
  whoAmI: { tag: 'Hub', summary: 'Whose token this is', answers: [ok('The token, without its text.', agents.whoAmISchema)] },
  schemas: {
    tag: 'Hub',
    summary: 'JSON Schemas of all bodies, queries and frames',
    answers: [ok('The schemas.', agents.schemasSchema)],
  },
  openApi: { tag: 'Hub', summary: 'The OpenAPI document', answers: [ok('OpenAPI 3.1.', Type.Record(Type.String(), Type.Unknown()))] },
  docsPage: { tag: 'Hub', summary: 'The OpenAPI document as a page', answers: [text('HTML.', 'text/html')] },
  metrics: { tag: 'Hub', summary: 'Metrics for Prometheus', answers: [text('The text format of Prometheus.', 'text/plain')] },
  health: {
    tag: 'Hub',
    summary: 'Whether the hub runs, and whether it can commit now',
    answers: [ok('Also while it cannot.', agents.healthSchema)],
  },
  ready: {
    tag: 'Hub',
    summary: 'Whether to send requests to this hub',
    answers: [ok('It can commit.', agents.readySchema)],
    refusals: ['storage_unavailable'],
  },
};

/** The schemas that have a name in the document. */
export const NAMED_SCHEMAS: Readonly<Record<string, TSchema>> = {
  Submit: bodies.submitSchema,
  Push: bodies.pushSchema,
  Adopt: bodies.adoptSchema,
  Drain: bodies.drainSchema,
  Empty: bodies.emptySchema,
  Register: bodies.registerSchema,
  RegisterHello: bodies.registerHelloSchema,
  RegisterProved: bodies.registerProvedSchema,
  CreateToken: bodies.tokenSchema,
  RotateToken: bodies.rotateSchema,
  OpenSession: bodies.sessionSchema,
  SubmittedTask: tasks.submittedSchema,
  SubmittedTasks: tasks.submittedManySchema,
  Task: tasks.taskSchema,
  TaskPage: tasks.taskPageSchema,
  TaskDetail: tasks.taskDetailSchema,
  TaskEvents: tasks.taskEventsSchema,
  OutputPage: tasks.outputPageSchema,
  OutputArrived: tasks.outputArrivedSchema,
  KeptResult: tasks.keptResultSchema,
  TaskChanged: tasks.taskChangedSchema,
  PushedTask: tasks.pushedSchema,
  Stats: tasks.statsSchema,
  Agent: agents.agentSchema,
  AgentDetail: agents.agentDetailSchema,
  AgentPage: agents.agentPageSchema,
  AgentChanged: agents.agentChangedSchema,
  AgentRemoved: agents.agentRemovedSchema,
  Token: agents.listedTokenSchema,
  TokenPage: agents.tokenPageSchema,
  CreatedToken: agents.createdTokenSchema,
  RotatedToken: agents.rotatedTokenSchema,
  TokensRevoked: agents.revokedSchema,
  EnrolSecret: agents.enrolSecretSchema,
  Registration: agents.registrationSchema,
  SealedRegistration: agents.sealedRegistrationSchema,
  RegisterChallenge: agents.registerChallengeSchema,
  AuditEntry: audits.auditEntrySchema,
  AuditPage: audits.auditPageSchema,
  SessionOpened: agents.sessionOpenedSchema,
  WhoAmI: agents.whoAmISchema,
  Health: agents.healthSchema,
  Schemas: agents.schemasSchema,
};
