/** Prints one task for people. */
import type { AttemptJson, ModelUsageJson, TaskDetail } from '../../client/index.ts';
import { printEvent, type EventData } from './event-line.ts';
import type { Output } from './output.ts';
import { printable } from './printable.ts';
import { failedAttempts } from './task-outcome.ts';

const LABEL_CHARACTERS = 14;
/** Further fields, in this order, if they have a value. */
const FIELDS: readonly (readonly [label: string, field: string])[] = [
  ['needs', 'needed_capabilities'],
  ['assign to', 'assign_to'],
  ['rejected by', 'rejected_by'],
  ['depends on', 'depends_on'],
  ['repo', 'repo'],
  ['branch', 'branch'],
  ['files', 'file_hints'],
  ['criteria', 'success_criteria'],
  ['verify', 'verification_steps'],
  ['accepts', 'accept'],
  ['metadata', 'metadata'],
  ['tokens', 'tokens_used'],
  ['cost USD', 'cost_usd'],
  ['last error', 'last_error'],
];
const TIME_LABELS = { run_at: 'run at', complete_by: 'complete by' } as const;

export function showTask(output: Output, task: TaskDetail): void {
  const field = (label: string, value: string): void => output.line(`${label.padEnd(LABEL_CHARACTERS)}${value}`);
  const { moment, zone } = output.times;
  output.line(task.id, 'bold');
  field('status', task.status);
  if (task.waiting_for !== null) field('waiting for', task.waiting_for.message);
  field('priority', task.priority);
  field('agent', task.assigned_to === null ? '-' : `${task.assigned_to} (generation ${task.generation})`);
  field('failed', `${failedAttempts(task)} attempts`);
  field('submitted', `${moment(task.created_at)} ${zone}`);
  field('updated', moment(task.updated_at));
  for (const name of ['run_at', 'complete_by'] as const) if (typeof task[name] === 'number') field(TIME_LABELS[name], moment(task[name]));
  for (const [label, name] of FIELDS) {
    const text = valueText(task[name]);
    if (text !== '') field(label, text);
  }
  field('submitted by', submitterText(task));
  output.line('');
  output.line('description', 'bold');
  output.block(indented(task.description));
  if (task.result !== null && task.result !== undefined) {
    output.line('result', 'bold');
    output.block(indented(typeof task.result === 'string' ? task.result : JSON.stringify(task.result, null, 2)));
  }
  showUsed(output, task);
  showKept(output, task);
  output.line('history', 'bold');
  const older = (task.history_before ?? 1) - 1;
  if (older > 0) output.line(`  ${older} older events are not shown: agentcom show ${task.id} --all`, 'grey');
  for (const entry of task.history) printEvent(output, entry.event, entry as unknown as EventData, { withTask: false, indent: '  ' });
}

const submitterText = ({ submitted_by: id, submitted_by_name: name }: TaskDetail): string =>
  typeof name === 'string' && name !== id ? `${name} (${id})` : id;

/** Lists late and refused results, and how many more were refused. */
function showKept(output: Output, { id, kept_results: kept = [], refused_reports: refused = [] }: TaskDetail): void {
  const more = refused.filter(({ counted }) => counted > 0);
  if (kept.length + more.length > 0) output.line('kept results', 'bold');
  for (const { kind, agent_id: agent, generation, bytes } of kept)
    output.line(`  ${kind}  ${agent} g${generation}  ${bytes} bytes: agentcom show ${id} --result ${generation} --agent ${agent}`);
  for (const { agent_id: agent, counted } of more)
    output.line(`  refused  ${agent ?? 'other agents'}: ${counted} more, not in the history`);
}

/** Usage per attempt, then in total, each per model. */
function showUsed(output: Output, task: TaskDetail): void {
  const { attempts = [], models = [], tokens_used, cost_usd } = task;
  const printUsage = (who: string, used: UsedJson): void => {
    output.line(`  ${who}  ${usageText(used)}`);
    for (const model of used.models) output.line(`    ${modelText(model)}`, 'grey');
  };
  if (attempts.length > 0) output.line('usage', 'bold');
  for (const attempt of attempts) printUsage(`${attempt.agent_id} (generation ${attempt.generation})`, attempt);
  if (attempts.length > 1) printUsage('total', { tokens_used, cost_usd, models });
  if (task.usage_incomplete === true) output.line('  incomplete: an attempt that had started did not report its usage', 'grey');
}

type UsedJson = Pick<AttemptJson, 'tokens_used' | 'cost_usd' | 'models'>;

const usageText = ({ tokens_used: tokens, cost_usd: cost }: UsedJson): string =>
  [...(tokens === null ? [] : [`${tokens} tokens`]), ...(cost === null ? [] : [`${cost} USD`])].join(', ');

function modelText({
  model,
  input_tokens: input,
  cached_input_tokens: cached,
  output_tokens: out,
  cost_usd: cost,
}: ModelUsageJson): string {
  const parts = [
    ...(input === undefined ? [] : [`${input} in${cached === undefined ? '' : ` (${cached} cached)`}`]),
    ...(out === undefined ? [] : [`${out} out`]),
    ...(cost === undefined ? [] : [`${cost} USD`]),
  ];
  return `${printable(model)}: ${parts.join(', ')}`;
}

function valueText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object' && Object.keys(value).length === 0) return '';
  if (Array.isArray(value)) return value.map((item) => printable(typeof item === 'string' ? item : JSON.stringify(item))).join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value as string | number | boolean);
}

const indented = (text: string): string =>
  text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
