/** Routes to read and control tasks. */
import type { OperatorAnswer } from '../../../core/application/hub/batch/commands.ts';
import { isTaskId, type TaskId } from '../../../core/domain/ids.ts';
import type { Priority, Status, Task } from '../../../core/domain/task/task.ts';
import type { TaskQuery } from '../../../core/ports/task-store.ts';
import { bodyReader } from '../../../core/protocol/body-reader.ts';
import { adoptSchema, emptySchema } from '../../../core/protocol/http-bodies.ts';
import { deadLetterSchema, readTaskCursor, taskCursor, taskListSchema } from '../../../core/protocol/http-queries.ts';
import { taskRecordJson, taskRowJson } from '../../../core/protocol/task-json.ts';
import type { Waiting } from './waiting.ts';
import type { Principal } from '../authenticate.ts';
import type { HttpApiDeps } from '../deps.ts';
import { badCursor, pageLimit, queryReader } from '../query.ts';
import { invalid, ok, okText, refusal, type Reply } from '../reply.ts';
import type { ApiRequest, Handlers } from '../request.ts';

/** Rows per read of the store, and the size after which a page ends early, because descriptions and results may be large. */
const ROWS_AT_ONCE = 50;
const PAGE_BYTES_MAX = 8_388_608;

type TaskHandlers = Pick<Handlers, 'listTasks' | 'listDeadLetter' | 'getTask' | 'retryTask' | 'cancelTask' | 'adoptResult'>;

export function taskHandlers(deps: HttpApiDeps, why: Waiting): TaskHandlers {
  const { inbox, tasks, limits } = deps;
  const readList = queryReader(taskListSchema);
  const readDeadLetter = queryReader(deadLetterSchema);
  const readAdopt = bodyReader(adoptSchema);
  const readEmpty = bodyReader(emptySchema);

  const page = async (
    filter: Omit<TaskQuery, 'limit' | 'after' | 'submittedBy'>,
    paging: { readonly limit?: string | undefined; readonly cursor?: string | undefined },
    by: Principal,
  ): Promise<Reply> => {
    const limit = pageLimit(paging.limit, limits.page);
    if (limit.kind === 'refused') return limit.reply;
    let after = paging.cursor === undefined ? undefined : (readTaskCursor(paging.cursor) ?? null);
    if (after === null) return badCursor;
    const submittedBy = by.role === 'submitter' ? by.id : undefined;
    const texts: string[] = [];
    let bytes = 0;
    let more = true;
    while (more && texts.length < limit.value && bytes < PAGE_BYTES_MAX) {
      const wanted = Math.min(ROWS_AT_ONCE, limit.value - texts.length);
      const rows = await tasks.list({ ...filter, submittedBy, after, limit: wanted + 1 });
      more = rows.length > wanted;
      for (const row of rows.slice(0, wanted)) {
        if (bytes >= PAGE_BYTES_MAX) {
          more = true;
          break;
        }
        const text = taskRowJson(row);
        texts.push(text);
        bytes += text.length;
        after = { createdAtMs: row.task.createdAtMs, id: row.task.id };
      }
    }
    const cursor = more && after !== undefined ? taskCursor(after) : null;
    return okText(`{"tasks":[${texts.join(',')}],"next_cursor":${JSON.stringify(cursor)}}`);
  };

  const getTask = async (request: ApiRequest, by: Principal): Promise<Reply> => {
    const id = request.params['id'];
    const record = isTaskId(id) ? await tasks.read(id) : undefined;
    if (record === undefined || !maySee(by, record.task)) return unknownTask;
    return okText(taskRecordJson(record, await why.ofTask(record.task)));
  };

  const operate = async (
    request: ApiRequest,
    by: Principal,
    act: (taskId: TaskId) => Promise<OperatorAnswer>,
    allowedFor: string,
  ): Promise<Reply> => {
    const id = request.params['id'];
    if (!isTaskId(id)) return unknownTask;
    if (by.role === 'submitter') {
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

  const withEmptyBody =
    (act: (request: ApiRequest, by: Principal) => Promise<Reply>) =>
    (request: ApiRequest, by: Principal): Reply | Promise<Reply> => {
      const body = readEmpty(request.json);
      return body.kind === 'invalid' ? invalid(body.errors) : act(request, by);
    };

  return {
    listTasks(request, by) {
      const query = readList(request.query());
      if (query.kind === 'refused') return query.reply;
      const { status, priority, assigned_to: assignedTo, ...paging } = query.value;
      const filter = {
        status: status as Status | undefined,
        priority: priority as Priority | undefined,
        assignedTo,
      };
      return page(filter, paging, by);
    },
    listDeadLetter(request, by) {
      const query = readDeadLetter(request.query());
      if (query.kind === 'refused') return query.reply;
      const { priority, ...paging } = query.value;
      return page({ status: 'dead_letter', priority: priority as Priority | undefined }, paging, by);
    },
    getTask,
    retryTask: withEmptyBody((request, by) =>
      operate(
        request,
        by,
        (taskId) => inbox.do({ kind: 'retry', taskId, by: by.id }),
        'only dead-lettered and parked tasks can be retried',
      ),
    ),
    cancelTask: withEmptyBody((request, by) =>
      operate(request, by, (taskId) => inbox.do({ kind: 'cancel', taskId, by: by.id }), 'only a task that has not ended can be cancelled'),
    ),
    adoptResult(request, by) {
      const body = readAdopt(request.json);
      if (body.kind === 'invalid') return invalid(body.errors);
      const generation = body.value.generation;
      const adopt = (taskId: TaskId) => inbox.do({ kind: 'adopt', taskId, generation, by: by.id });
      return operate(request, by, adopt, 'only a queued task with a late result of that generation can adopt it');
    },
  };
}

export const unknownTask = refusal('unknown_task', 'There is no such task.');

/** A submitter sees the tasks that it submitted, an agent those assigned to it, and all others see every task. */
export const maySee = (by: Principal, task: Task): boolean =>
  by.role === 'submitter' ? task.submittedBy === by.id : by.role === 'agent' ? by.agentId !== null && task.assignedTo === by.agentId : true;
