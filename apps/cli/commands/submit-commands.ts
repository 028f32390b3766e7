/** `agentcom submit`: one task from the command line, or many from a file. */
import { resolve } from 'node:path';
import { PRIORITIES, type Priority } from '../../../core/domain/task/task.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { Command } from 'commander';
import { Option } from 'commander';
import type { HubClient, SignTask, SubmitRequest } from '../../client/index.ts';
import type { Action, Context } from '../cli-context.ts';
import { followTask } from '../follow.ts';
import { isLast, taskNamed } from '../task-names.ts';
import { collect, collectAccepted, collectNotes, parseDuration, parseJsonObject, parseTime, parseWhole } from '../parse.ts';
import { readStandardInput, readTextFile } from '../text-input.ts';
import type { CliEnvironment } from '../cli-environment.ts';

interface SubmitOptions {
  readonly file?: string;
  readonly bulk?: string;
  readonly priority?: Priority;
  readonly needs?: readonly string[];
  readonly assignTo?: string;
  readonly metadata?: Record<string, unknown>;
  readonly maxRetries?: number;
  readonly runAt?: number;
  readonly ttl?: number;
  readonly runMax?: number;
  readonly completeBy?: number;
  readonly dependsOn?: readonly string[];
  readonly repo?: string;
  readonly branch?: string;
  readonly fileHint?: SubmitRequest['file_hints'];
  readonly criterion?: readonly string[];
  readonly verify?: SubmitRequest['verification_steps'];
  readonly accept?: SubmitRequest['accept'];
  readonly idempotencyKey?: string;
  readonly signKey?: string;
  readonly signFor?: number;
  readonly audience?: readonly string[];
  readonly wait?: boolean;
}

export function addSubmit(program: Command, action: Action): void {
  program
    .command('submit [description]')
    .description('Submit a task; the description is the argument, standard input ("-") or --file')
    .option('-f, --file <file>', 'read the description from a file')
    .option('--bulk <file>', 'submit a file of tasks, one JSON object per line ("-": standard input), in requests of up to 10,000')
    .addOption(new Option('-p, --priority <priority>', 'the priority').choices([...PRIORITIES]))
    .option('-n, --needs <capability>', 'a capability that the agent must have (repeatable)', collect)
    .option('-a, --assign-to <agent>', 'only this agent may run it')
    .option('-m, --metadata <json>', 'a JSON object for the agent', parseJsonObject)
    .option('--max-retries <count>', 'attempts after the first, 0 to 100 (default: 3)', parseWhole)
    .option('--run-at <time>', 'do not assign before this time: +15m, an ISO time or milliseconds since 1970', parseTime)
    .option('--ttl <duration>', 'dead-letter the task if it is not accepted within this time', parseDuration)
    .option('--run-max <duration>', 'stop a run that takes longer', parseDuration)
    .option('--complete-by <time>', 'dead-letter the task if it is not completed by this time', parseTime)
    .option('--depends-on <task>', 'wait until this task has completed (repeatable)', collect)
    .option('--repo <url>', 'the repository, for the agent')
    .option('--branch <name>', 'the branch, for the agent')
    .option('--file-hint <path>', 'a relevant file, or a JSON object with more details (repeatable)', collectNotes)
    .option('--criterion <text>', 'a success criterion (repeatable)', collect)
    .option('--verify <text>', 'a verification step, text or a JSON object (repeatable)', collectNotes)
    .option('--accept <end>', 'an ending that counts as a result: empty, truncated or refused (repeatable)', collectAccepted)
    .option('--idempotency-key <key>', 'a repeated submit with this key does not create a second task (default: random)')
    .option('--sign-key <file>', 'sign with this private key, for agents that accept signed tasks only (default: AGENTCOM_SIGN_KEY)')
    .option('--sign-for <duration>', 'how long the signature is valid, at most 31d (default: 1d)', parseDuration)
    .option('--audience <name>', 'an agent or an audience that the signature is for (repeatable; default: any)', collect)
    .option('-w, --wait', 'print events until the task ends, and exit with its outcome')
    .action(action(submit));
}

async function submit(context: Context, options: SubmitOptions, argument: string | undefined): Promise<void> {
  if (options.bulk !== undefined) {
    mustBeBulkOnly(options, argument);
    const { submitBulk } = await import('./bulk-submit.ts');
    return submitBulk(context, options.bulk, await requestOf(context, options));
  }
  const description = await readDescription(context.environment, argument, options.file);
  const hub = await context.hub();
  const task = await hub.tasks.submit(await bodyOf(context, hub, description, options), await requestOf(context, options));
  context.environment.onMade?.(task.task_id);
  await isLast(context, hub, task.task_id);
  context.output.data(task);
  context.output.line(`${task.task_id} ${task.status} (${task.priority})`);
  if (options.wait === true) await followTask(context, hub, task.task_id);
}

/** The options for all lines of a file; every other option belongs to one task, and would be ignored. */
const BESIDE_BULK: readonly string[] = ['bulk', 'idempotencyKey', 'signKey', 'signFor', 'audience'] satisfies (keyof SubmitOptions)[];

function mustBeBulkOnly(options: SubmitOptions, argument: string | undefined): void {
  const others = Object.keys(options).filter((name) => !BESIDE_BULK.includes(name));
  const found = others.map((name) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
  if (argument !== undefined) found.unshift('a description');
  if (found.length === 0) return;
  throw new AgentcomError('AC_USAGE', `--bulk cannot be combined with ${found.join(', ')}: every line of its file is a complete task.`);
}

/** A task that is submitted within a trace belongs to it. */
const requestOf = async ({ environment }: Context, options: SubmitOptions) => ({
  idempotencyKey: options.idempotencyKey,
  traceparent: environment.env['TRACEPARENT'],
  tracestate: environment.env['TRACESTATE'],
  signWith: await signerOf(environment, options),
});

async function signerOf({ cwd, env }: CliEnvironment, { signKey, signFor, audience }: SubmitOptions): Promise<SignTask | undefined> {
  const file = signKey ?? env['AGENTCOM_SIGN_KEY'] ?? '';
  if (file !== '') {
    const { signTaskWith } = await import('../../signing/sign-task.ts');
    return signTaskWith({ key: resolve(cwd, file), expiresInMs: signFor, audience });
  }
  if (signFor === undefined && audience === undefined) return undefined;
  throw new AgentcomError('AC_USAGE', '--sign-for and --audience belong to a signature. Add --sign-key FILE, or set AGENTCOM_SIGN_KEY.');
}

async function bodyOf(context: Context, hub: HubClient, description: string, options: SubmitOptions): Promise<SubmitRequest> {
  const { dependsOn } = options;
  return {
    description,
    priority: options.priority,
    needed_capabilities: options.needs,
    assign_to: options.assignTo,
    metadata: options.metadata,
    max_retries: options.maxRetries,
    run_at: options.runAt,
    ttl_ms: options.ttl,
    run_max_ms: options.runMax,
    complete_by: options.completeBy,
    depends_on: dependsOn && (await Promise.all(dependsOn.map((name) => taskNamed(context, hub, name)))),
    repo: options.repo,
    branch: options.branch,
    file_hints: options.fileHint,
    success_criteria: options.criterion,
    verification_steps: options.verify,
    accept: options.accept,
  };
}

async function readDescription(environment: CliEnvironment, argument: string | undefined, file: string | undefined): Promise<string> {
  if ((argument === undefined) === (file === undefined)) {
    throw new AgentcomError('AC_USAGE', 'Expected one description: as the argument, "-" for standard input, or --file FILE.');
  }
  if (file !== undefined) return readTextFile(environment, file);
  return argument === '-' ? readStandardInput(environment) : (argument ?? '');
}
