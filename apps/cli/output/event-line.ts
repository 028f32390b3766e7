/** An event of a task or an agent as one line. */
import { reclaimText } from '../../../core/domain/transitions/reclaim-reason.ts';
import type { Color, Output } from './output.ts';
import type { Times } from './time-text.ts';

/** An event as the API returns it, in the stream and in a task's history. */
export type EventData = Readonly<Record<string, unknown>>;

const LINE_CHARACTERS_MAX = 500;

const COLORS: Readonly<Record<string, Color>> = {
  completed: 'green',
  dead_lettered: 'red',
  failed: 'red',
  lost: 'red',
  expired: 'red',
  wake_failed: 'yellow',
  cancelled: 'yellow',
  reclaimed: 'yellow',
  rejected: 'yellow',
  progress: 'grey',
  agent_disconnected: 'yellow',
  agent_paused: 'yellow',
};

export const colorOf = (event: string): Color | undefined => COLORS[event];

const EVENT_CHARACTERS = 14;
const TIME_CHARACTERS = 8;
/** The length of the IDs that the hub makes. */
const TASK_CHARACTERS = 37;

/** Prints the column titles for events that are followed, with the zone of their times. */
export function printEventTitles(output: Output, withTask: boolean): void {
  const task = withTask ? [`TASK`.padEnd(TASK_CHARACTERS)] : [];
  const titles = [
    'TIME'.padEnd(TIME_CHARACTERS),
    ...task,
    'EVENT'.padEnd(EVENT_CHARACTERS),
    'AGENT',
    `DETAILS (times: ${output.times.zone})`,
  ];
  output.line(titles.join('  '), 'bold');
}

/** `12:03:04  task-…  accepted  worker-1 g1  50% counting` */
export function eventLine(event: string, data: EventData, options: { readonly withTask: boolean; readonly times: Times }): string {
  const { moment } = options.times;
  if (event === 'gap') return `--:--:--  events ${String(data['from'])} to ${String(data['to'])} are no longer kept`;
  if (event === 'dropped') return '--:--:--  this reader was too slow: the hub closed its stream, which is resumed without a gap';
  const time = typeof data['timestamp'] === 'number' ? moment(data['timestamp']) : '--:--:--';
  const agent = typeof data['agent_id'] === 'string' ? data['agent_id'] : '';
  const generation = typeof data['generation'] === 'number' ? `g${data['generation']}` : '';
  const who = [agent, generation].filter((part) => part !== '').join(' ');
  const task = options.withTask && typeof data['task_id'] === 'string' ? data['task_id'] : '';
  return [time, task, event.padEnd(EVENT_CHARACTERS), who, detailsText(event, data['details'], moment)]
    .filter((part) => part !== '')
    .join('  ')
    .trimEnd();
}

/** Of an attempt's output and of its standard error. Node prints what was wrong some 15 lines before the end of an error. */
const TAIL_LINES_MAX = 20;

/** Prints the event and, for a failed attempt, the end of its output and standard error. */
export function printEvent(
  output: Output,
  event: string,
  data: EventData,
  { withTask, indent = '' }: { readonly withTask: boolean; readonly indent?: string },
): void {
  output.line(`${indent}${eventLine(event, data, { withTask, times: output.times })}`, colorOf(event));
  const printTail = (name: string, text: string): void => {
    const lines = text.trimEnd().split('\n');
    const more = lines.length - TAIL_LINES_MAX;
    if (more > 0) output.line(`${indent}  last ${TAIL_LINES_MAX} lines of ${name}:`, 'grey');
    for (const line of lines.slice(-TAIL_LINES_MAX))
      if (line.trim() !== '') output.line(`${indent}  | ${line.slice(0, LINE_CHARACTERS_MAX)}`, 'grey');
  };
  printTail('output', outputTail(data['details'], 'last_output'));
  printTail('standard error', outputTail(data['details'], 'stderr_tail'));
}

/** The failure's details are nested in those of the event. */
function outputTail(details: unknown, name: 'last_output' | 'stderr_tail'): string {
  const inner = typeof details === 'object' && details !== null && 'details' in details ? details.details : undefined;
  const tail = typeof inner === 'object' && inner !== null ? (inner as EventData)[name] : undefined;
  return typeof tail === 'string' ? tail : '';
}

/** The plain values among the details; `percent`, `message` and why the hub reclaimed the task first and without names. */
function detailsText(event: string, details: unknown, moment: Times['moment']): string {
  if (typeof details !== 'object' || details === null) return '';
  const { percent, message, reason, status, ...rest } = details as EventData;
  const why = event === 'lost' || event === 'reclaimed' ? reclaimText(reason) : undefined;
  const first = [typeof percent === 'number' ? `${Math.round(percent)}%` : '', typeof message === 'string' ? message : '', why ?? ''];
  const others = Object.entries({ ...rest, ...(why === undefined ? { reason } : {}), ...(event === 'woken' ? {} : { status }) })
    .filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value))
    .map(([name, value]) => `${name}=${isTime(name, value) ? moment(value) : String(value)}`);
  return [...first, ...others].filter((part) => part !== '').join(' ');
}

/** Whether a value is a valid time in milliseconds since 1970, judging by its name. */
const isTime = (name: string, value: unknown): value is number =>
  name.endsWith('_at') && typeof value === 'number' && Math.abs(value) <= 8.64e15;
