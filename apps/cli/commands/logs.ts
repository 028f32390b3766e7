/** `agentcom logs`. */
import type { Command } from 'commander';
import { Option } from 'commander';
import { OUTPUT_STREAMS } from '../../../core/domain/assignment/output-stream.ts';
import type { OutputChunkJson, OutputQuery } from '../../client/index.ts';
import type { Action, Context } from '../cli-context.ts';
import { EXIT_INTERRUPTED } from '../exit-codes.ts';
import { parseWhole } from '../parse.ts';
import { taskNamed } from '../task-names.ts';

interface LogsOptions {
  readonly follow?: boolean;
  readonly generation?: number;
  readonly stream?: OutputChunkJson['stream'];
  readonly search?: string;
  readonly timestamps?: boolean;
}

export function addLogs(program: Command, action: Action): void {
  program
    .command('logs <task>')
    .description("Print the output of a task's agents")
    .option('-f, --follow', 'follow new output until the task ends')
    .option('-g, --generation <generation>', 'only output of this generation', parseWhole)
    .addOption(new Option('-s, --stream <stream>', 'only this stream; agent: what the agent says').choices([...OUTPUT_STREAMS]))
    .option('--search <text>', 'only chunks that contain this text (case-insensitive)')
    .option('-t, --timestamps', 'print the time of each chunk')
    .action(action(logs));
}

async function logs(context: Context, options: LogsOptions, name: string): Promise<void> {
  const { output, environment, exitWith } = context;
  const client = await context.hub();
  const { tasks } = client;
  const taskId = await taskNamed(context, client, name);
  const { generation, stream, search } = options;
  const query: OutputQuery = { generation, stream, search };
  let previous: OutputChunkJson | undefined;
  if (options.timestamps === true) output.note(`times: ${output.times.zone}`);
  const print = (chunk: OutputChunkJson): void => {
    output.data(chunk);
    if (chunk.generation !== previous?.generation || chunk.agent_id !== previous.agent_id)
      output.note(`==> ${chunk.agent_id} g${chunk.generation} <==`);
    const isFiltered = stream !== undefined || search !== undefined;
    const expectedSeq = previous?.generation === chunk.generation ? previous.seq + 1 : 0;
    const isMissing = !isFiltered && chunk.seq > expectedSeq;
    if (chunk.dropped > 0) output.note(`... ${chunk.dropped} characters are missing`);
    else if (isMissing) output.note('... some output is missing');
    const time = options.timestamps === true ? `${output.times.moment(chunk.timestamp)}  ` : '';
    for (const line of chunk.text.replace(/\n$/, '').split('\n'))
      output.line(
        `${time}${line.replaceAll('\t', '  ')}`,
        chunk.stream === 'stderr' ? 'yellow' : chunk.stream === 'agent' ? undefined : 'grey',
      );
    previous = chunk;
  };
  if (options.follow === true) {
    const signal = environment.interrupt();
    for await (const chunk of tasks.followOutput(taskId, query, signal)) print(chunk);
    if (signal.aborted) exitWith(EXIT_INTERRUPTED);
    return;
  }
  let isStored = true;
  for (let [after, more] = [0, true]; more;) {
    const page = await tasks.output(taskId, { ...query, after });
    page.output.forEach(print);
    [after, more] = [page.next_after, page.more];
    isStored = page.kept.bytes > 0;
  }
  if (previous !== undefined) return;
  if (!isStored) output.note('This hub stores no output: hub.limits.outputBytes is 0.');
  else output.note(search === undefined ? `No output of ${taskId} is stored.` : `No stored output of ${taskId} contains this text.`);
}
