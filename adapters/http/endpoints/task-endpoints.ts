/** Routes to read and control tasks. */
import type { Audited, OperatorAnswer } from '../../../core/application/hub/batch/commands.ts';
import { isTaskId, type TaskId } from '../../../core/domain/ids.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import { bodyReader } from '../../../core/protocol/body-reader.ts';
import { adoptSchema, emptySchema } from '../../../core/protocol/http-bodies.ts';
import { taskRecordJson } from '../../../core/protocol/task-json.ts';
import type { Waiting } from './waiting.ts';
import { auditDraft } from '../audit-source.ts';
import type { HttpApiDeps } from '../deps.ts';
import { invalid, ok, okText, refusal, type Reply } from '../reply.ts';
import type { ApiRequest, Caller, Handlers } from '../request.ts';
import { taskLists } from './task-lists.ts';

type TaskHandlers = Pick<Handlers, 'listTasks' | 'listDeadLetter' | 'getTask' | 'retryTask' | 'cancelTask' | 'adoptResult'>;

export function taskHandlers(deps: HttpApiDeps, why: Waiting): TaskHandlers {
  const { inbox, tasks, agents, clock } = deps;
  const readAdopt = bodyReader(adoptSchema);
  const readEmpty = bodyReader(emptySchema);

  const getTask = async (request: ApiRequest, by: Caller): Promise<Reply> => {
    const id = request.params['id'];
    const record = isTaskId(id) ? await tasks.read(id) : undefined;
    if (record === undefined || !maySee(by, record.task)) return unknownTask;
    const name = by.role === 'agent' ? undefined : (await agents.getToken(record.task.submittedBy))?.name;
    const waitingFor = await why.ofTask(record.task, record.events, (other) => maySee(by, other));
    return okText(taskRecordJson(record, waitingFor, name ?? null));
  };

  const operate = async (
    request: ApiRequest,
    by: Caller,
    act: (taskId: TaskId) => Promise<OperatorAnswer>,
    allowedFor: string,
  ): Promise<Reply> => {
    const id = request.params['id'];
    if (!isTaskId(id)) return unknownTask;
    if (by.reach === 'own') {
      // The submitter of a task never changes, so this is still true when the command is executed.
      const [task] = await tasks.peek([id]);
      if (task === undefined || !maySee(by, task)) return unknownTask;
    }
    const answer = await act(id);
    if (answer.kind === 'done') return ok({ task_id: id, status: answer.status, generation: answer.generation });
    if (answer.code === 'unknown_task') return unknownTask;
    return refusal('invalid_state', `The state of the task does not allow this: ${allowedFor}.`, {
      more: answer.currentGeneration === null ? {} : { generation: answer.currentGeneration },
    });
  };

  /** A submitter's cancels are not audited: they are in the history of its tasks, and do not affect the tasks of others. */
  const audited = (request: ApiRequest, by: Caller, act: 'task.cancel' | 'task.retry' | 'task.adopt', details = {}): Audited =>
    by.reach === 'own' ? {} : { audit: auditDraft(request, by, clock.nowMs(), { act, object: request.params['id'] ?? null, details }) };

  const withEmptyBody =
    (act: (request: ApiRequest, by: Caller) => Promise<Reply>) =>
    (request: ApiRequest, by: Caller): Reply | Promise<Reply> => {
      const body = readEmpty(request.json);
      return body.kind === 'invalid' ? invalid(body.errors) : act(request, by);
    };

  return {
    ...taskLists(deps),
    getTask,
    retryTask: withEmptyBody((request, by) =>
      operate(
        request,
        by,
        (taskId) => inbox.do({ kind: 'retry', taskId, by: by.id, ...audited(request, by, 'task.retry') }),
        'only dead-lettered and parked tasks can be retried',
      ),
    ),
    cancelTask: withEmptyBody((request, by) =>
      operate(
        request,
        by,
        (taskId) => inbox.do({ kind: 'cancel', taskId, by: by.id, ...audited(request, by, 'task.cancel') }),
        'only a task that has not ended can be cancelled',
      ),
    ),
    adoptResult(request, by) {
      const body = readAdopt(request.json);
      if (body.kind === 'invalid') return invalid(body.errors);
      const generation = body.value.generation;
      const adopt = (taskId: TaskId) =>
        inbox.do({ kind: 'adopt', taskId, generation, by: by.id, ...audited(request, by, 'task.adopt', { generation }) });
      return operate(request, by, adopt, 'only a queued task with a late result of that generation can adopt it');
    },
  };
}

export const unknownTask = refusal('unknown_task', 'There is no such task, or this token may not see it.');

/** Whether the task is among those that the caller reaches on this route. */
export const maySee = (by: Caller, { assignedTo, submittedBy }: Task): boolean => {
  if (by.reach === 'all') return true;
  return by.role === 'agent' ? by.agentId !== null && assignedTo === by.agentId : submittedBy === by.submitterId;
};
