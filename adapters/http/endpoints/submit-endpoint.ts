/** Routes to create tasks: one, many, or one for a connected agent. */
import type { Idempotency, Settled, SubmitAnswer, SubmitCommand, TaskDraft } from '../../../core/application/hub/batch/commands.ts';
import { IDEMPOTENCY_KEY_WANTED, isIdempotencyKey, taskNamedBy } from '../../../core/domain/task/idempotency-key.ts';
import { isAgentId } from '../../../core/domain/ids.ts';
import { traceContextOf, type TraceContext } from '../../../core/domain/task/trace-context.ts';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import { bodyReader } from '../../../core/protocol/body-reader.ts';
import { batchItemSchema, pushSchema, SUBMITS_PER_BATCH_MAX, submitSchema, type SubmitBody } from '../../../core/protocol/http-bodies.ts';
import type { HttpErrorDetail } from '../../../core/protocol/http-errors.ts';
import { canonicalJson } from '../../../core/protocol/json-text.ts';
import type { Principal } from '../authenticate.ts';
import { parseJson, unreadable } from '../body.ts';
import type { HttpApiDeps } from '../deps.ts';
import { invalid, ok, read, refusal, refused, replyToFailure, tooMany, type Read, type Reply } from '../reply.ts';
import type { ApiRequest, Handlers } from '../request.ts';
import { requirementQuota } from './requirement-quota.ts';
import { semanticErrors, toTaskDraft } from './task-draft.ts';

/** How many errors of a bulk body are reported at once. */
const BULK_ERRORS_MAX = 100;

export function submitHandlers(deps: HttpApiDeps): Pick<Handlers, 'submit' | 'submitBatch' | 'submitBulk' | 'pushTask'> {
  const { inbox, ids, digest, limits, log } = deps;
  const quota = requirementQuota(limits.capabilityListsPerToken, deps.clock);
  const readSubmit = bodyReader(submitSchema);
  const readItem = bodyReader(batchItemSchema);
  const readPush = bodyReader(pushSchema);

  /** 429 if these drafts exceed the token's limit of different capability lists. */
  const overQuota = (drafts: readonly TaskDraft[], by: Principal): Reply | null => {
    const waitMs = quota.take(by.submitterId, drafts);
    if (waitMs === 0) return null;
    const max = limits.capabilityListsPerToken;
    const found = `This token used more than ${max} different lists of needed_capabilities within an hour`;
    return tooMany(
      `${found}; use fewer, such as the capabilities of your agents, and put anything specific to a task into metadata.`,
      waitMs,
    );
  };

  const idempotencyOf = (key: string, body: SubmitBody): Idempotency => {
    const name = taskNamedBy(key);
    return { key, name, digest: name === null ? digest.sha256(`task\n${canonicalJson(unsigned(body))}`) : null };
  };

  /** The command of a submit, or the reply that refuses it. */
  const commandOf = (item: Submitted, by: Principal): SubmitCommand | Reply => {
    const key = idempotencyKey(item.key);
    if (key.kind === 'refused') return key.reply;
    const body = readSubmit(item.task);
    const errors = body.kind === 'invalid' ? body.errors : semanticErrors(body.value);
    if (body.kind === 'invalid' || errors.length > 0) return invalid(errors);
    const draft = toTaskDraft(ids.task(), body.value, traceContextOf(item.traceparent, item.tracestate));
    const over = overQuota([draft], by);
    if (over !== null) return over;
    const idempotency = key.value === null ? null : idempotencyOf(key.value, body.value);
    return { kind: 'submit', drafts: [draft], submittedBy: by.submitterId, idempotency };
  };

  const submit = async (request: ApiRequest, by: Principal): Promise<Reply> => {
    const key = request.header('idempotency-key');
    const [traceparent, tracestate] = [request.header('traceparent'), request.header('tracestate')];
    const command = commandOf({ task: request.json, key, traceparent, tracestate }, by);
    return 'kind' in command ? submitReply(await inbox.do(command)) : command;
  };

  /** The command of a line, or the reply that refuses it. */
  const commandOfLine = (line: Uint8Array, by: Principal): SubmitCommand | Reply => {
    const parsed = parseJson(line, taskOf);
    if (parsed.kind === 'unfit') return unreadable(parsed.error);
    const item = readItem(parsed.value);
    return item.kind === 'invalid' ? invalid(item.errors) : commandOf(item.value, by);
  };

  /** Each line is a submit of its own, which the refusal or failure of another does not affect. If all fail in the same way, so does the request. */
  const submitBatch = async (request: ApiRequest, by: Principal): Promise<Reply> => {
    const commands: (SubmitCommand | Reply)[] = [];
    const stopped = await request.readLines(({ number, bytes }) => {
      if (commands.length === SUBMITS_PER_BATCH_MAX)
        return invalid([
          { line: number, field: '', error: 'maxItems', detail: `is one more than the ${SUBMITS_PER_BATCH_MAX} of a batch` },
        ]);
      commands.push(commandOfLine(bytes, by));
      return null;
    });
    if (stopped !== null) return stopped;
    if (commands.length === 0) return invalid([{ field: '', error: 'empty', detail: 'contains no task' }]);
    const outcomes = await inbox.doAll(commands.filter((one) => 'kind' in one));
    const failures = outcomes.filter((outcome) => !outcome.ok);
    const codes = new Set(failures.map((failure) => replyToFailure(failure.error).refused));
    if (failures.length === commands.length && codes.size === 1) throw failures[0]?.error;
    if (failures.length > 0)
      log.error('Submits of a batch failed.', { failed: failures.length, lines: commands.length, error: messageOf(failures[0]?.error) });
    let next = 0;
    const replies = commands.map((one) => ('kind' in one ? replyTo(outcomes[next++]) : one));
    return { status: 200, body: `{"answers":[${replies.map(answerText).join(',')}]}` };
  };

  const submitBulk = async (request: ApiRequest, by: Principal): Promise<Reply> => {
    const key = idempotencyKey(request.header('idempotency-key'));
    if (key.kind === 'refused') return key.reply;
    const trace = traceOf(request);
    const drafts: TaskDraft[] = [];
    const lines: number[] = [];
    const digests: string[] = [];
    const mistakes: (HttpErrorDetail & { readonly detail: string })[] = [];
    const stopped = await request.readLines(({ number, bytes }) => {
      const parsed = parseJson(bytes);
      const body = parsed.kind === 'unfit' ? { kind: 'invalid' as const, errors: [parsed.error] } : readSubmit(parsed.value);
      const errors = body.kind === 'invalid' ? body.errors : semanticErrors(body.value);
      for (const error of errors) mistakes.push({ line: number, ...error });
      if (mistakes.length >= BULK_ERRORS_MAX) return invalid(mistakes.slice(0, BULK_ERRORS_MAX));
      if (body.kind === 'invalid' || mistakes.length > 0) return null;
      drafts.push(toTaskDraft(ids.task(), body.value, trace));
      lines.push(number);
      if (key.value !== null) digests.push(digest.sha256(canonicalJson(unsigned(body.value))));
      return null;
    });
    if (stopped !== null) return stopped;
    if (mistakes.length > 0) return invalid(mistakes);
    if (drafts.length === 0) return invalid([{ field: '', error: 'empty', detail: 'contains no task' }]);
    const over = overQuota(drafts, by);
    if (over !== null) return over;
    // A digest of digests, because hashing the text of all lines at once would block the event loop for too long.
    const idempotency =
      key.value === null ? null : { key: key.value, name: taskNamedBy(key.value), digest: digest.sha256(`bulk\n${digests.join('\n')}`) };
    const answer = await inbox.do({ kind: 'submit', drafts, submittedBy: by.submitterId, idempotency });
    if (!('tasks' in answer)) return submitRefusal(answer, (index) => lines[index]);
    const value = { task_ids: answer.tasks.map((task) => task.id) };
    return { status: answer.kind === 'submitted' ? 201 : 200, body: JSON.stringify(value) };
  };

  const pushTask = async (request: ApiRequest, by: Principal): Promise<Reply> => {
    const body = readPush(request.json);
    if (body.kind === 'invalid') return invalid(body.errors);
    const { agent_id: agentId, ...fields } = body.value;
    if (!isAgentId(agentId)) return notConnected(agentId);
    const draft = { ...toTaskDraft(ids.task(), { ...fields, priority: 'urgent' }, traceOf(request)), assignTo: agentId };
    const over = overQuota([draft], by);
    if (over !== null) return over;
    const answer = await inbox.do({ kind: 'push', draft, submittedBy: by.submitterId });
    if (answer.kind === 'agent_not_connected') return notConnected(agentId);
    return ok({ status: answer.kind, task_id: answer.taskId, agent_id: agentId });
  };

  return { submit, submitBatch, submitBulk, pushTask };
}

/** The trace context in the headers. Not in the digest of an idempotency key: a retried submit may have another span, and the first counts. */
const traceOf = (request: ApiRequest): TraceContext => traceContextOf(request.header('traceparent'), request.header('tracestate'));

/** The part that the digest of an idempotency key covers: a repeated submit may have a new signature, and the first one counts. */
function unsigned(body: SubmitBody): Omit<SubmitBody, 'signature'> {
  if (body.signature === undefined) return body;
  const { signature: _, ...rest } = body;
  return rest;
}

const notConnected = (agentId: string): Reply =>
  refusal(
    'agent_not_connected',
    `No agent ${JSON.stringify(agentId)} is connected. If it is one that \`agentcom agents\` lists, submit the task with assign_to to let it wait.`,
    { more: { agent_id: agentId } },
  );

/** One submit, as given by its request or by its line of a batch. */
interface Submitted {
  readonly task: unknown;
  readonly key?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

const answerText = ({ status, body, headers }: Reply): string => {
  const wait = headers?.['retry-after'];
  return `{"status":${status},${wait === undefined ? '' : `"retry_after":${Number(wait)},`}"body":${String(body)}}`;
};

function idempotencyKey(key: string | null = null): Read<string | null> {
  if (key === null || isIdempotencyKey(key)) return read(key);
  const detail = `must be ${IDEMPOTENCY_KEY_WANTED}`;
  return refused(invalid([{ field: 'Idempotency-Key', error: 'pattern', detail }]));
}

/** The part of a line of a batch that is stored. */
const taskOf = (item: unknown): unknown => (typeof item === 'object' && item !== null && 'task' in item ? item.task : undefined);

const replyTo = (outcome: Settled<SubmitCommand> | undefined): Reply =>
  outcome?.ok === false ? replyToFailure(outcome.error) : submitReply(outcome?.answer);

/** The reply to the submit of one task. */
function submitReply(answer: SubmitAnswer | undefined): Reply {
  if (answer !== undefined && !('tasks' in answer)) return submitRefusal(answer, () => undefined);
  const task = answer?.tasks[0];
  if (task === undefined) throw new AgentcomError('AC_INTERNAL', 'The queue answered a submit of one task with none.');
  // None of these values needs escaping in JSON.
  const body = `{"task_id":"${task.id}","status":"${task.status}","priority":"${task.priority}","created_at":${task.createdAtMs}}`;
  return { status: answer?.kind === 'submitted' ? 201 : 200, body };
}

type SubmitRefused = Exclude<SubmitAnswer, { readonly kind: 'submitted' | 'repeated' }>;

function submitRefusal(answer: SubmitRefused, lineOf: (index: number) => number | undefined): Reply {
  if (answer.kind === 'idempotency_mismatch') {
    return refusal('idempotency_mismatch', 'The Idempotency-Key was used with a different body; use a new key for each new task.');
  }
  if (answer.kind === 'complete_by_passed') {
    const [time, now] = [answer.completeByMs, answer.nowMs].map((ms) => new Date(ms).toISOString());
    const line = lineOf(answer.index);
    const detail = `must be in the future: ${String(time)} has passed; it is ${String(now)}`;
    return invalid([{ ...(line === undefined ? {} : { line }), field: 'complete_by', error: 'past', detail }]);
  }
  const [field, name] =
    answer.kind === 'unknown_agent'
      ? (['assign_to', `agent ${JSON.stringify(answer.agentId)}`] as const)
      : (['depends_on', `task ${answer.taskId}`] as const);
  const line = lineOf(answer.index);
  const detail = `there is no ${name}`;
  return refusal(answer.kind, `${field}: ${detail}.`, {
    status: 400,
    details: [{ ...(line === undefined ? {} : { line }), field, error: answer.kind, detail }],
  });
}
