/** The page of `agentcom top`: a pure function of what is known, of the size of the terminal, and of the time. */
import { PRIORITIES, type Status } from '../../../core/domain/task/task.ts';
import type { AgentJson, TaskDetail, TaskJson } from '../../client/index.ts';
import { reasonOf } from '../output/agent-text.ts';
import type { Color } from '../output/output.ts';
import { printable, shortened } from '../output/printable.ts';
import { tableLines, type Column } from '../output/text-table.ts';
import { age, duration, type Times } from '../output/time-text.ts';
import { taskColumns } from '../task-filter.ts';
import { shortNames } from '../task-names.ts';
import type { Attention, HubState } from './hub-state.ts';
import { COUNTED, type Throughput } from './throughput.ts';

/** `behind`: connected, and still receiving past events. */
export type Connection =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'behind'; readonly byMs: number }
  | { readonly kind: 'cut'; readonly sinceMs: number; readonly why: string };

export interface TopView {
  readonly url: string;
  readonly version: string;
  /** Null for a snapshot. */
  readonly connection: Connection | null;
  readonly state: HubState;
  readonly throughput: Throughput;
  /** Null: not read yet. */
  readonly attention: Attention | null;
  /** Why the last read failed; null if it did not. */
  readonly error: string | null;
}

/** `columns` undefined, `rows` infinite: not a terminal, and nothing is cut. */
export interface PageSize {
  readonly columns: number | undefined;
  readonly rows: number;
}

export interface PageLine {
  readonly text: string;
  readonly color?: Color | undefined;
}

/** In the order of importance while work is in progress. */
const STATUS_ORDER: readonly Status[] = ['queued', 'assigned', 'scheduled', 'blocked', 'dead_letter', 'completed', 'cancelled'];
/** Agents that need attention come first. */
const AGENT_ORDER: readonly AgentJson['status'][] = ['paused', 'stopping', 'draining', 'working', 'idle', 'offline'];
const LABEL_CHARACTERS = 13;
const FOOTER = 'q quits, r reads again';
const GAP = '  ';

/** At most `rows` lines of at most `columns` characters. `nowMs`: by the hub's clock. */
export function topPage(view: TopView, { columns, rows }: PageSize, times: Times, nowMs: number): readonly PageLine[] {
  const isLive = view.connection !== null;
  const head = headLines(view, columns, times, nowMs);
  const agents = agentSection(view.state, columns, nowMs);
  const attention = attentionSection(view.attention, columns, nowMs);
  const room = rows - head.length - (isLive ? 3 : 2);
  const attentionRows = Math.min(attention.length, Math.max(Math.floor(room / 2), room - agents.length));
  const lines: readonly PageLine[] = [
    ...head,
    { text: '' },
    ...cutSection(agents, room - attentionRows),
    { text: '' },
    ...cutSection(attention, attentionRows),
    ...(isLive ? [{ text: FOOTER, color: 'grey' as const }] : []),
  ];
  return lines.slice(0, rows).map((line) => (columns === undefined ? line : { ...line, text: shortened(line.text, columns) }));
}

function headLines(view: TopView, columns: number | undefined, times: Times, nowMs: number): readonly PageLine[] {
  const { state, throughput } = view;
  const where = `agentcom top${GAP}${printable(view.url)}${view.version === '' ? '' : `${GAP}hub ${printable(view.version)}`}`;
  const { text: connected, color } = connectionText(view.connection, times, nowMs);
  const isRead = view.error === null || view.connection?.kind === 'cut';
  const statuses = STATUS_ORDER.map((status) => `${status} ${state.statuses[status]}`);
  const queue = PRIORITIES.map((priority) => {
    const { queued, oldestReadyMs } = state.queue[priority];
    return `${priority} ${queued}${oldestReadyMs === null ? '' : ` (oldest ${age(oldestReadyMs, nowMs)})`}`;
  });
  const counted = COUNTED.map((name) => `${throughput.counts[name]} ${name}`);
  const span = throughput.coveredMs >= 60_000 ? 'last minute' : `last ${duration(throughput.coveredMs)}`;
  return [
    { text: bothEnds(where, [connected, `${times.moment(nowMs, nowMs)} ${times.zone}`], columns), color: color ?? 'bold' },
    ...(isRead ? [] : [{ text: `cannot read the state: ${printable(view.error ?? '')}`, color: 'red' as const }]),
    ...labelled('tasks', statuses, columns),
    ...labelled('queue', queue, columns),
    ...labelled(span, counted, columns),
  ];
}

function connectionText(connection: Connection | null, times: Times, nowMs: number): PageLine {
  switch (connection?.kind) {
    case undefined:
      return { text: '' };
    case 'connecting':
      return { text: 'connecting' };
    case 'live':
      return { text: 'live' };
    case 'behind':
      return { text: `behind by ${duration(connection.byMs)}`, color: 'yellow' };
    case 'cut':
      return { text: `cut off since ${times.moment(connection.sinceMs, nowMs)}, retrying: ${printable(connection.why)}`, color: 'red' };
  }
}

/** If there is no room, the left part is cut first, then the end of the right part. */
function bothEnds(left: string, right: readonly string[], columns: number | undefined): string {
  const end = right.filter((part) => part !== '').join(GAP);
  if (columns === undefined) return `${left}${GAP}${end}`;
  const room = columns - charactersOf(end) - GAP.length;
  if (room < 1) return shortened(end, columns);
  return `${shortened(left, room).padEnd(room)}${GAP}${end}`;
}

/** On as many lines as these parts need. */
function labelled(label: string, parts: readonly string[], columns: number | undefined): readonly PageLine[] {
  const lines: string[] = [];
  let line = label.padEnd(LABEL_CHARACTERS);
  let isEmpty = true;
  for (const part of parts) {
    const longer = `${line}${isEmpty ? '' : GAP}${part}`;
    if (!isEmpty && columns !== undefined && charactersOf(longer) > columns) {
      lines.push(line);
      line = `${' '.repeat(LABEL_CHARACTERS)}${part}`;
    } else line = longer;
    isEmpty = false;
  }
  return [...lines, line].map((text) => ({ text }));
}

function agentSection({ agents, moreAgents }: HubState, columns: number | undefined, nowMs: number): readonly PageLine[] {
  if (agents.length === 0) return [{ text: 'No agent has connected yet.', color: 'grey' }];
  const rank = (agent: AgentJson): number => (isAway(agent) ? -1 : AGENT_ORDER.indexOf(agent.status));
  const sorted = agents.toSorted((a, b) => rank(a) - rank(b));
  const nameOf = shortNames(agents.flatMap(({ tasks }) => tasks.map(({ task_id: id }) => id)));
  const named = columns === undefined ? (id: string): string => id : nameOf;
  const more = moreAgents === 0 ? [] : [{ text: `and ${moreAgents} more agents`, color: 'grey' as const }];
  return [...section(agentColumns(named, nowMs), sorted, columns, agentColor), ...more];
}

const isAway = ({ connected, tasks }: AgentJson): boolean => !connected && tasks.length > 0;

function agentColor(agent: AgentJson): Color | undefined {
  if (isAway(agent)) return 'red';
  if (agent.status === 'offline') return 'grey';
  return agent.status === 'paused' || agent.status === 'stopping' ? 'yellow' : undefined;
}

/** Like the columns of `agentcom agents`, with the age of the task. */
function agentColumns(nameOf: (taskId: string) => string, nowMs: number): readonly Column<AgentJson>[] {
  const assignedMs = ({ tasks }: AgentJson): number | null => tasks[0]?.assigned_at ?? null;
  const taskText = ({ tasks: [first, ...others] }: AgentJson): string =>
    first === undefined ? '-' : `${nameOf(first.task_id)}${others.length === 0 ? '' : ` +${others.length}`}`;
  const awayText = ({ connected, last_seen: seenMs }: AgentJson): string =>
    connected ? '' : seenMs === null ? 'never connected' : `last seen ${age(seenMs, nowMs)} ago`;
  return [
    { title: 'AGENT', cell: (agent) => agent.agent_id, charactersMax: 24, charactersMin: 8 },
    { title: 'STATUS', cell: (agent) => agent.status },
    { title: 'SLOTS', cell: (agent) => `${agent.tasks.length}/${agent.slots}` },
    { title: 'TASK', cell: taskText, leftOut: 2 },
    { title: 'AGE', cell: (agent) => age(assignedMs(agent), nowMs), leftOut: 1 },
    { title: 'REASON', cell: (agent) => [awayText(agent), reasonOf(agent)].filter((part) => part !== '').join(', '), charactersMin: 10 },
  ];
}

const ATTENTION_LEFT_OUT: Readonly<Record<string, number>> = { DESCRIPTION: 6, STATUS: 7 };

function attentionSection(attention: Attention | null, columns: number | undefined, nowMs: number): readonly PageLine[] {
  if (attention === null) return [{ text: 'Looking for tasks that need attention …', color: 'grey' }];
  const tasks: readonly TaskJson[] = [...attention.deadLetters, ...attention.waiting];
  if (tasks.length === 0) return [{ text: 'No task is dead-lettered or waiting.', color: 'green' }];
  const why = (task: TaskJson): string =>
    (task as Partial<TaskDetail>).waiting_for?.message ?? (task.last_error ?? '').trim().split('\n')[0] ?? '';
  const shown = taskColumns(tasks, { isShort: columns !== undefined, nowMs, reasonOf: why })
    .filter(({ title }) => title !== 'TOKENS' && title !== 'USD')
    .map((column) => ({ ...column, leftOut: ATTENTION_LEFT_OUT[column.title] ?? column.leftOut }));
  return section(shown, tasks, columns, ({ status }) => (status === 'dead_letter' ? 'red' : undefined));
}

function section<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number | undefined,
  colorOf: (row: Row) => Color | undefined,
): readonly PageLine[] {
  return tableLines(columns, rows, width).map((text, index) => {
    const row = rows[index - 1];
    return { text, color: row === undefined ? 'bold' : colorOf(row) };
  });
}

/** If lines are cut, the last line says how many are missing. */
function cutSection(lines: readonly PageLine[], rows: number): readonly PageLine[] {
  if (lines.length <= rows) return lines;
  const kept = Math.max(0, rows - 1);
  return rows < 1 ? [] : [...lines.slice(0, kept), { text: `… and ${lines.length - Math.max(1, kept)} more`, color: 'grey' }];
}

const charactersOf = (text: string): number => [...text].length;
