/** `agentcom report`: how an agent's script reports to its sidecar. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import { AgentcomError, fileReasonOf } from '../../../core/errors/agentcom-error.ts';
import type { Action, Context } from '../cli-context.ts';
import { parseJsonValue, parsePercent, parseWhole } from '../parse.ts';
import { agentFiles } from '../report/agent-report-files.ts';

interface ProgressOptions {
  readonly percent?: number;
  readonly message?: string;
  readonly tokens?: number;
}
interface CompleteOptions {
  readonly outputJson?: { readonly value: unknown };
  readonly file?: string;
  readonly tokens?: number;
}

export function addReport(program: Command, action: Action): void {
  const report = program
    .command('report')
    .description("Report on a task from inside an agent's run (uses AGENTCOM_TASK_ID and AGENTCOM_RESULTS_DIR, needs no hub)");
  report.command('started').description('Report that the agent has started').action(action(started));
  report
    .command('progress')
    .description('Report progress; exits with 6 if the assignment is gone, so run it before a step that cannot be undone')
    .option('--percent <number>', '0 to 100', parsePercent)
    .option('--message <text>', 'a line of text')
    .option('--tokens <count>', 'tokens used so far', parseWhole)
    .action(action(progress));
  report
    .command('complete [output]')
    .description('Report success; the output is the argument, standard input ("-"), --file or --output-json')
    .option('--file <file>', 'read the output from a file, as text')
    .option('--output-json <json>', 'the output as a JSON value', parseJsonValue)
    .option('--tokens <count>', 'tokens used', parseWhole)
    .action(action(complete));
  report
    .command('fail <reason>')
    .description('Report that the task failed')
    .option('--tokens <count>', 'tokens used', parseWhole)
    .action(action(fail));
}

async function started({ environment, output }: Context): Promise<void> {
  const files = agentFiles(environment.env);
  await files.started();
  output.data({ task_id: files.taskId, reported: 'started' });
}

async function progress({ environment, output }: Context, options: ProgressOptions): Promise<void> {
  const files = agentFiles(environment.env);
  await files.progress({ percent: options.percent, message: options.message, tokens_used: options.tokens });
  output.data({ task_id: files.taskId, reported: 'progress' });
}

async function complete(context: Context, options: CompleteOptions, argument: string | undefined): Promise<void> {
  const files = agentFiles(context.environment.env);
  const result = await readOutput(context, options, argument);
  const { gone } = await files.result({ status: 'success', output: result, tokens_used: options.tokens });
  printReport(context, files.taskId, 'complete', gone);
}

async function fail(context: Context, options: { readonly tokens?: number }, reason: string): Promise<void> {
  const files = agentFiles(context.environment.env);
  const { gone } = await files.result({ status: 'failed', reason, tokens_used: options.tokens });
  printReport(context, files.taskId, 'fail', gone);
}

function printReport({ output }: Context, taskId: string, reported: string, gone: boolean): void {
  output.data({ task_id: taskId, reported, assignment_gone: gone });
  if (gone) output.note(`The assignment of ${taskId} is gone: the result is kept for the operator, but may never be used.`);
}

async function readOutput({ environment }: Context, options: CompleteOptions, argument: string | undefined): Promise<unknown> {
  const given = [argument, options.file, options.outputJson].filter((source) => source !== undefined);
  if (given.length > 1) throw new AgentcomError('AC_USAGE', 'Expected one output: the argument, "-", --file or --output-json.');
  if (options.outputJson !== undefined) return options.outputJson.value;
  if (options.file !== undefined) {
    const path = resolve(environment.cwd, options.file);
    return readFile(path, 'utf8').catch((thrown: unknown) => {
      throw new AgentcomError('AC_USAGE', `Cannot read ${path}: ${fileReasonOf(thrown)}.`, { cause: thrown });
    });
  }
  return argument === '-' ? text(environment.stdin) : (argument ?? '');
}
