/** The lists of tasks: what a query asks for, read from the store a few rows at a time. */
import type { Static } from 'typebox';
import type { AgentId, TaskId } from '../../../core/domain/ids.ts';
import type { Priority, Status, TaskRow } from '../../../core/domain/task/task.ts';
import type { TaskQuery } from '../../../core/ports/task-store.ts';
import { deadLetterSchema, readTaskCursor, taskCursor, taskListSchema } from '../../../core/protocol/http-queries.ts';
import { taskRowJson } from '../../../core/protocol/task-json.ts';
import type { HttpApiDeps } from '../deps.ts';
import { badCursor, pageLimit, queryReader } from '../query.ts';
import { invalid, okText, type Reply } from '../reply.ts';
import type { Caller, Handlers } from '../request.ts';

/** Rows per read of the store, and the size after which a page ends early, because descriptions and results may be large. */
const ROWS_AT_ONCE = 50;
const PAGE_BYTES_MAX = 8_388_608;
/** Rows and characters that one request searches through where no index helps; the next page continues from there. */
export const SEARCHED_MAX = 2_000;
const SEARCHED_CHARACTERS_MAX = 4_194_304;
/** The maximum number of tasks for an ID prefix: enough to show that it is ambiguous. */
const PREFIX_ROWS_MAX = 10;

interface Paging {
  readonly limit?: string | undefined;
  readonly cursor?: string | undefined;
}

type ListQuery = Omit<Static<typeof taskListSchema>, 'id_prefix'>;

/** The criteria that are checked row by row. */
interface Sought {
  readonly priority?: Priority | undefined;
  readonly assignedTo?: AgentId | undefined;
  readonly text?: string | undefined;
  readonly capability?: string | undefined;
  readonly failed_by?: AgentId | undefined;
}

export function taskLists({ tasks, limits }: Pick<HttpApiDeps, 'tasks' | 'limits'>): Pick<Handlers, 'listTasks' | 'listDeadLetter'> {
  const readList = queryReader(taskListSchema);
  const readDeadLetter = queryReader(deadLetterSchema);

  /** `filter`: null for no task. */
  const page = async (filter: Omit<TaskQuery, 'limit' | 'after'> | null, sought: Sought, paging: Paging): Promise<Reply> => {
    const limit = pageLimit(paging.limit, limits.page);
    if (limit.kind === 'refused') return limit.reply;
    let after = paging.cursor === undefined ? undefined : (readTaskCursor(paging.cursor) ?? null);
    if (after === null) return badCursor;
    if (filter === null) return pageOf([], null);
    const matches = matcherOf(sought);
    const texts: string[] = [];
    let [bytes, searched, searchedCharacters] = [0, 0, 0];
    const isFull = (): boolean =>
      texts.length === limit.value || bytes >= PAGE_BYTES_MAX || searched >= SEARCHED_MAX || searchedCharacters >= SEARCHED_CHARACTERS_MAX;
    let more = true;
    while (more && !isFull()) {
      const wanted = matches === null ? Math.min(ROWS_AT_ONCE, limit.value - texts.length) : ROWS_AT_ONCE;
      const rows = await tasks.list({ ...filter, after, limit: wanted + 1 });
      more = rows.length > wanted;
      for (const row of rows.slice(0, wanted)) {
        if (isFull()) {
          more = true;
          break;
        }
        after = { createdAtMs: row.task.createdAtMs, id: row.task.id };
        if (matches !== null) {
          searched += 1;
          searchedCharacters += charactersOf(row);
          if (!matches(row)) continue;
        }
        const text = taskRowJson(row);
        texts.push(text);
        bytes += text.length;
      }
    }
    return pageOf(texts, more && after !== undefined ? taskCursor(after) : null);
  };

  /** Sorted by ID, which is oldest first: the first few tasks that the token may see. */
  const beginning = async (prefix: string, submittedBy: string | undefined): Promise<Reply> => {
    const limit = submittedBy === undefined ? PREFIX_ROWS_MAX : ROWS_AT_ONCE;
    const seen: TaskRow[] = [];
    let [searched, searchedCharacters] = [0, 0];
    let after: TaskId | undefined;
    while (seen.length < PREFIX_ROWS_MAX) {
      const rows = await tasks.beginningWith(prefix, limit, after);
      seen.push(...rows.filter(({ task }) => submittedBy === undefined || task.submittedBy === submittedBy));
      after = rows.at(-1)?.task.id;
      if (rows.length < limit || after === undefined) break;
      searched += rows.length;
      searchedCharacters += rows.reduce((sum, row) => sum + charactersOf(row), 0);
      if (searched < SEARCHED_MAX && searchedCharacters < SEARCHED_CHARACTERS_MAX) continue;
      // Two show that it is ambiguous. Of fewer, nobody knows whether they are all.
      if (seen.length < 2)
        return invalid([{ field: 'id_prefix', error: 'minLength', detail: 'begins the IDs of too many tasks; add digits' }]);
      break;
    }
    return pageOf(seen.slice(0, PREFIX_ROWS_MAX).map(taskRowJson), null);
  };

  const listed = ({ status, priority, assigned_to: assignedTo, submitted_by: given, since, order, ...rest }: ListQuery, by: Caller) => {
    const { text, capability, failed_by, ...paging } = rest;
    const own = submitterOf(by);
    // A submitter may also give the ID of its token.
    const submitter = given === by.id ? by.submitterId : given;
    const submittedBy = own ?? submitter;
    const filter = {
      status: status as Status | undefined,
      sinceMs: since === undefined ? undefined : Number(since),
      submittedBy,
      oldestFirst: order === 'oldest',
    };
    const further = { priority: priority as Priority | undefined, assignedTo };
    const sought = { text, capability, failed_by };
    if (submitter !== undefined && submitter !== submittedBy) return page(null, sought, paging);
    if (submitter === undefined || own !== undefined) return page({ ...filter, ...further }, sought, paging);
    // No index has them beside the submitter, who may have submitted every task of the store.
    return page(filter, { ...sought, ...further }, paging);
  };

  return {
    listTasks(request, by) {
      const query = readList(request.query());
      if (query.kind === 'refused') return query.reply;
      const { id_prefix: prefix, ...more } = query.value;
      if (prefix === undefined) return listed(more, by);
      if (Object.keys(more).length === 0) return beginning(prefix, submitterOf(by));
      return invalid([{ field: 'id_prefix', error: 'contradiction', detail: 'must be the only parameter' }]);
    },
    listDeadLetter(request, by) {
      const query = readDeadLetter(request.query());
      return query.kind === 'refused' ? query.reply : listed({ ...query.value, status: 'dead_letter' }, by);
    },
  };
}

const charactersOf = ({ body, result }: TaskRow): number => body.description.length + (result?.length ?? 0);

const submitterOf = (by: Caller): string | undefined => (by.reach === 'own' ? by.submitterId : undefined);

const pageOf = (texts: readonly string[], cursor: string | null): Reply =>
  okText(`{"tasks":[${texts.join(',')}],"next_cursor":${JSON.stringify(cursor)}}`);

/** Null if every row matches. */
function matcherOf(sought: Sought): ((row: TaskRow) => boolean) | null {
  if (Object.values(sought).every((wanted) => wanted === undefined)) return null;
  const { priority, assignedTo, text, capability, failed_by: failedBy } = sought;
  const lower = text?.toLowerCase();
  return ({ task, body }) =>
    (priority === undefined || task.priority === priority) &&
    (assignedTo === undefined || task.assignedTo === assignedTo) &&
    (capability === undefined || task.requirement.capabilities.includes(capability)) &&
    (failedBy === undefined || task.avoid === failedBy) &&
    (lower === undefined || [body.description, task.lastError ?? ''].some((text) => text.toLowerCase().includes(lower)));
}
