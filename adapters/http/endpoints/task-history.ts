/** Routes for what `GET /api/tasks/:id` omits: older history, and late and refused results. */
import { isTaskId, type Generation, type TaskId } from '../../../core/domain/ids.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import { HISTORY_PAGE } from '../../../core/ports/task-store.ts';
import { historySchema, keptResultSchema } from '../../../core/protocol/http-queries.ts';
import { historyPageJson, keptResultJson } from '../../../core/protocol/task-json.ts';
import type { HttpApiDeps } from '../deps.ts';
import { pageLimit, queryReader } from '../query.ts';
import { invalid, okText, refusal } from '../reply.ts';
import type { ApiRequest, Caller, Handlers } from '../request.ts';
import { maySee, unknownTask } from './task-endpoints.ts';

export function taskHistoryHandlers({ tasks, limits }: HttpApiDeps): Pick<Handlers, 'taskEvents' | 'keptResult'> {
  const readPage = queryReader(historySchema);
  const readKept = queryReader(keptResultSchema);

  const taskOf = async (request: ApiRequest, by: Caller): Promise<Task | undefined> => {
    const id = request.params['id'];
    const [task] = isTaskId(id) ? await tasks.peek([id]) : [];
    return task !== undefined && maySee(by, task) ? task : undefined;
  };

  return {
    async taskEvents(request, by) {
      const query = readPage(request.query());
      if (query.kind === 'refused') return query.reply;
      const { before, after } = query.value;
      const limit = pageLimit(query.value.limit, limits.page);
      if (limit.kind === 'refused') return limit.reply;
      if (before !== undefined && after !== undefined)
        return invalid([{ field: 'after', error: 'exclusive', detail: 'must not be combined with before' }]);
      const task = await taskOf(request, by);
      if (task === undefined) return unknownTask;
      const page = {
        ...HISTORY_PAGE,
        limit: limit.value,
        ...(before === undefined ? {} : { before: Number(before) }),
        ...(after === undefined ? {} : { after: Number(after) }),
      };
      return okText(historyPageJson(await tasks.history(task.id, page), task.eventSeq));
    },

    async keptResult(request, by) {
      const query = readKept(request.query());
      if (query.kind === 'refused') return query.reply;
      const task = await taskOf(request, by);
      if (task === undefined) return unknownTask;
      const given = request.params['generation'] ?? '';
      const generation = (/^[0-9]{1,16}$/.test(given) ? Number(given) : NaN) as Generation;
      const named = task.kept.results.filter(
        (one) => one.generation === generation && (query.value.agent_id === undefined || one.agentId === query.value.agent_id),
      );
      const [first, second] = named;
      if (first === undefined) return noneKept(task.id, given);
      if (second !== undefined) {
        const agents = named.map(({ agentId }) => agentId).join(', ');
        return invalid([{ field: 'agent_id', error: 'required', detail: `must be one of ${agents}, which all have a result of generation ${given}` }]); // prettier-ignore
      }
      const kept = await tasks.keptResult({ taskId: task.id, generation, agentId: first.agentId });
      return kept === undefined ? noneKept(task.id, given) : okText(keptResultJson(kept));
    },
  };
}

const noneKept = (taskId: TaskId, generation: string) =>
  refusal('unknown_result', `No result of generation ${generation} is kept for ${taskId}; see its kept_results.`);
