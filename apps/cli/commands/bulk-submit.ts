/** `agentcom submit --bulk`: a file of tasks, in as many requests as the hub's limits require. */
import { createHash } from 'node:crypto';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { HubClient, SubmitOptions } from '../../client/index.ts';
import type { Context } from '../cli-context.ts';
import { progressOn, progressText } from '../output/progress.ts';
import { isLast } from '../task-names.ts';
import { readStandardInput, readTextFile } from '../text-input.ts';

/** Lines per request: the default of `hub.limits.bulkLines`. */
export const BATCH_LINES = 10_000;
/** Bytes per request: half of the default of `hub.limits.bulkBytes`. */
const BATCH_BYTES = 8_388_608;
/** The largest file that is sent as one request, bytes: it fits the hub's default limits. */
const WHOLE_BYTES = 16_777_216;
/** The largest file accepted, bytes. */
const FILE_BYTES_MAX = 268_435_456;
const KEY_DIGITS = 40;

export interface BulkBatch {
  /** Line numbers in the file, from 1. */
  readonly first: number;
  readonly last: number;
  readonly text: string;
}

/** The lines of a file, including blank ones, in batches that each fit a request. */
export function batchesOf(content: string): readonly BulkBatch[] {
  const lines = content.replace(/\n$/, '').split('\n');
  if (lines.length <= BATCH_LINES && Buffer.byteLength(content) <= WHOLE_BYTES) return [{ first: 1, last: lines.length, text: content }];
  const batches: BulkBatch[] = [];
  let [from, bytes] = [0, 0];
  const end = (to: number): void => {
    if (to > from) batches.push({ first: from + 1, last: to, text: `${lines.slice(from, to).join('\n')}\n` });
    [from, bytes] = [to, 0];
  };
  for (const [index, line] of lines.entries()) {
    const lineBytes = Buffer.byteLength(line) + 1;
    if (index - from === BATCH_LINES || bytes + lineBytes > BATCH_BYTES) end(index);
    bytes += lineBytes;
  }
  end(lines.length);
  return batches.filter((batch) => batch.text.trim() !== '');
}

/** Prints the IDs in the order of the lines. If a file takes several batches, each batch is all or none; the file may be submitted again. */
export async function submitBulk(context: Context, file: string, request: SubmitOptions): Promise<void> {
  const { output, environment } = context;
  const batches = batchesOf(await (file === '-' ? readStandardInput(environment) : readTextFile(environment, file, FILE_BYTES_MAX)));
  const hub = await context.hub();
  const taskIds: string[] = [];
  let repeated = 0;
  const lines = batches.at(-1)?.last ?? 0;
  if (batches.length > 1) output.note(`${lines} lines: ${batches.length} requests, each all or none.`);
  const progress = progressOn(environment, output.json);
  try {
    for (const [index, batch] of batches.entries()) {
      if (batches.length > 1) progress.at(progressText('Submitting', batch.first - 1, lines, 'lines'), true);
      const isOneOfMany = batches.length > 1;
      const { idempotencyKey: given } = request;
      const options: SubmitOptions = {
        ...request,
        idempotencyKey: isOneOfMany ? keyOf(batch, index, given) : given,
        onRepeated: () => (repeated += 1),
      };
      const { task_ids: made } = await submitted(hub, batch, options, isOneOfMany);
      taskIds.push(...made);
      progress.end();
      for (const taskId of made) output.line(taskId);
    }
  } finally {
    progress.end();
  }
  await isLast(context, hub, taskIds.at(-1));
  output.data({ task_ids: taskIds });
  if (repeated > 0)
    output.note(
      repeated === batches.length
        ? 'These tasks had been submitted before, and no other was created. To submit them once more, pass an --idempotency-key of your own.'
        : `${repeated} of ${batches.length} requests had been made before; their tasks were not created again.`,
    );
}

/** The same key for the same lines at the same position, so that a file whose submit was cut off can be submitted again. */
function keyOf({ text: lines }: BulkBatch, index: number, given: string | undefined): string {
  if (given !== undefined) return `${given}-${index + 1}`;
  return `bulk-${createHash('sha256').update(`${index}\n${lines}`).digest('hex').slice(0, KEY_DIGITS)}`;
}

async function submitted(
  hub: HubClient,
  { first, last, text: lines }: BulkBatch,
  options: SubmitOptions,
  isOneOfMany: boolean,
): Promise<{ readonly task_ids: readonly string[] }> {
  try {
    return await hub.tasks.submitMany(lines, options);
  } catch (thrown) {
    throw isOneOfMany && AgentcomError.is(thrown) ? ofLines(thrown, first, last) : thrown;
  }
}

/** The error with the line numbers of the whole file, and with what to do. */
function ofLines(thrown: AgentcomError, first: number, last: number): AgentcomError {
  const answer = thrown.details?.['answer'];
  const details = typeof answer === 'object' && answer !== null && 'details' in answer ? answer.details : undefined;
  const shifted = Array.isArray(details)
    ? details.map((detail: Readonly<Record<string, unknown>>) =>
        typeof detail['line'] === 'number' ? { ...detail, line: detail['line'] + first - 1 } : detail,
      )
    : undefined;
  const before = first === 1 ? 'Nothing was submitted' : `Lines 1 to ${first - 1} are submitted`;
  return new AgentcomError(
    thrown.code,
    `Lines ${first} to ${last} were not submitted. ${before}: run the command again once this is corrected, and they are not submitted twice. ` +
      thrown.message.replace(/: Invalid request: .*$/s, ''),
    {
      cause: thrown,
      details: { ...thrown.details, ...(shifted === undefined ? {} : { answer: { ...(answer as object), details: shifted } }) },
    },
  );
}
