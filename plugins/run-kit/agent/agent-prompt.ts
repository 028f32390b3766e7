/** The prompt: one template for all agents, which the config may replace. */
import type { WakeRequest } from '../../../core/ports/wake-runner.ts';
import type { ConfigProblem } from '../../../core/config/config.ts';

/** The placeholders of a template. Each is replaced once; placeholders inside a task's text are just text. */
const PLACEHOLDERS = [
  'TASK_ID',
  'TASK_DESCRIPTION',
  'SUCCESS_CRITERIA',
  'VERIFICATION_STEPS',
  'FILE_HINTS',
  'REPOSITORY',
  'METADATA',
  'TASK_JSON',
  'HOW_TO_REPORT',
  'HOW_TO_REPORT_BY_COMMAND',
  'EARLIER_ATTEMPT',
] as const;
type Placeholder = (typeof PLACEHOLDERS)[number];

/** The prompt of agent programs whose options set none, with `${…}` for the parts of the task. */
export const DEFAULT_PROMPT = [
  '${EARLIER_ATTEMPT}',
  'Complete this task. You are running unattended: nobody can answer questions or approve anything.',
  '${TASK_DESCRIPTION}',
  '${SUCCESS_CRITERIA}',
  '${VERIFICATION_STEPS}',
  '${FILE_HINTS}',
  '${REPOSITORY}',
  '${METADATA}',
  '${HOW_TO_REPORT}',
].join('\n\n');

/** For an agent that is only notified: its output is not read. */
export const DEFAULT_WOKEN_PROMPT = DEFAULT_PROMPT.replace('${HOW_TO_REPORT}', '${HOW_TO_REPORT_BY_COMMAND}');

const HOW_TO_REPORT = [
  'When you are done, finish with one final message. It is stored as the result of the task, and nothing else that you write',
  'is read, so state what you did, what the outcome is and how you verified it. If the task cannot be done, say so and why.',
  'Leave nothing running: every process that you started is stopped after that message.',
].join(' ');

/** A folder may have any name, so it is quoted for a shell. */
function howToReportByCommand({ taskId, resultsDir }: WakeRequest): string {
  const report = `AGENTCOM_TASK_ID=${taskId} AGENTCOM_RESULTS_DIR='${resultsDir.replaceAll("'", "'\\''")}' agentcom report`;
  return [
    'Report with these commands, in a shell on this machine; nothing else that you write is read. Before you begin:',
    `${report} started`,
    'When you are done, with what you did, what the outcome is and how you verified it:',
    `${report} complete "…"`,
    'If the task cannot be done, with the reason:',
    `${report} fail "…"`,
  ].join('\n');
}

const EARLIER_ATTEMPT =
  'Your earlier attempt at this task was interrupted. Check what has already been done, and continue from there; do nothing twice.';

/** What a prompt is built from. */
export interface PromptContext {
  readonly request: WakeRequest;
  /** The agent resumes the session of an earlier attempt. */
  readonly isResumed: boolean;
}

/** The prompt of one run. Empty parts leave no gap. */
export function agentPrompt(template: string, { request, isResumed }: PromptContext): string {
  const { task } = request;
  const values: Readonly<Record<Placeholder, () => string>> = {
    TASK_ID: () => request.taskId,
    TASK_DESCRIPTION: () => task.description,
    SUCCESS_CRITERIA: () => listed('Success criteria:', task['success_criteria']),
    VERIFICATION_STEPS: () => listed('Verification steps:', task['verification_steps']),
    FILE_HINTS: () => listed('Relevant files:', task['file_hints']),
    REPOSITORY: () => placeOf(task),
    METADATA: () => dataOf(task['metadata']),
    TASK_JSON: () => JSON.stringify(task),
    HOW_TO_REPORT: () => HOW_TO_REPORT,
    HOW_TO_REPORT_BY_COMMAND: () => howToReportByCommand(request),
    EARLIER_ATTEMPT: () => (isResumed ? EARLIER_ATTEMPT : ''),
  };
  const paragraphs = template
    .split('\n\n')
    .map((written) => ({ written, text: written.replace(PLACEHOLDER, (_match, name: Placeholder) => values[name]()) }))
    .filter(({ text }) => text.trim() !== '');
  const [first] = paragraphs;
  const isTaken = first !== undefined && isCommand(first.text) && !isCommand(first.written);
  return `${[...(isTaken ? [BEFORE_TEXT] : []), ...paragraphs.map(({ text }) => text)].join('\n\n')}\n`;
}

/**
 * Programs treat a prompt that starts with a slash as a command of their own, such as "/clear", and call no model. A
 * configured prompt may intend that; a task's text must not cause it.
 */
const isCommand = (text: string): boolean => text.trimStart().startsWith('/');
const BEFORE_TEXT = 'Complete this task:';

const PLACEHOLDER = new RegExp(`\\$\\{(${PLACEHOLDERS.join('|')})\\}`, 'g');

function listed(title: string, entries: unknown): string {
  if (!Array.isArray(entries) || entries.length === 0) return '';
  return [title, ...entries.map((entry) => `- ${typeof entry === 'string' ? entry : JSON.stringify(entry)}`)].join('\n');
}

function placeOf(task: WakeRequest['task']): string {
  const named = (title: string, value: unknown): readonly string[] =>
    typeof value === 'string' && value !== '' ? [`${title}: ${value}`] : [];
  return [...named('Repository', task['repo']), ...named('Branch', task['branch'])].join('\n');
}

function dataOf(metadata: unknown): string {
  if (typeof metadata !== 'object' || metadata === null || Object.keys(metadata).length === 0) return '';
  return `Metadata: ${JSON.stringify(metadata)}`;
}

/** Problems with a configured template. */
export function promptProblems(template: string | undefined): readonly ConfigProblem[] {
  if (template === undefined) return [];
  const unknown = [...template.matchAll(/\$\{([A-Z_]+)\}/g)]
    .map(([, name]) => name)
    .filter((name) => !(PLACEHOLDERS as readonly string[]).includes(name ?? ''));
  return [
    ...unknown.map((name) => ({
      path: 'prompt',
      message: `has \${${String(name)}}, which is not a placeholder; the placeholders are ${PLACEHOLDERS.join(', ')}`,
    })),
    ...(/\$\{TASK_(?:DESCRIPTION|JSON)\}/.test(template)
      ? []
      : [{ path: 'prompt', message: 'must have ${TASK_DESCRIPTION} or ${TASK_JSON}, or the agent does not get its task' }]),
  ];
}
